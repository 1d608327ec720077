"""What keeps a caller from making an outage worse: a bound on how much is said again, and a rest
for an address that takes calls and does not answer them.

An address that cannot be reached needs no breaker: gRPC fails such calls at once and connects again
by itself. Refusals are answers.
"""

from __future__ import annotations

IN_A_ROW = 5
FIRST_REST_S, LONGEST_REST_S = 0.25, 2.0
MOST_TOKENS, PER_CALL = 10.0, 0.1


class Budget:
    """A tenth of the calls, and a few to begin with, may be said again."""

    def __init__(self) -> None:
        self.tokens = MOST_TOKENS

    def called(self) -> None:
        """One more call was made."""
        self.tokens = min(MOST_TOKENS, self.tokens + PER_CALL)

    def spend(self) -> bool:
        """Whether one may be said again now."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Breaker:
    """Opens after failures in a row; after a rest one call at a time tries whether it is over.
    Times are seconds of the loop's clock.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._rest_s = FIRST_REST_S
        self._closed_at = 0.0  # no call before
        self._probe_ends = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are held back, but for a probe."""
        return self._failures >= IN_A_ROW

    def allows(self, now: float) -> bool:
        """Whether a call may be made now."""
        return not self.is_open or (now >= self._closed_at and now >= self._probe_ends)

    def wait_s(self, now: float) -> float:
        """How long until the next may be made."""
        return max(self._closed_at - now, self._probe_ends - now, 0.0) if self.is_open else 0.0

    def begins(self, now: float, longest_s: float) -> None:
        """A call is made; while the breaker is open it is the probe, for as long as it may last."""
        if self.is_open:
            self._probe_ends = now + longest_s

    def answered(self) -> None:
        """It was answered, in whatever way."""
        self._failures, self._rest_s, self._probe_ends = 0, FIRST_REST_S, 0.0

    def left(self) -> None:
        """The caller gave it up, which says nothing."""
        self._probe_ends = 0.0

    def failed(self, now: float) -> None:
        """It was not answered."""
        if self.is_open:
            self._rest_s = min(self._rest_s * 2, LONGEST_REST_S)
        self._failures += 1
        self._probe_ends = 0.0
        if self.is_open:
            self._closed_at = now + self._rest_s
