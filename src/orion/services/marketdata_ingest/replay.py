"""Replay of a recording: the vendor's rows, moved to our present, at a chosen speed.

The recorded time is kept beside the moved one. A recording has quiet stretches (this one up to 75
s), so the source's heartbeats, not its quotes, say that it lives. At speed `max` the rows come as
fast as they can be published.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

from orion.platform.clock import Clock
from orion.services.marketdata_ingest.feed import HEARTBEAT_US, FeedBatch, RawQuote
from orion.services.marketdata_ingest.formats import recognise, rows, symbols_in

MAX_BATCH = 500
PAUSE_BETWEEN_LOOPS_US = 1_000_000


class ReplayFeed:
    """The `REPLAY` source. `speed` None: as fast as possible. `finished` after the last row when it
    does not loop.
    """

    name = "REPLAY"

    def __init__(
        self,
        path: Path,
        known: Mapping[str, str],
        clock: Clock,
        *,
        speed: float | None,
        loops: bool,
    ):
        self._path, self._clock, self._speed, self._loops = path, clock, speed, loops
        self._format = recognise(path)
        found = symbols_in(path, self._format)
        self.symbols: Mapping[str, str] = {s: known[s] for s in found if s in known}
        self.finished = False

    async def batches(self) -> AsyncIterator[FeedBatch]:
        while True:
            async for batch in self._once():
                yield batch
            if not self._loops:
                break
        self.finished = True

    async def _once(self) -> AsyncIterator[FeedBatch]:
        began, origin = self._clock.ticks() // 1000, self._clock.now()
        first: int | None = None
        quotes: list[RawQuote] = []
        unread: Counter[str] = Counter()
        heartbeat = 0
        for row in rows(self._path, self._format):
            if not isinstance(row, RawQuote):
                unread[row] += 1
                continue
            first = row.at if first is None else first
            if self._speed is None:
                quotes.append(replace(row, at=self._clock.now()))
                if len(quotes) >= MAX_BATCH:
                    yield FeedBatch(quotes, tuple(self.symbols), unread)
                    quotes, unread = [], Counter()
                    await asyncio.sleep(0)
                continue
            due = int((row.at - first) / self._speed)
            while (now := self._clock.ticks() // 1000 - began) < due:
                alive = tuple(self.symbols) if now >= heartbeat else ()
                heartbeat = now + HEARTBEAT_US if alive else heartbeat
                if quotes or alive or unread:
                    yield FeedBatch(quotes, alive, unread)
                    quotes, unread = [], Counter()
                await asyncio.sleep(max(0.001, min(due - now, heartbeat - now) / 1e6))
            quotes.append(replace(row, at=origin + due))
            if len(quotes) >= MAX_BATCH:
                yield FeedBatch(quotes, (), unread)
                quotes, unread = [], Counter()
                await asyncio.sleep(0)
        yield FeedBatch(quotes, tuple(self.symbols), unread)
        if self._loops:
            await asyncio.sleep(PAUSE_BETWEEN_LOOPS_US / 1e6)


def known_symbols(pairs: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Ways in which vendors write a pair → our id. `pairs`: id → (base, quote)."""
    found: dict[str, str] = {}
    for instrument_id, (base, quote) in pairs.items():
        for joint in ("/", "", "-", "_", "."):
            found[f"{base}{joint}{quote}"] = instrument_id
    return found
