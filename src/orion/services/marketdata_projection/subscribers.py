"""Streams of ticks, bounded. Who wants every tick gets every tick; who is too slow for that gets
the newest of each instrument. Who asks for conflation never gets anything else, in a beat or when
he asks, and costs next to nothing per tick: a screen cannot show more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress

from orion.core.ticks import Tick
from orion.platform import telemetry
from orion.wire.stubs import marketdata_pb2

Message = marketdata_pb2.MarketTick
MAX_BATCH = 1_000
SLOW_S = 1.0
ANSWER_S = 1.0  # so long at most a demand waits for its answer
_CONFLATED = telemetry.counter("md_ticks_conflated", "Ticks a slow subscriber was not sent")
_OPEN = telemetry.gauge("md_subscribers", "Open streams of ticks")


class _Stream:
    """What both kinds have in common. `wanted` None: everything."""

    def __init__(self, wanted: frozenset[str] | None):
        self._wanted = wanted
        self._status: list[marketdata_pb2.StatusChange] = []
        self._beats: dict[str, int] = {}
        self._event = asyncio.Event()

    def wants(self, name: str) -> bool:
        """True when this instrument belongs to the stream."""
        return self._wanted is None or name in self._wanted

    def change(self, status: Sequence[marketdata_pb2.StatusChange]) -> None:
        """Feeds that fell silent or came back. Never blocks."""
        self._status.extend(s for s in status if self.wants(s.instrument_id))
        if self._status:
            self._event.set()

    def beat(self, signs: Iterable[tuple[str, int]]) -> None:
        """Signs of life of feeds."""
        self._beats.update((n, at) for n, at in signs if self.wants(n))
        if self._beats:
            self._event.set()

    def _batch(self, ticks: Sequence[Message], taken: int = 0) -> marketdata_pb2.TickBatch:
        status, self._status = self._status, []
        beats, self._beats = self._beats, {}
        return marketdata_pb2.TickBatch(
            ticks=ticks,
            status=status,
            heartbeats=[
                marketdata_pb2.Heartbeat(instrument_id=n, at_us=at) for n, at in beats.items()
            ],
            taken=taken,
        )


class Subscriber(_Stream):
    """A stream of every tick, up to `most` that wait."""

    def __init__(self, wanted: frozenset[str] | None, most: int):
        super().__init__(wanted)
        self._most = most
        self._ticks: list[Message] = []
        # instead of `_ticks` while it is too slow
        self._newest: dict[str, Message] | None = None

    def offer(self, ticks: Sequence[Message]) -> None:
        """Adds what is new. Never blocks."""
        mine = (
            ticks if self._wanted is None else [t for t in ticks if t.instrument_id in self._wanted]
        )
        if self._newest is None and len(self._ticks) + len(mine) > self._most:
            self._newest = {t.instrument_id: t for t in self._ticks}
            _CONFLATED.inc(len(self._ticks) - len(self._newest))
            self._ticks = []
        if self._newest is None:
            self._ticks.extend(mine)
        else:
            before = len(self._newest)
            self._newest.update((t.instrument_id, t) for t in mine)
            _CONFLATED.inc(before + len(mine) - len(self._newest))
        if mine:
            self._event.set()

    async def batches(self, gather_s: float) -> AsyncIterator[marketdata_pb2.TickBatch]:
        """What is new, for ever. What comes within `gather_s` leaves together."""
        while True:
            await self._event.wait()
            if gather_s:
                await asyncio.sleep(gather_s)
            yield self._next()

    def _next(self) -> marketdata_pb2.TickBatch:
        if self._newest is not None:
            ticks, self._newest = list(self._newest.values()), None
        else:
            ticks = self._ticks[:MAX_BATCH]
            del self._ticks[:MAX_BATCH]
        if not self._ticks:
            self._event.clear()
        return self._batch(ticks)


class Newest(_Stream):
    """What has moved since the last batch. `newest` is asked when a batch leaves, so nothing is
    made that is not sent.
    """

    def __init__(self, wanted: frozenset[str] | None, newest: Callable[[str], Message | None]):
        super().__init__(wanted)
        self._newest = newest
        self._moved: set[str] = set()
        self._taken = 0

    def mark(self, names: Sequence[str]) -> None:
        """These instruments have ticked, in this order. Never blocks."""
        mine = names if self._wanted is None else [n for n in names if n in self._wanted]
        if mine:
            self._taken += len(mine)
            self._moved.update(mine)
            self._event.set()

    def _next(self) -> marketdata_pb2.TickBatch:
        moved, self._moved = self._moved, set()
        taken, self._taken = self._taken, 0
        self._event.clear()
        found = (self._newest(name) for name in moved)
        batch = self._batch([m for m in found if m is not None], taken)
        _CONFLATED.inc(max(0, taken - len(batch.ticks)))
        return batch


class Conflated(Newest):
    """A stream of the newest tick of each instrument, at once after a quiet interval and otherwise
    once in each.
    """

    def __init__(
        self,
        wanted: frozenset[str] | None,
        newest: Callable[[str], Message | None],
        interval_s: float,
    ):
        super().__init__(wanted, newest)
        self._interval_s = interval_s

    async def batches(self, gather_s: float) -> AsyncIterator[marketdata_pb2.TickBatch]:
        """What is new, for ever. What comes within `gather_s` of a first tick leaves with it."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._event.wait()
            now = loop.time()
            # From a fixed beat, so that being late once does not make all later ones late.
            due = max(due, now + gather_s)
            await asyncio.sleep(due - now)
            due += self._interval_s
            yield self._next()


