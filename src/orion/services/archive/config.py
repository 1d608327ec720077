"""Settings of the archive."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `archive`."""

    topics: tuple[str, ...] = option((), "Topics that are archived, with commas; empty: all")
    rows: int = option(50_000, "Most records of one stretch", min=100, max=1_000_000)
    megabytes: int = option(32, "Most megabytes of events in one stretch", min=1, max=200)
    wait_s: float = option(
        300.0, "Longest time that a record waits for company before it is archived", min=0, max=3600
    )
