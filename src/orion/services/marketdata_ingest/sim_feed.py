"""The simulator as a feed: gives its rows when they are due, at the pace of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping

from orion.platform.clock import Clock
from orion.services.marketdata_ingest.feed import HEARTBEAT_US, FeedBatch, RawQuote
from orion.services.marketdata_ingest.simulator import SimRow, Simulator

MAX_BATCH = 1_000
# further behind than this, the market waits for us instead of racing to catch up
MAX_LAG_US = 500_000
SHORTEST_SLEEP_S = 0.001


class SimFeed:
    """The `SIM` source. Its symbols are our instrument ids."""

    name = "SIM"

    def __init__(self, simulator: Simulator, clock: Clock, without: Collection[str] = ()):
        self._simulator, self._clock = simulator, clock
        self.symbols: Mapping[str, str] = {n: n for n in simulator.simulated if n not in without}
        self._moved: set[str] = set()
        self.slipped_us = 0

    def pin(self, leg: str, mid: float) -> None:
        """A leg's price comes from a recording now: crosses with it follow that price."""
        self._simulator.pin(leg, mid)
        self._moved.add(leg)

    async def batches(self) -> AsyncIterator[FeedBatch]:
        rows = self._simulator.rows()
        pending = next(rows)
        began, origin = self._clock.ticks() // 1000, self._clock.now()
        heartbeat = 0
        while True:
            now = self._clock.ticks() // 1000 - began
            if now - pending.due > MAX_LAG_US:
                self.slipped_us += now - pending.due
                began += now - pending.due
                origin += now - pending.due
                now = pending.due
            quotes: list[RawQuote] = []
            while pending.due <= now and len(quotes) < MAX_BATCH:
                quotes.append(_raw(pending, origin))
                pending = next(rows)
            quotes.extend(self._followers(now, origin))
            alive: tuple[str, ...] = ()
            if now >= heartbeat:
                silent = self._simulator.silent(now)
                alive = tuple(s for s in self.symbols if s not in silent)
                heartbeat = now + HEARTBEAT_US
            if quotes or alive:
                yield FeedBatch(quotes, alive)
            wait = min(pending.due, heartbeat) - now
            if len(quotes) < MAX_BATCH:
                await asyncio.sleep(max(SHORTEST_SLEEP_S, wait / 1e6))

    def _followers(self, now: int, origin: int) -> list[RawQuote]:
        moved, self._moved = self._moved, set()
        return [
            _raw(r, origin) for leg in sorted(moved) for r in self._simulator.crosses_of(leg, now)
        ]


def _raw(row: SimRow, origin: int) -> RawQuote:
    return RawQuote(row.instrument_id, row.bid, row.ask, origin + row.at, None, row.flags)