class Demanded(Newest):
    """A stream that says something when it is asked: the newest tick of each instrument that has
    moved since it was asked before.
    """

    def __init__(self, wanted: frozenset[str] | None, newest: Callable[[str], Message | None]):
        super().__init__(wanted, newest)
        self._now = asyncio.get_running_loop().time
        self._last, self._gap_s = 0.0, SLOW_S  # when ticks came, and how far apart they come

    def mark(self, names: Sequence[str]) -> None:
        """See Newest."""
        before, now = self._taken, self._now()
        super().mark(names)
        if self._taken > before and now > self._last:
            self._gap_s += (min(now - self._last, SLOW_S) - self._gap_s) / 8
            self._last = now

    async def answer(self, patience_s: float) -> marketdata_pb2.TickBatch:
        """What is new, as soon as anything is; nothing after a second without. Where ticks come in
        quick groups, what is new already waits up to `patience_s` for the next: so it leaves just
        after a group and not, as like as not, just before one.
        """
        if not self._event.is_set():
            await self._until_new(ANSWER_S)
        elif self._gap_s <= patience_s:
            late = self._last + 2 * self._gap_s  # then they have stopped coming
            if (left := late - self._now()) > 0:
                self._event.clear()
                await self._until_new(min(left, patience_s))
        return self._next()

    async def _until_new(self, most_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._event.wait()


class Subscribers:
    """All streams of this process. `message` makes of a tick what is sent."""

    def __init__(self, message: Callable[[Tick], Message]) -> None:
        self._message = message
        self._raw: dict[Subscriber, None] = {}
        self._newest: dict[Newest, None] = {}

    def __len__(self) -> int:
        return len(self._raw) + len(self._newest)

    def add(self, stream: Subscriber | Newest) -> None:
        """A stream begins."""
        if isinstance(stream, Newest):
            self._newest[stream] = None
        else:
            self._raw[stream] = None
        _OPEN.set(len(self))

    def remove(self, stream: Subscriber | Newest) -> None:
        """A stream has ended."""
        if isinstance(stream, Newest):
            self._newest.pop(stream, None)
        else:
            self._raw.pop(stream, None)
        _OPEN.set(len(self))

    def offer(self, ticks: Sequence[Tick], status: Sequence[marketdata_pb2.StatusChange]) -> None:
        """To all."""
        if ticks and self._raw:
            messages = [self._message(tick) for tick in ticks]
            for stream in self._raw:
                stream.offer(messages)
        if ticks and self._newest:
            names = [tick.instrument_id for tick in ticks]
            for stream in self._newest:
                stream.mark(names)
        if status:
            for stream in (*self._raw, *self._newest):
                stream.change(status)

    def beat(self, signs: Sequence[tuple[str, int]]) -> None:
        """To all."""
        for stream in (*self._raw, *self._newest):
            stream.beat(signs)
