"""Revocations as a stream: first what is in force, then each new one at once.

One reader asks the table for all watchers: when this process has written one (`wake`), and every
so often for those that
another copy wrote. Transactions may commit out of order, so it looks back a little and tells
nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.revocation_board import BoardWriter
from orion.platform.revocations import Revoked
from orion.services.identity import queries

LOOK_BACK_S = 30
IN_FORCE_S = 2 * 3600  # longer than any token lives
MAX_WAITING = 10_000
BEAT_S = 0.5
BOARD_S = 1.0  # how often the board says that it is true until now
HEAL_S = 10.0
SECOND = 1_000_000
NANOS = 1_000_000_000


class Feed:
    """Hands revocations to every watcher of this process, and to the board where there is one."""

    def __init__(self, database: Any, clock: Clock, poll_ms: int, board: BoardWriter | None = None):
        self._database, self._clock, self._poll_s = database, clock, poll_ms / 1000
        self._board, self._beats = board, board is not None
        self._healed_at = self._boarded_at = 0
        self._woken = asyncio.Event()
        self._told: set[int] = set()
        self.watchers: set[asyncio.Queue[Revoked]] = set()

    def wake(self) -> None:
        """Something was revoked here: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Looks for new revocations until cancelled."""
        while True:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes with the wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._woken.wait()
            self._woken.clear()
            if not self.watchers and self._board is None:
                continue
            try:
                await self._look()
            except Exception as error:
                telemetry.log.warning("revocations cannot be read", error=str(error))

    async def _look(self) -> None:
        began = self._clock.now()
        async with self._database.write("identity", []) as sql:
            found = await queries.revocations_told(sql, LOOK_BACK_S)
        new = {number: item for number, item in found if number not in self._told}
        for item in new.values():
            self._tell(item)
        self._told = {number for number, _ in found}  # what is out of sight does not come back
        if self._board is not None:
            await self._keep_board(self._board, new, began)

    async def _keep_board(self, board: BoardWriter, new: dict[int, Revoked], as_of: int) -> None:
        """Writes what is new at once, and everything now and then. `as_of`: when it was read."""
        now = self._clock.ticks()
        is_due = now - self._healed_at >= HEAL_S * NANOS or not board.is_whole
        if not (new or is_due or now - self._boarded_at >= BOARD_S * NANOS):
            return
        with suppress(Unavailable):  # the cache is lost; it says so itself
            if is_due:
                began = self._clock.now()
                in_force = await self._read(began - IN_FORCE_S * SECOND)
                await board.write({number: item for number, _, item in in_force}, began)
                self._healed_at = now
            else:
                await board.add(new, as_of)
            self._boarded_at = now

    def _tell(self, item: Revoked) -> None:
        for queue in tuple(self.watchers):
            if queue.qsize() >= MAX_WAITING:
                self.watchers.discard(queue)  # its stream ends, and starts again with a snapshot
                queue.put_nowait(_END)
            else:
                queue.put_nowait(item)

    async def _read(self, since: int) -> list[tuple[int, int, Revoked]]:
        async with self._database.write("identity", []) as sql:
            return await queries.revocations_since(sql, since)

    async def watch(self) -> AsyncIterator[tuple[bool, Sequence[Revoked]]]:
        """(True, all in force), then (False, new ones) as they come."""
        queue: asyncio.Queue[Revoked] = asyncio.Queue()
        self.watchers.add(queue)
        try:
            now = self._clock.now()
            yield True, [item for _, _, item in await self._read(now - IN_FORCE_S * SECOND)]
            while True:
                items: list[Revoked] = []
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S if self._beats else None):
                        items.append(await queue.get())
                while not queue.empty():
                    items.append(queue.get_nowait())
                if _END in items:
                    return
                yield False, items
        finally:
            self.watchers.discard(queue)


_END = Revoked(at=-1)
