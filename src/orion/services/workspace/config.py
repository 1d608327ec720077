"""Settings of the workspace service."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `workspace`."""

    max_preferences_bytes: int = option(
        262_144, "Largest preferences document", min=1024, max=1_048_576
    )
    max_watchlists: int = option(50, "Lists a user may have", min=1, max=500)
    max_instruments: int = option(200, "Instruments in one list", min=1, max=1000)
    reference_timeout_ms: int = option(
        2_000, "Deadline of asking for the instruments", min=100, max=30_000
    )
    cache_s: int = option(
        60, "How long lists may be answered from a cache that all processes share", min=1, max=3600
    )
