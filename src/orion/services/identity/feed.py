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
from orion.platform.revocations import Revoked
from orion.services.identity import queries

LOOK_BACK_S = 30
IN_FORCE_S = 2 * 3600  # longer than any token lives
MAX_WAITING = 10_000
SECOND = 1_000_000


class Feed:
    """Hands revocations to every watcher of this process."""

    def __init__(self, database: Any, clock: Clock, poll_ms: int):
        self._database, self._clock, self._poll_s = database, clock, poll_ms / 1000
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
            if not self.watchers:
                continue
            try:
                await self._look()
            except Exception as error:
                telemetry.log.warning("revocations cannot be read", error=str(error))

    async def _look(self) -> None:
        async with self._database.write("identity", []) as sql:
            found = await queries.revocations_told(sql, LOOK_BACK_S)
        for number, item in found:
            if number not in self._told:
                self._tell(item)
        self._told = {number for number, _ in found}  # what is out of sight does not come back

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
                items = [await queue.get()]
                while not queue.empty():
                    items.append(queue.get_nowait())
                if _END in items:
                    return
                yield False, items
        finally:
            self.watchers.discard(queue)


_END = Revoked(at=-1)
