"""The recipe for Cognito: what its trigger adds to a token is what the verifier reads from it."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from orion.core.permissions import Role
from orion.platform.config import CHECKOUT, Settings
from orion.platform.errors import Coded
from orion.platform.issuer import Issuer, issuer_of

ENT = {"assetClasses": ["FX"], "venueIds": ["XORN"], "maxNotional": "5000000", "rfqPerMinute": 10}
PROGRAMS = {"p1": {"tenant": "beta", "name": "hedger@beta", "roles": ["ROLE_TRADER"], "ent": ENT}}


def trigger() -> Any:
    path = CHECKOUT / "infra" / "cognito" / "pre_token.py"
    spec = importlib.util.spec_from_file_location("pre_token", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def person(**attributes: str) -> dict[str, Any]:
    """An event as Cognito sends it after a sign-in on its page."""
    return {
        "version": "3",
        "triggerSource": "TokenGeneration_HostedAuth",
        "userName": "trader@alpha",
        "callerContext": {"clientId": "bff"},
        "request": {
            "userAttributes": {"sub": "u1", "name": "Ada Alder", **attributes},
            "groupConfiguration": {"groupsToOverride": ["ROLE_TRADER", "eu-west-1_Google"]},
            "scopes": ["openid"],
        },
        "response": {"claimsAndScopeOverrideDetails": None},
    }


def machine(client: str) -> dict[str, Any]:
    return {
        "version": "3",
        "triggerSource": "TokenGeneration_ClientCredentials",
        "callerContext": {"clientId": client},
        "request": {"clientMetadata": {}},
        "response": {},
    }


def added(event: dict[str, Any]) -> dict[str, Any]:
    details = trigger().with_claims(event, PROGRAMS)["response"]["claimsAndScopeOverrideDetails"]
    return details["accessTokenGeneration"]["claimsToAddOrOverride"]


def cognito() -> Issuer:
    """The settings of the guide."""
    settings = Settings(environment={
        "ORION_OIDC_ISSUER": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Example",
        "ORION_OIDC_ALGORITHMS": "RS256", "ORION_OIDC_TOKEN_TYPES": "-",
        "ORION_OIDC_ACCESS_MARK": "token_use=access", "ORION_OIDC_AUDIENCE_CLAIM": "client_id",
        "ORION_OIDC_AUDIENCE": "bff,p1", "ORION_OIDC_CLAIM_NAME": "display_name",
        "ORION_OIDC_CLAIM_SESSION": "origin_jti",
    })  # fmt: skip
    return issuer_of(settings, (role.value for role in Role))


def test_a_person_has_tenant_roles_and_entitlements() -> None:
    event = person(**{"custom:tenant": "alpha", "custom:desk": "fx", "custom:ent": json.dumps(ENT)})
    claims = {"sub": "u1", "origin_jti": "o1", "client_id": "bff", **added(event)}
    given = cognito().translated(claims)
    assert (given["tenant"], given["user"], given["desk"]) == ("alpha", "trader@alpha", "fx")
    assert (given["name"], given["roles"]) == ("Ada Alder", ["ROLE_TRADER"])
    assert given["ent"] == ENT


def test_a_program_is_what_the_function_was_told() -> None:
    claims = {"sub": "p1", "jti": "j1", "client_id": "p1", **added(machine("p1"))}
    given = cognito().translated(claims)
    assert (given["tenant"], given["user"], given["roles"]) == (
        "beta",
        "hedger@beta",
        ["ROLE_TRADER"],
    )


@pytest.mark.parametrize("event", [person(), machine("unknown")])
def test_who_has_no_tenant_gets_nothing_and_is_refused(event: dict[str, Any]) -> None:
    assert added(event) == {}
    with pytest.raises(Coded, match="AUTH-109"):
        cognito().translated({"sub": "x", "jti": "j", "client_id": "bff"})


@pytest.mark.parametrize("text", ["{", "[]", "1", ""])
def test_entitlements_that_cannot_be_read_give_nothing(text: str) -> None:
    claims = added(person(**{"custom:tenant": "alpha", "custom:ent": text}))
    assert claims["ent"] == {}
    given = cognito().translated({"sub": "u1", "jti": "j", **claims})
    assert given["ent"]["maxNotional"] == "0" and not given["ent"]["assetClasses"]


def test_the_function_reads_its_programs_from_its_settings(monkeypatch) -> None:
    monkeypatch.setenv("PROGRAMS", json.dumps(PROGRAMS))
    event = trigger().handler(machine("p1"), None)
    details = event["response"]["claimsAndScopeOverrideDetails"]
    assert details["accessTokenGeneration"]["claimsToAddOrOverride"]["tenant"] == "beta"
