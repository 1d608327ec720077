"""Settings of the dealer gateway."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_LP_GATEWAY_<FIELD>."""

    gap_ms: int = option(
        4, "A busy stream is written at most once in so many milliseconds", min=0, max=100
    )
    patience_ms: int = option(
        20,
        "What a dealer need not know at once (a quote was taken, a request is over) waits so long"
        " for others to go along with",
        min=0,
        max=1000,
    )
    max_batch: int = option(200, "Messages in one frame or one submission", min=1, max=1000)
    max_waiting: int = option(
        4000, "Messages that may wait for one dealer before its stream is cut", min=10, max=100_000
    )
    submit_lanes: int = option(
        2, "Submissions to the RFQ service that may be under way at once", min=1, max=16
    )
    submit_retry_s: float = option(
        10.0, "How long an answer is tried again while the RFQ service is away", min=0.0, max=60.0
    )
    grace_s: float = option(
        5.0, "A dealer that is gone for longer is passed over", min=0.1, max=60.0
    )
    lookback_s: int = option(
        330, "How far back the log is read for open requests after a start", min=10, max=3600
    )
    hello_timeout_s: float = option(5.0, "A stream must say hello within", min=0.1, max=60.0)
    answers_per_second: int = option(
        2000, "Messages taken from one dealer in a second", min=1, max=100_000
    )
    throttle_scale: float = option(
        1.0, "Factor on dealers' requests per second", min=0.01, max=10_000.0
    )
    roster_refresh_s: float = option(
        15.0, "How often the list of dealers is read again", min=0.5, max=3600.0
    )
