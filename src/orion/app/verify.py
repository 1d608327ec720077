"""`orion verify`: the platform's generic checks and those of trading, over the database of a quiet
system."""

from __future__ import annotations

import importlib

import asyncpg

from orion.app.checks import trading_checks
from orion.app.modules import MODULES
from orion.platform.config import Settings
from orion.platform.embedded import Access
from orion.platform.project import ReadModel
from orion.platform.verify import SESSION, Verifier

OWNERS = ("rfq", "execution")  # services with state and inbox


def projections() -> list[ReadModel]:
    """Every read model of every service."""
    found: list[ReadModel] = []
    for name in MODULES:
        try:
            part = importlib.import_module(f"orion.services.{name}.projections")
        except ModuleNotFoundError:
            continue
        found.extend(getattr(part, "PROJECTIONS", ()))
    return found


async def verify(settings: Settings, door: Access) -> tuple[list[str], list[str]]:
    """What was checked (with how much there was to check), and every violation."""
    dsn = door.dsn("orion_owner")
    report = await Verifier(dsn, services=OWNERS, projections=projections()).run()
    sql = await asyncpg.connect(dsn, server_settings=SESSION)
    try:
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            report.checks += await trading_checks(sql)
    finally:
        await sql.close()
    summary = [f"{check.name}: {check.counted} looked at" for check in report.checks]
    summary += [f"{check.name}: {note}" for check in report.checks for note in check.notes]
    violations = report.violations
    if report.is_empty:
        violations = [*violations, "there is nothing to check: the log is empty"]
    return summary, violations
