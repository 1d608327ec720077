"""Settings of the RFQ service."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_RFQ_<FIELD>."""

    command_timeout_s: float = option(
        3.0, "A command that is not decided by then is answered with SYS-902", min=0.1, max=60.0
    )
    absent_after_s: float = option(
        5.0, "A dealer that is not connected for longer is not asked", min=0.0, max=60.0
    )
    throttle_scale: float = option(
        1.0, "Factor on dealers' requests per second", min=0.01, max=10_000.0
    )
    watch_gap_ms: int = option(
        10, "A busy watcher is written at most once in so many milliseconds", min=0, max=1000
    )
    watch_max_waiting: int = option(
        20_000, "RFQs that may wait for one watcher before it is cut", min=10, max=1_000_000
    )
    watch_ended_s: int = option(
        60, "A watcher's snapshot also holds RFQs that ended within", min=0, max=600
    )
    watch_snapshot: int = option(2_000, "RFQs in a watcher's snapshot", min=1, max=100_000)
    max_answers: int = option(1_000, "Dealers' answers in one submission", min=1, max=10_000)
    reference_refresh_s: float = option(
        60.0, "Reference data is read again at least every", min=1.0, max=3600.0
    )
