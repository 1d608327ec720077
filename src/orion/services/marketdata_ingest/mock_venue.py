"""A mock of an outside venue: the worked example of an adapter.

The venue speaks JSON lines over a byte stream, with its own symbols (`EUR-USD`), its own clock
(nanoseconds), firm and indicative quotes, keep-alive lines, and now and then a line that is not
what its manual promises. `VenueFeed` is what an adapter for a real venue looks like: connect, read,
translate, reconnect with back-off. `mock_line_source` stands in for the venue's socket.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

from orion.platform.clock import Clock
from orion.platform.ids import seeded
from orion.services.marketdata_ingest.feed import FeedBatch, RawQuote
from orion.services.marketdata_ingest.formats import venue_json

MAX_PAUSE_S = 5.0
Lines = Callable[[], AsyncIterator[str]]


class VenueFeed:
    """A feed over a venue's lines. `connect` opens the stream anew; its end or error means: connect
    again.
    """

    def __init__(self, name: str, symbols: Mapping[str, str], connect: Lines):
        self.name, self.symbols, self._connect = name, symbols, connect
        self.reconnects = 0

    async def batches(self) -> AsyncIterator[FeedBatch]:
        pause = 0.1
        while True:
            try:
                async for line in self._connect():
                    pause = 0.1
                    yield self._read(line)
            except (OSError, ConnectionError):
                self.reconnects += 1
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)

    def _read(self, line: str) -> FeedBatch:
        if line == '{"hb":1}':
            return FeedBatch(alive=tuple(self.symbols))
        row = venue_json(line)
        if isinstance(row, RawQuote):
            return FeedBatch([row])
        return FeedBatch(unread=Counter([row]))


def mock_line_source(
    clock: Clock, mids: Mapping[str, float], *, seed: int, per_second: float = 5.0
) -> Lines:
    """What the mock venue sends: quotes around these mids (by the venue's symbol), keep-alives, and
    one bad line in fifty.
    """

    async def lines() -> AsyncIterator[str]:
        chance = seeded(seed, "mock venue")
        at = dict(mids)
        while True:
            symbol = chance.choice(sorted(at))
            at[symbol] *= 1.0 + chance.gauss(0.0, 2e-5)
            mid, now = at[symbol], clock.now() * 1000
            row: dict[str, object] = {
                "i": symbol,
                "t": now,
                "b": f"{mid * 0.99998:.5f}",
                "o": f"{mid * 1.00002:.5f}",
                "x": "F" if chance.random() < 0.9 else "I",
            }
            yield '{"i": "EUR-USD", "t": ' if chance.random() < 0.02 else json.dumps(row)
            if chance.random() < 0.2:
                yield '{"hb":1}'
            await asyncio.sleep(1.0 / per_second)

    return lines
