"""The running ingest: feeds in, the log out, and an eye on silence. Feeds wait when the log is
behind; nothing is thrown away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from orion.core.ticks import Flag, Status, Tick
from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.services.marketdata_ingest.feed import Feed, FeedBatch
from orion.services.marketdata_ingest.intake import Intake

MAX_GROUP = 1_000
# so long after a group the next may begin: one commit costs the same for one tick and for a hundred
GROUP_GAP_S = 0.008
MAX_PAUSE_S = 1.0
STALLED_S = 1.0
_PUBLISHED = telemetry.counter("md_ticks_published", "Ticks that lie on the bus")
_WAITING = telemetry.gauge("md_ticks_waiting", "Ticks that wait for the log")


class Outlet(Protocol):
    """Where ingest tells."""

    async def tell(self, ticks: Sequence[Tick], status: Sequence[Status]) -> None:
        """Writes all of them. Returns when they are durable; raises Unavailable when they are not,
        and may then be asked again.
        """
        ...


class Ingest:
    """Runs the feeds."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        intake: Intake,
        outlet: Outlet,
        clock: Clock,
        *,
        in_flight: int,
        look_ms: int,
        on_tick: Callable[[str, Tick], None] | None = None,
    ):
        self.feeds, self.intake = feeds, intake
        self._outlet, self._clock, self._on_tick = outlet, clock, on_tick
        self._in_flight, self._look_s = in_flight, look_ms / 1000
        self._ticks: list[Tick] = []
        self._status: list[Status] = []
        self._something, self._room = asyncio.Event(), asyncio.Event()
        self._room.set()
        self.finished: set[str] = set()
        self.beat = asyncio.Event()  # the next sign of life; a new one after each

    @property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Feed → the instruments it quotes."""
        return {f.name: frozenset(f.symbols.values()) for f in self.feeds}

    async def run(self) -> None:
        """Until cancelled, or until every feed has ended and all is written."""
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._write())
            watcher = group.create_task(self._watch())
            await asyncio.gather(*(group.create_task(self._follow(f)) for f in self.feeds))
            await self.drained()
            writer.cancel()
            watcher.cancel()

    async def drained(self) -> None:
        """Waits until nothing waits for the log."""
        while self._ticks or self._status:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(GROUP_GAP_S)

    async def _follow(self, feed: Feed) -> None:
        async for batch in feed.batches():
            await self._room.wait()
            self.take(feed, batch)
        self.finished.add(feed.name)
        telemetry.log.info("feed has ended", feed=feed.name)

    def take(self, feed: Feed, batch: FeedBatch) -> None:
        """One batch of one feed."""
        try:
            ticks, status = self.intake.take(feed, batch, self._clock.now())
        except Exception as error:
            # A row that breaks our own code must not stop the feed; the whole batch is counted and
            # told.
            rows = len(batch.quotes) + sum(batch.unread.values())
            self.intake.account.dropped["BUG"] += rows
            telemetry.log.error("a batch could not be taken in", feed=feed.name, exc_info=error)
            return
        if batch.alive:
            self.beat.set()
            self.beat = asyncio.Event()
        if self._on_tick is not None:
            for tick in ticks:
                self._on_tick(feed.name, tick)
        self._queue(ticks, status)

    def _queue(self, ticks: Sequence[Tick], status: Sequence[Status]) -> None:
        self._ticks.extend(ticks)
        self._status.extend(status)
        _WAITING.set(len(self._ticks))
        if self._ticks or self._status:
            self._something.set()
        if len(self._ticks) >= self._in_flight:
            self._room.clear()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            slept = loop.time()
            await asyncio.sleep(self._look_s)
            # Where we ourselves stood still, nobody could be heard: first let the feeds speak.
            if loop.time() - slept < self._look_s + STALLED_S:
                self._queue((), self.intake.look(self._clock.now()))

    async def _write(self) -> None:
        pause = 0.05
        while True:
            await self._something.wait()
            ticks, status = self._ticks[:MAX_GROUP], self._status[:MAX_GROUP]
            try:
                await self._outlet.tell(ticks, status)
            except Unavailable as error:
                telemetry.log.warning(
                    "ticks wait for the log", waiting=len(self._ticks), error=str(error)
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)
                continue
            pause = 0.05
            del self._ticks[: len(ticks)], self._status[: len(status)]
            self.intake.account.published += sum(Flag.DERIVED not in t.flags for t in ticks)
            _PUBLISHED.inc(len(ticks))
            if len(self._ticks) < self._in_flight:
                self._room.set()
            if not self._ticks and not self._status:
                self._something.clear()
            await asyncio.sleep(GROUP_GAP_S)
