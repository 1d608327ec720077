"""Streams to those who want every tick, bounded: who is too slow gets the newest of each instrument
instead of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from orion.platform import telemetry
from orion.wire.stubs import marketdata_pb2

Message = marketdata_pb2.MarketTick
MAX_BATCH = 1_000
_CONFLATED = telemetry.counter("md_ticks_conflated", "Ticks a slow subscriber was not sent")
_OPEN = telemetry.gauge("md_subscribers", "Open streams of ticks")


class Subscriber:
    """One stream. `wanted` None: everything."""

    def __init__(self, wanted: frozenset[str] | None, most: int):
        self._wanted, self._most = wanted, most
        self._ticks: list[Message] = []
        # instead of `_ticks` while it is too slow
        self._newest: dict[str, Message] | None = None
        self._status: list[marketdata_pb2.StatusChange] = []
        self._beats: dict[str, int] = {}
        self._event = asyncio.Event()

    def wants(self, name: str) -> bool:
        """True when this instrument belongs to the stream."""
        return self._wanted is None or name in self._wanted

    def offer(
        self, ticks: Sequence[Message], status: Iterable[marketdata_pb2.StatusChange] = ()
    ) -> None:
        """Adds what is new. Never blocks."""
        mine = (
            ticks if self._wanted is None else [t for t in ticks if t.instrument_id in self._wanted]
        )
        self._status.extend(s for s in status if self.wants(s.instrument_id))
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
        if mine or self._status:
            self._event.set()

    def beat(self, signs: Iterable[tuple[str, int]]) -> None:
        """Signs of life of feeds."""
        self._beats.update((n, at) for n, at in signs if self.wants(n))
        if self._beats:
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
        status, self._status = self._status, []
        beats, self._beats = self._beats, {}
        if not self._ticks:
            self._event.clear()
        return marketdata_pb2.TickBatch(
            ticks=ticks,
            status=status,
            heartbeats=[
                marketdata_pb2.Heartbeat(instrument_id=n, at_us=at) for n, at in beats.items()
            ],
        )


class Subscribers:
    """All streams of this process."""

    def __init__(self) -> None:
        self._all: dict[Subscriber, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, subscriber: Subscriber) -> None:
        """A stream begins."""
        self._all[subscriber] = None
        _OPEN.set(len(self._all))

    def remove(self, subscriber: Subscriber) -> None:
        """A stream has ended."""
        self._all.pop(subscriber, None)
        _OPEN.set(len(self._all))

    def offer(
        self, ticks: Sequence[Message], status: Sequence[marketdata_pb2.StatusChange]
    ) -> None:
        """To all."""
        for subscriber in self._all:
            subscriber.offer(ticks, status)

    def beat(self, signs: Sequence[tuple[str, int]]) -> None:
        """To all."""
        for subscriber in self._all:
            subscriber.beat(signs)
