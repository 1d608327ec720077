"""Keycloak's realm file: the demo users are those of the embedded provider, and nobody gets in by a
password that was not asked for."""

from __future__ import annotations

import json

from orion.app.servers.keycloak import HOME, RealmValues, realm_document
from orion.core.permissions import Role
from orion.services.identity import demo
from orion.services.identity.tokens import profile

VALUES = RealmValues('http://localhost:8080/"x', "bff-secret", "program-secret")


def test_the_realm_has_the_same_users_roles_and_entitlements() -> None:
    realm = realm_document(VALUES)
    users = {u["username"]: u for u in realm["users"] if "serviceAccountClientId" not in u}
    assert {r["name"] for r in realm["roles"]["realm"]} == {role.value for role in Role}
    assert set(users) == set(demo.logins())
    for wanted in demo.users()[1]:
        user = users[wanted.login]
        assert f"{user['firstName']} {user['lastName']}" == wanted.display_name
        assert user["realmRoles"] == list(wanted.roles)
        assert user["groups"] == [f"/{wanted.tenant}/{wanted.desk}"]
        assert json.loads(user["attributes"]["ent"][0]) == profile(wanted)["ent"]
    tenants = {g["name"]: g["attributes"]["tenant"] for g in realm["groups"]}
    assert tenants == {tenant: [tenant] for tenant in demo.users()[0]}


def test_demo_users_are_let_in_only_with_a_password_that_was_asked_for() -> None:
    text = (HOME / "orion-realm.json").read_text()
    assert '"credentials"' not in text and "orion-demo" not in text
    people = [u for u in realm_document(VALUES)["users"] if "serviceAccountClientId" not in u]
    assert not any(u["enabled"] or "credentials" in u for u in people)
    values = RealmValues("http://localhost:8080", "b", "p", demo_password="orion-demo")
    people = [u for u in realm_document(values)["users"] if "serviceAccountClientId" not in u]
    assert all(u["enabled"] and u["credentials"] for u in people)


def test_open_places_are_filled_as_text() -> None:
    realm = realm_document(VALUES)
    clients = {c["clientId"]: c for c in realm["clients"]}
    assert clients["orion-bff"]["redirectUris"] == ['http://localhost:8080/"x/auth/callback']
    assert clients["orion-bff"]["secret"] == "bff-secret"
    assert "${ORION" not in json.dumps(realm)


def test_clients_are_confidential_and_prove_their_codes() -> None:
    for client in realm_document(VALUES)["clients"]:
        assert client["publicClient"] is False and client["directAccessGrantsEnabled"] is False
        assert client["implicitFlowEnabled"] is False
        if client["standardFlowEnabled"]:
            assert client["attributes"]["pkce.code.challenge.method"] == "S256"
        assert client["attributes"]["access.token.header.type.rfc9068"] == "true"
