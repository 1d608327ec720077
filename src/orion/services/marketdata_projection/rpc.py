"""MarketDataService: snapshots, streams and history for those who may see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from orion.core.entitlement import Grants, may_see
from orion.core.permissions import Permission, may
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.module import Ports
from orion.platform.rpc import current_caller
from orion.services.marketdata_projection import queries
from orion.services.marketdata_projection.config import Config
from orion.services.marketdata_projection.projector import Projector
from orion.services.marketdata_projection.subscribers import (
    Conflated,
    Demanded,
    Newest,
    Subscriber,
)
from orion.wire.stubs import marketdata_pb2, marketdata_pb2_grpc

MAX_NAMES = 1_000
MAX_CONFLATE_MS = 10_000
MAX_PATIENCE_MS = 100
MINUTE_US = 60_000_000


class MarketDataRpc(marketdata_pb2_grpc.MarketDataServiceServicer):
    """Reads of the projection. What the caller may not see is not there."""

    def __init__(self, projector: Projector, ports: Ports, config: Config):
        self._projector, self._config = projector, config
        self._database = ports.database
        self._clock: Clock = ports.clock

    async def GetSnapshot(self, request: Any, context: Any) -> Any:
        names = self._visible(current_caller(), request.instrument_ids)
        ticks, origin = await self._projector.snapshot(names)
        return marketdata_pb2.SnapshotResponse(
            ticks=ticks, as_of_us=self._clock.now(), served_from=origin
        )

    async def StreamTicks(self, request: Any, context: Any) -> AsyncIterator[Any]:
        wanted = self._wanted(request.instrument_ids)
        book, config = self._projector.book, self._config
        if request.conflate_ms:
            mine = Conflated(wanted, book.message, min(request.conflate_ms, MAX_CONFLATE_MS) / 1000)
        else:
            mine = Subscriber(wanted, config.subscriber_ticks)
        with self._open(mine):
            yield self._snapshot(mine)
            async for batch in mine.batches(config.batch_ms / 1000):
                yield batch

    async def PullTicks(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        mine: Demanded | None = None
        with ExitStack() as stack:
            async for demand in request_iterator:
                if mine is None:
                    wanted = self._wanted(demand.instrument_ids)
                    mine = Demanded(wanted, self._projector.book.message)
                    stack.enter_context(self._open(mine))
                    yield self._snapshot(mine)
                else:
                    yield await mine.answer(min(demand.patience_ms, MAX_PATIENCE_MS) / 1000)

    def _wanted(self, names: Sequence[str]) -> frozenset[str] | None:
        """What the caller asks for and may see; None: everything."""
        caller = current_caller()
        is_whole = caller.service is not None and not names
        return None if is_whole else frozenset(self._visible(caller, names))

    @contextmanager
    def _open(self, stream: Subscriber | Newest) -> Iterator[None]:
        everyone = self._projector.subscribers
        if len(everyone) >= self._config.subscribers:
            raise Coded("WS-504", "Too many streams")
        everyone.add(stream)
        try:
            yield
        finally:
            everyone.remove(stream)

    def _snapshot(self, stream: Subscriber | Newest) -> Any:
        book = self._projector.book
        names = [n for n in book.names if stream.wants(n)]
        return marketdata_pb2.TickBatch(ticks=book.snapshot(names), snapshot=True)

    async def GetHistory(self, request: Any, context: Any) -> Any:
        name = request.instrument_id
        if self._visible(current_caller(), [name]) != [name]:
            raise Coded("MD-402")
        now = self._clock.now()
        minutes = min(request.minutes or 30, self._config.history_minutes)
        answer = marketdata_pb2.HistoryResponse(as_of_us=now)
        found = {
            b.at_us: b for b in await queries.bars(self._database, name, now - minutes * MINUTE_US)
        }
        book = self._projector.book
        waiting = [b for b in book.finished if b.instrument_id == name]
        for bar in (*waiting, *filter(None, [book.bars.get(name)])):
            if bar.at not in found or found[bar.at].ticks <= bar.ticks:
                found[bar.at] = bar.to_proto()
        answer.bars.extend(found[at] for at in sorted(found))
        return answer

    async def GetFeedStatus(self, request: Any, context: Any) -> Any:
        _check(current_caller())
        if self._projector.feed is None:
            raise Unavailable("The feeds have not told anything yet")
        return self._projector.feed

    def _visible(self, caller: Caller, names: Iterable[str]) -> list[str]:
        _check(caller)
        classes = self._projector.classes
        asked = list(dict.fromkeys(names))
        if len(asked) > MAX_NAMES:
            raise Coded("MD-401")
        if caller.service is not None:
            return asked or list(classes or self._projector.book.names)
        if not classes:
            raise Unavailable("Reference data is not known yet")
        g = caller.grants
        if g is None:
            return []
        grants = Grants(
            g.asset_classes, g.instrument_ids, g.venue_ids, g.max_notional, g.rfq_per_minute
        )
        return [n for n in asked or classes if n in classes and may_see(grants, n, classes[n])]


def _check(caller: Caller) -> None:
    if caller.service is None and not may(caller.roles, Permission.MARKET_READ):
        raise Coded("AUTH-103")
