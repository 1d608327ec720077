"""Settings of the workstation's door."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `bff_workstation`."""

    body_limit_bytes: int = option(65_536, "Largest request body", min=1024, max=1_048_576)
    preferences_limit_bytes: int = option(
        262_144, "Largest preferences document", min=1024, max=1_048_576
    )
    command_timeout_ms: int = option(
        5_000, "Deadline of a command at a service", min=100, max=60_000
    )
    query_timeout_ms: int = option(2_000, "Deadline of a query at a service", min=100, max=60_000)
    ready_timeout_ms: int = option(500, "Deadline of one readiness probe", min=50, max=5_000)
    tenant_names: tuple[str, ...] = option(
        ("alpha=Alpha Asset Management", "beta=Beta Capital Partners"),
        "What tenants are called on the screen, as id=name",
    )
    web_dir: str = option("", "Folder of the built web; default web/dist of the checkout")
