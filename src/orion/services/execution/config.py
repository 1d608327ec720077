"""Settings of execution."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_EXECUTION_<FIELD>."""

    watch_gap_ms: int = option(
        20, "A busy watcher is written at most once in so many milliseconds", min=0, max=1000
    )
    watch_snapshot: int = option(
        100, "Trades of each tenant in a watcher's snapshot", min=1, max=1000
    )
    watch_max_waiting: int = option(
        20_000, "Trades that may wait for one watcher before it is cut", min=10, max=1_000_000
    )
