"""The demo tenants and users of the embedded profile, from demo.toml. Applying them again changes
nothing that was set since."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib import resources
from typing import Any

from orion.core.ids import derived, slot_of
from orion.platform.clock import Clock
from orion.services.identity import queries
from orion.services.identity.passwords import Passwords
from orion.services.identity.records import User


def users(password_hash: str = "") -> tuple[dict[str, str], list[User]]:
    """(tenants with their names, all demo users)."""
    text = (resources.files("orion.services.identity") / "demo.toml").read_text()
    seed = tomllib.loads(text)
    found = [
        _user(tenant, name, row, password_hash)
        for tenant in seed["tenants"]
        for name, row in seed["users"].items()
    ]
    return seed["tenants"], found


def logins() -> tuple[str, ...]:
    """The demo users as they sign in."""
    return tuple(user.login for user in users()[1])


def _user(tenant: str, name: str, row: dict[str, Any], password_hash: str) -> User:
    instruments = row.get("instrument_ids")
    return User(
        tenant=tenant,
        # Derived, so that a demo user is the same one after the database was made anew.
        user_id=derived(slot_of(tenant, name), "user", tenant, name),
        name=name,
        display_name=row["names"][tenant],
        desk=row["desk"][tenant],
        password_hash=password_hash,
        disabled=False,
        not_before=0,
        roles=tuple(row["roles"]),
        asset_classes=tuple(row.get("asset_classes", ())),
        instrument_ids=None if instruments is None else tuple(instruments),
        venue_ids=tuple(row.get("venue_ids", ())),
        max_notional=Decimal(row.get("max_notional", "0")),
        rfq_per_minute=row.get("rfq_per_minute", 0),
    )


async def apply(database: Any, passwords: Passwords, password: str, clock: Clock) -> None:
    """Adds what is missing."""
    tenants, everybody = users()
    async with database.write("identity", list(tenants)) as sql:
        known = await queries.known_users(sql)
    if not all((user.tenant, user.user_id) in known for user in everybody):
        # One hash for all: they share a password that everybody knows. It is slow by design, so
        # not made where everybody has one.
        _, everybody = users(await passwords.hash(password))
    async with database.write("identity", list(tenants)) as sql:
        for tenant, name in tenants.items():
            await queries.add_tenant(sql, tenant, name)
        for user in everybody:
            await queries.add_user(sql, user, clock.now())
