"""What was revoked while tokens still live: a small set in every process, fed by identity's stream.

It fails safe in the only way that keeps people working: while the stream is lost, what is known
stays in force, nothing is
forgotten, and tokens die by themselves within their short life. The loss is logged and shown as a
gauge. Meanwhile a board in the cache is read, where processes share one.

A process that has just started knows nothing yet. It takes no user's token until identity, or a
board that is not old, has told it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from orion.platform import telemetry
from orion.platform.errors import Unavailable

_CONNECTED = telemetry.gauge("revocations_connected", "1 while the stream of revocations is open")
_KNOWN = telemetry.gauge("revocations_known", "1 when this process has been told what is revoked")
_BOARD = telemetry.counter("revocations_board_total", "Looks at the board in the cache", ("found",))
KEEP_S = 8 * 3600
MAX_PAUSE_S = 1.0
FIRST_PAUSE_S = 0.2  # while nothing is known yet
OPENED_S = 10.0  # a stream that says nothing for so long at its beginning is given up
SILENCE_S = 1.5  # one that gives signs of life and then none
BOARD_LOOK_S = 0.5
BOARD_GOOD_S = 60  # how old a board may be for a process that knows nothing else
PATIENCE_S = 2.0  # of a request that comes before anything is known


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
        self._told = asyncio.Event()
        self.is_connected = False  # to identity's stream
        self.is_known = True  # until somebody says that it is to be found out

    def await_first(self) -> None:
        """From now on nothing is known until `know`."""
        self.is_known = False
        self._told.clear()
        _KNOWN.set(0)

    def know(self) -> None:
        """What is in force has been added."""
        self.is_known = True
        self._told.set()
        _KNOWN.set(1)

    async def known(self) -> None:
        """Waits a little until something is known. Raises Unavailable."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._told.wait()
        except TimeoutError:
            raise Unavailable("What is revoked is not known yet") from None

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
    what is in force; an empty batch is a sign of life, and whoever gives one gives more."""
    pause = 0.05
    while True:
        try:
            async with aclosing(_lively(watch())) as batches:
                async for batch in batches:
                    if pause:
                        telemetry.log.info("the stream of revocations is open")
                        revocations.is_connected = True
                        _CONNECTED.set(1)
                        pause = 0.0
                    revocations.add(batch)
                    revocations.prune(now())
                    if not revocations.is_known:
                        revocations.know()
        except Exception as error:
            if not pause:
                telemetry.log.warning("the stream of revocations is lost", error=str(error))
        revocations.is_connected = False
        _CONNECTED.set(0)
        longest = MAX_PAUSE_S if revocations.is_known else FIRST_PAUSE_S
        pause = min(max(pause * 2, 0.05), longest)
        await asyncio.sleep(pause)


async def _lively(
    batches: AsyncIterator[Sequence[Revoked]],
) -> AsyncGenerator[Sequence[Revoked], None]:
    """The same, ended by TimeoutError where it fell silent."""
    patience: float | None = OPENED_S
    is_beating, is_first = False, True
    while True:
        async with asyncio.timeout(patience):
            try:
                batch = await anext(batches)
            except StopAsyncIteration:
                return
        is_beating = is_beating or (not batch and not is_first)
        is_first, patience = False, SILENCE_S if is_beating else None
        yield batch


async def follow_board(
    revocations: Revocations,
    read: Callable[[], Awaitable[tuple[int, Sequence[Revoked]] | None]],
    now: Callable[[], int],
) -> None:
    """Reads the board for ever, while the stream is not there. `read` gives (as of when, new)."""
    while True:
        if not revocations.is_connected:
            found = await read()
            _BOARD.labels("nothing" if found is None else "board").inc()
            if found is not None:
                as_of, items = found
                revocations.add(items)
                is_good = abs(now() - as_of) <= BOARD_GOOD_S * 1_000_000
                if is_good and not revocations.is_known:
                    telemetry.log.info("what is revoked is known from the cache")
                    revocations.know()
        await asyncio.sleep(BOARD_LOOK_S)
