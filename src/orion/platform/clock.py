"""The only readers of time. Everything else is handed instants (microseconds since the epoch,
UTC).
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time. `now` may step with the machine's clock; `ticks` only grows and is for
    measuring.
    """

    def now(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        ...

    def ticks(self) -> int:
        """Monotonic nanoseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1000

    def ticks(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock that moves when told: for simulations and tests."""

    def __init__(self, at: int = 1_770_000_000_000_000) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def ticks(self) -> int:
        return self.at * 1000

    def advance(self, micros: int) -> None:
        """Moves forward by `micros` microseconds."""
        self.at += micros
