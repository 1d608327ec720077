"""Who watches trades: a snapshot of the newest, then each trade as it is made, from the log, so
that every copy hears all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

from orion.core.trade import TradeExecuted
from orion.platform import telemetry
from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.services.execution.config import Config
from orion.wire.envelope import InvalidEvent, decode
from orion.wire.proto import trade_to_proto
from orion.wire.stubs import trade_pb2

MAX_ITEMS = 200
TOPIC = "execution.trades"
OVERLAP_US = 60 * 1_000_000
May = Callable[[trade_pb2.TradeDetails], bool]
_WATCHERS = telemetry.gauge("trade_watchers", "Streams that watch trades")


class Watcher:
    """One stream and what waits for it."""

    def __init__(self, may: May):
        self.may = may
        self.waiting: deque[trade_pb2.TradeDetails] = deque()
        self.wake = asyncio.Event()


class Hub:
    """The newest trades of each tenant, and everyone who wants to hear of the next."""

    def __init__(self, bus: Bus, clock: Clock, config: Config):
        self._bus, self._clock, self._config = bus, clock, config
        self._newest: dict[str, deque[trade_pb2.TradeDetails]] = {}
        self._watchers: set[Watcher] = set()
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follows the log until cancelled; what it knows is a view in memory of the log's end."""
        next_offset: dict[int, int] = {}
        while True:
            try:
                # The tail begins before the past is read, so nothing falls between; offsets tell
                # what was heard already, also when the tail begins anew.
                since = self._clock.now() - OVERLAP_US
                if not next_offset:
                    await self._read_back(next_offset)
                async for records in self._bus.tail((TOPIC,), since=since):
                    for record in records:
                        self._hear(record, next_offset)
                    if not records:
                        self.caught_up.set()
            except Unavailable as away:
                telemetry.log.warning("the log of trades is away", code=away.code)
                await asyncio.sleep(0.2)

    async def _read_back(self, next_offset: dict[int, int]) -> None:
        past: list[Record] = []
        for part, end in (await self._bus.ends(TOPIC)).items():
            offset = max(0, end - self._config.watch_snapshot)
            while offset < end and (records := await self._bus.read(TOPIC, part, offset)):
                past += records
                offset = records[-1].offset + 1
        for record in sorted(past, key=lambda r: (r.at, r.part, r.offset)):
            self._hear(record, next_offset)

    def _hear(self, record: Record, next_offset: dict[int, int]) -> None:
        if record.offset < next_offset.get(record.part, 0):
            return
        next_offset[record.part] = record.offset + 1
        try:
            event = decode(record.body)[1]
        except InvalidEvent as problem:
            telemetry.log.warning("a trade cannot be read", reason=problem.reason)
            return
        if isinstance(event, TradeExecuted):
            self._heard(trade_to_proto(event.trade))

    def _heard(self, trade: trade_pb2.TradeDetails) -> None:
        kept = self._newest.setdefault(trade.tenant_id, deque(maxlen=self._config.watch_snapshot))
        kept.append(trade)
        for watcher in self._watchers:
            if watcher.may(trade):
                watcher.waiting.append(trade)
                watcher.wake.set()

    def snapshot(self, may: May) -> list[trade_pb2.TradeDetails]:
        """The newest trades that may be seen, newest first."""
        found = [t for kept in self._newest.values() for t in kept if may(t)]
        return sorted(found, key=lambda t: (t.traded_at_us, t.trade_id), reverse=True)

    async def watch(self, may: May) -> AsyncIterator[trade_pb2.TradeUpdate]:
        """The snapshot, then trades as they are made. Raises WS-503 for a caller that does not
        read."""
        await self.caught_up.wait()
        watcher = Watcher(may)
        self._watchers.add(watcher)
        _WATCHERS.set(len(self._watchers))
        loop: Any = asyncio.get_running_loop()
        gap_s, last = self._config.watch_gap_ms / 1000, 0.0
        try:
            yield trade_pb2.TradeUpdate(items=self.snapshot(may), snapshot=True)
            while True:
                watcher.wake.clear()
                if not watcher.waiting:
                    await watcher.wake.wait()
                if (pause := last + gap_s - loop.time()) > 0:
                    await asyncio.sleep(pause)
                last = loop.time()
                if len(watcher.waiting) > self._config.watch_max_waiting:
                    raise Coded("WS-503")
                while watcher.waiting:
                    count = min(len(watcher.waiting), MAX_ITEMS)
                    items = [watcher.waiting.popleft() for _ in range(count)]
                    yield trade_pb2.TradeUpdate(items=items)
        finally:
            self._watchers.discard(watcher)
            _WATCHERS.set(len(self._watchers))
