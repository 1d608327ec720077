"""The running projection: the bus in, memory, cache, tables and streams out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from orion.core.ticks import MarketDataRecovered, MarketDataStaleDetected, Tick
from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.cache.port import Cache
from orion.platform.errors import Coded, Unavailable
from orion.platform.module import Ports
from orion.platform.rpc import rpc_errors
from orion.platform.store.port import Advance, CheckpointMoved, OutcomeUnknown
from orion.services.marketdata_projection import queries
from orion.services.marketdata_projection.book import Book, Message
from orion.services.marketdata_projection.config import Config
from orion.services.marketdata_projection.queries import SERVICE, SHARED
from orion.services.marketdata_projection.subscribers import Subscribers
from orion.wire.envelope import InvalidEvent, decode
from orion.wire.stubs import (
    marketdata_pb2,
    marketdata_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)

TOPICS = ("marketdata.ticks", "marketdata.status")
NAME = "rm_market_snapshot"  # of the read model, and of its positions
SPACE = "market.snapshot"
HEAL_S = 10.0
CATALOGUE_S = 30.0
PRUNE_S = 60.0
MAX_PAUSE_S = 2.0
_LAG = telemetry.gauge("md_projection_lag_seconds", "Age of the newest tick when it was projected")
_INVALID = telemetry.counter("md_projection_invalid", "Records that could not be read")
_LOST = telemetry.counter("md_cache_lost", "Writes the cache did not take")


class Projector:
    """Follows the bus and keeps everything else up to date."""

    def __init__(self, ports: Ports, config: Config):
        self._ports, self._config = ports, config
        self._cache: Cache = ports.cache
        self.book = Book(config.bar_s * 1_000_000)
        self.subscribers = Subscribers(self.book.told)
        self.classes: dict[str, str] = {}  # instrument → asset class
        self.feed: marketdata_pb2.FeedStatus | None = None
        self.is_caught_up = False
        self._taken: dict[tuple[str, int], int] = {}  # how far the book has come
        self._saved: dict[tuple[str, int], int] = {}  # how far the tables have

    # -- the bus

    async def follow(self) -> None:
        """Restores, then follows the bus for ever."""
        await self._restore()
        async for records in self._ports.bus.tail(TOPICS, start=self._saved):
            if not records:
                self.is_caught_up = True
                continue
            self.take(records)

    async def _restore(self) -> None:
        """The tables, and the positions that they were written with: from there on the log tells
        the rest, so that every tick counts once.
        """
        pause = 0.1
        while True:
            try:
                # Positions first and last: another copy may still write.
                self._saved = await self._ports.store.positions(NAME)
                stored = await queries.snapshot(self._ports.database)
                bars = await queries.last_bars(self._ports.database, self.book.bar_us)
                if self._saved == await self._ports.store.positions(NAME):
                    break
            except Unavailable as error:
                telemetry.log.warning("stored prices cannot be read yet", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)
        self._taken = dict(self._saved)
        self.book.restore(stored, queries.days_of(stored), bars)

    def take(self, records: Sequence[Record]) -> None:
        """Records in the order of the log."""
        ticks: list[Tick] = []
        status: list[marketdata_pb2.StatusChange] = []
        newest = 0
        for record in records:
            try:
                _, event = decode(record.body)
            except InvalidEvent:
                _INVALID.inc()
                continue
            match event:
                case Tick():
                    self.book.tick(event)
                    ticks.append(event)
                    newest = event.received_at
                case MarketDataStaleDetected() | MarketDataRecovered():
                    status.append(self.book.status(event))
        if records:
            last = records[-1]
            self._taken[last.topic, last.part] = last.offset + 1
        if newest:
            _LAG.set(max(0, self._ports.clock.now() - newest) / 1e6)
        self.subscribers.offer(ticks, status)

    # -- how the feeds do

    async def watch_feed(self) -> None:
        """Follows ingest's pulse for ever: signs of life are no events, they come this way."""
        where, pause = self._ports.directory, 0.1
        while True:
            try:
                stub = marketdata_pb2_grpc.MarketFeedServiceStub(where.channel("marketdata_ingest"))
                call = stub.WatchFeed(
                    marketdata_pb2.WatchFeedRequest(), metadata=where.as_service()
                )
                async for pulse in call:
                    pause = 0.1
                    self.feed = pulse.status
                    signs = [(b.instrument_id, b.at_us) for b in pulse.heartbeats]
                    self.book.signs.update(signs)
                    self.subscribers.beat(signs)
            except Exception as error:
                telemetry.log.debug("the feeds' pulse is lost", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)

    async def catalogue(self) -> None:
        """Keeps the instruments' asset classes: entitlements need them."""
        where = self._ports.directory
        while True:
            pause = CATALOGUE_S
            try:
                stub = reference_pb2_grpc.ReferenceServiceStub(where.channel("reference"))
                async with rpc_errors():
                    answer = await stub.ListInstruments(
                        reference_pb2.ListInstrumentsRequest(),
                        timeout=5,
                        metadata=where.as_service(),
                    )
                self.classes = {i.instrument_id: i.asset_class for i in answer.instruments}
            except Coded:
                pause = 2.0 if self.classes else 0.1
            await asyncio.sleep(pause)

    # -- cache and tables

    async def write_cache(self) -> None:
        """Writes what has changed, conflated; everything now and then, so that an emptied cache
        heals.
        """
        waited = HEAL_S
        while True:
            await asyncio.sleep(self._config.cache_ms / 1000)
            waited += self._config.cache_ms / 1000
            names = self._touched()
            if waited >= HEAL_S:
                names, waited = set(self.book.names), 0.0
            if not names:
                continue
            values = {m.instrument_id: m.SerializeToString() for m in self.book.snapshot(names)}
            try:
                await self._cache.put(SPACE, values)
            except Unavailable:
                self.book.touched |= names
                _LOST.inc()

    def _touched(self) -> set[str]:
        """What has changed since the last look; the tables' writer has yet to see it."""
        names, self.book.touched = self.book.touched, set()
        self.book.unsaved |= names
        return names

    async def write_tables(self) -> None:
        """Writes what has changed, conflated, and finished bars; prunes old ones."""
        since_prune = 0.0
        while True:
            await asyncio.sleep(self._config.store_ms / 1000)
            since_prune += self._config.store_ms / 1000
            await self.save()
            if since_prune >= PRUNE_S:
                since_prune = 0.0
                await self._prune()

    async def save(self) -> None:
        """One write of the tables, with the positions up to which they are true. What could not be
        written waits for the next.
        """
        book, taken = self.book, dict(self._taken)
        advances = [
            Advance(NAME, t, p, self._saved.get((t, p), 0), end)
            for (t, p), end in taken.items()
            if end != self._saved.get((t, p), 0)
        ]
        if not advances:
            return
        names, book.unsaved = book.unsaved | book.touched, set()
        bars, book.finished = book.unsaved_bars(names), []
        prices = [queries.snapshot_row(message) for message in book.snapshot(sorted(names))]
        rows = [queries.bar_row(bar, book.bar_us) for bar in bars]
        try:
            async with self._ports.store.effect(SERVICE, [SHARED], advances) as sql:
                await queries.save(sql, prices, rows)
        except (Unavailable, OutcomeUnknown, CheckpointMoved) as error:
            book.unsaved |= names
            book.finished = [*bars, *book.finished]
            if isinstance(error, CheckpointMoved):
                await self._realign()
            else:
                telemetry.log.warning("snapshots wait for the database", error=str(error))
        else:
            self._saved = taken

    async def _realign(self) -> None:
        """Another copy has written, or a write of ours of which no answer came. Where the tables
        are beyond the book, all that the book has is in them.
        """
        with suppress(Unavailable):
            self._saved = await self._ports.store.positions(NAME)
            if all(self._saved.get(head, 0) >= end for head, end in self._taken.items()):
                self.book.unsaved.clear()
                self.book.finished.clear()

    async def _prune(self) -> None:
        try:
            before = self._ports.clock.now() - self._config.keep_hours * 3_600_000_000
            await queries.prune(self._ports.database, before)
        except Unavailable:
            telemetry.log.debug("old bars wait for the database")

    # -- answers

    async def snapshot(self, names: Sequence[str]) -> tuple[list[Message], str]:
        """The newest prices of these instruments, and where they came from. Raises MD-403 when
        nothing knows. A cache that came back with an old memory, or another copy that writes it
        late, hides nothing that is known here.
        """
        found, origin = await self._shared(names)
        for name in names:
            own, shown = self.book.message(name), found.get(name)
            if own is not None and (shown is None or own.timestamp_us > shown.timestamp_us):
                found.update((m.instrument_id, m) for m in self.book.snapshot([name]))
        return [found[n] for n in names if n in found], origin

    async def _shared(self, names: Sequence[str]) -> tuple[dict[str, Message], str]:
        try:
            held, without_cache = await self._cache.get(SPACE, names), "cache"
        except Unavailable:
            held, without_cache = {}, "store"
        found = {n: Message.FromString(v) for n, v in held.items()}
        missing = [n for n in names if n not in found]
        if not missing:
            return found, "cache"
        try:
            stored = await queries.snapshot(self._ports.database, missing)
        except Unavailable as error:
            if not found:
                raise Coded("MD-403") from error
            return found, "cache"
        found.update((m.instrument_id, m) for m in stored)
        return found, "store" if stored and not held else without_cache
