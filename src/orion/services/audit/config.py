"""Settings of the audit service."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `audit`."""

    gather_ms: int = option(100, "Events of so long are written together", min=1, max=1000)
    batch: int = option(500, "Most events of one partition in one write", min=1, max=5000)
    sweep_seconds: float = option(
        5.0, "Looks at every partition at least so often", min=0.5, max=60
    )
    anchor_seconds: float = option(
        60.0, "Writes an anchor so often when something changed", min=1, max=3600
    )
    max_timeline: int = option(1000, "Most events of one time line", min=10, max=10_000)
