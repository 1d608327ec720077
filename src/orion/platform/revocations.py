"""What was revoked while tokens still live: a small set in every process, fed by identity's stream.

It fails safe in the only way that keeps people working: while the stream is lost, what is known
stays in force, nothing is
forgotten, and tokens die by themselves within their short life. The loss is logged and shown as a
gauge.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from orion.platform import telemetry

_CONNECTED = telemetry.gauge("revocations_connected", "1 while the stream of revocations is open")
KEEP_S = 8 * 3600
MAX_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Revoked:
    """A session that has ended, or everything a user was given until `at` (microseconds).

    `is_bounded`: of the session too only what was given until `at`. Another issuer's session may
    outlive ours, and give good tokens again. `is_lifted`: the user is no longer kept out.
    """

    at: int
    session_id: str | None = None
    subject: str | None = None
    is_bounded: bool = False
    is_lifted: bool = False


class Revocations:
    """The set. `covers` is on every request's path: three dictionary look-ups."""

    def __init__(self) -> None:
        self._sessions: dict[str, int] = {}
        self._subjects: dict[str, int] = {}
        self._bounded: dict[str, int] = {}
        self._listeners: list[Callable[[Revoked], None]] = []

    def covers(self, session_id: str, subject: str, issued_at: int) -> bool:
        """True when a token of this session or user, issued at `issued_at` (seconds), is dead."""
        if session_id in self._sessions:
            return True
        until = self._subjects.get(subject)
        if until is not None and issued_at <= until // 1_000_000:
            return True
        until = self._bounded.get(session_id)
        return until is not None and issued_at <= until // 1_000_000

    def covers_caller(self, caller: object) -> bool:
        """The same for a Caller kept since it was verified (an open socket, a stream)."""
        return self.covers(caller.session_id, caller.subject, caller.issued_at)  # type: ignore[attr-defined]

    def listen(self, listener: Callable[[Revoked], None]) -> Callable[[], None]:
        """Calls `listener` for each new revocation, at once; gives a function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def add(self, items: Sequence[Revoked]) -> None:
        """Takes revocations in; those already known tell nobody again."""
        for item in items:
            if self._take(item):
                for listener in tuple(self._listeners):
                    listener(item)

    def _take(self, item: Revoked) -> bool:
        fresh = False
        if item.session_id is not None and item.is_bounded:
            fresh = self._bounded.get(item.session_id, -1) < item.at
            self._bounded[item.session_id] = max(self._bounded.get(item.session_id, -1), item.at)
        elif item.session_id is not None and item.session_id not in self._sessions:
            self._sessions[item.session_id] = item.at
            fresh = True
        if item.subject is not None and item.is_lifted:
            self._subjects[item.subject] = item.at
        elif item.subject is not None and self._subjects.get(item.subject, -1) < item.at:
            self._subjects[item.subject] = item.at
            fresh = True
        return fresh

    def prune(self, now: int) -> None:
        """Forgets what no token can outlive."""
        edge = now - KEEP_S * 1_000_000
        self._sessions = {k: at for k, at in self._sessions.items() if at > edge}
        self._subjects = {k: at for k, at in self._subjects.items() if at > edge}
        self._bounded = {k: at for k, at in self._bounded.items() if at > edge}


async def follow(
    revocations: Revocations,
    watch: Callable[[], AsyncIterator[Sequence[Revoked]]],
    now: Callable[[], int],
) -> None:
    """Follows identity's stream for ever, opening it again when it is lost. `watch` starts with
    what is in force."""
    pause = 0.05
    while True:
        try:
            async for batch in watch():
                if pause:
                    telemetry.log.info("the stream of revocations is open")
                    _CONNECTED.set(1)
                    pause = 0.0
                revocations.add(batch)
                revocations.prune(now())
        except Exception as error:
            if not pause:
                telemetry.log.warning("the stream of revocations is lost", error=str(error))
        _CONNECTED.set(0)
        pause = min(max(pause * 2, 0.05), MAX_PAUSE_S)
        await asyncio.sleep(pause)
