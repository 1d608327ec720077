"""Cognito's pre token generation trigger, event version V3_0: puts tenant, roles and entitlements
into access tokens of people and of programs. To be deployed as a Lambda function
(`pre_token.handler`); the standard library only.

People: tenant, desk and entitlements are custom attributes that no app client may write; roles are
groups. Programs have no attributes: what they may do stands in the function's environment variable
PROGRAMS, as JSON from client id to {tenant, name, desk, roles, ent}. Who has no tenant gets no
claims, and is refused by the platform.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

MACHINE = "TokenGeneration_ClientCredentials"
ROLE = "ROLE_"


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """What Lambda calls."""
    programs = json.loads(os.environ.get("PROGRAMS", "{}"))  # noqa: TID251 (a function's settings)
    return with_claims(event, programs)


def with_claims(event: dict[str, Any], programs: Mapping[str, Any]) -> dict[str, Any]:
    """The event with what is to be added to the access token."""
    if event.get("triggerSource") == MACHINE:
        claims = _of_program(programs.get(event["callerContext"]["clientId"]))
    else:
        claims = _of_person(event.get("userName", ""), event["request"])
    event["response"] = {
        "claimsAndScopeOverrideDetails": {
            "accessTokenGeneration": {"claimsToAddOrOverride": claims}
        }
    }
    return event


def _of_person(user: str, request: Mapping[str, Any]) -> dict[str, Any]:
    attributes = request.get("userAttributes") or {}
    tenant = attributes.get("custom:tenant", "")
    if not tenant:
        return {}
    groups = (request.get("groupConfiguration") or {}).get("groupsToOverride") or []
    return {
        "tenant": tenant,
        "user": user,
        "display_name": attributes.get("name") or user,
        "desk": attributes.get("custom:desk", ""),
        "roles": sorted(g for g in groups if g.startswith(ROLE)),
        "ent": _entitlements(attributes.get("custom:ent", "")),
    }


def _of_program(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if not row:
        return {}
    return {
        "tenant": row["tenant"],
        "user": row["name"],
        "display_name": row["name"],
        "desk": row.get("desk", ""),
        "roles": sorted(row.get("roles", ())),
        "ent": row.get("ent") or {},
    }


def _entitlements(text: str) -> dict[str, Any]:
    # An attribute that cannot be read gives nothing, never everything: a sign-in still works.
    try:
        given = json.loads(text) if text else {}
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}
