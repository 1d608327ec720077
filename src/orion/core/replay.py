"""Replays into a sandbox, as events: who delivered what again, where, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.values import Instant


@dataclass(frozen=True, slots=True)
class ReplayStarted:
    """Somebody began to deliver a range again into a sandbox."""

    at: Instant
    sandbox: str
    by: str
    origin: str             # log, kafka, archive
    topic: str
    asked: str              # the range in the operator's words
    partitions: int
    records: int            # that are left to deliver


@dataclass(frozen=True, slots=True)
class ReplayEnded:
    """It is over; what was delivered stays in the sandbox."""

    at: Instant
    sandbox: str
    by: str
    topic: str
    records: int
    outcome: str            # DONE, FAILED
    reason: str = ""
