"""What the RFQ service knows of the world: instruments, venues and dealers, prices, which dealers
are connected."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orion.core.instrument import Dealer, Instrument, Venue
from orion.core.limits import usd_rate
from orion.core.rfq.commands import Candidate
from orion.core.ticks import MarketDataRecovered, MarketDataStaleDetected, Tick
from orion.core.values import SECOND
from orion.platform import telemetry
from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import rpc_errors
from orion.services.rfq.config import Config
from orion.wire.envelope import InvalidEvent, decode
from orion.wire.proto import dealer_from_proto, instrument_from_proto, venue_from_proto
from orion.wire.stubs import (
    lp_pb2,
    lp_pb2_grpc,
    marketdata_pb2,
    marketdata_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)

PAUSE_S = 0.2
OPENING_US = 30 * SECOND  # an instrument that has no price by then starts stale
OTHERS_US = 5 * SECOND  # after the first price of any: whose feed is silent holds up nobody else


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a dealer is connected, and since when."""

    connected: bool
    since: int


class Prices:
    """The latest mid of each instrument, and which are stale. Ticks are read only when someone
    asks."""

    def __init__(self, bus: Bus, directory: Any):
        self._bus, self._directory = bus, directory
        self._stub = marketdata_pb2_grpc.MarketDataServiceStub(
            directory.channel("marketdata_projection")
        )
        self._raw: dict[str, bytes] = {}
        self._mids: dict[str, Decimal] = {}
        self._stale: set[str] = set()
        self.known = asyncio.Event()

    def mid(self, instrument_id: str) -> Decimal | None:
        """The latest mid, or None when there was none."""
        raw = self._raw.pop(instrument_id, None)
        if raw is not None:
            tick = decode(raw)[1]
            if isinstance(tick, Tick) and tick.mid is not None:
                self._mids[instrument_id] = tick.mid
        return self._mids.get(instrument_id)

    def any(self) -> bool:
        """Whether there was a price of any instrument."""
        return bool(self._raw or self._mids)

    def is_stale(self, instrument_id: str) -> bool:
        """True when the feed is silent, or when there never was a price."""
        return instrument_id in self._stale or self.mid(instrument_id) is None

    def usd_rate(self, currency: str) -> Decimal | None:
        """USD for one unit of the currency."""
        pairs = (f"{currency}USD", f"USD{currency}")
        return usd_rate(currency, {p: m for p in pairs if (m := self.mid(p)) is not None})

    async def run(self) -> None:
        """Follows ticks and their status until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._snapshot())
            group.create_task(self._tail())

    async def _snapshot(self) -> None:
        """What was known before we listened; once."""
        while True:
            try:
                async with rpc_errors():
                    reply = await self._stub.GetSnapshot(
                        marketdata_pb2.SnapshotRequest(),
                        timeout=2.0,
                        metadata=self._directory.as_service(),
                    )
                break
            except Coded:
                await asyncio.sleep(PAUSE_S)
        for tick in reply.ticks:
            heard_since = tick.instrument_id in self._raw or tick.instrument_id in self._mids
            if tick.HasField("mid") and not heard_since:
                self._mids[tick.instrument_id] = Decimal(tick.mid)
                if "STALE" in tick.flags:
                    self._stale.add(tick.instrument_id)
        self.known.set()

    async def _tail(self) -> None:
        while True:
            try:
                async for records in self._bus.tail(("marketdata.ticks", "marketdata.status")):
                    for record in records:
                        self._hear(record)
            except Unavailable as away:
                telemetry.log.warning("prices are away", code=away.code)
                await asyncio.sleep(PAUSE_S)

    def _hear(self, record: Record) -> None:
        if record.topic == "marketdata.ticks":
            self._raw[record.entity] = record.body
            return
        try:
            event = decode(record.body)[1]
        except InvalidEvent as problem:
            telemetry.log.warning("a price status cannot be read", reason=problem.reason)
            return
        if isinstance(event, MarketDataStaleDetected):
            self._stale.add(record.entity)
        elif isinstance(event, MarketDataRecovered):
            self._stale.discard(record.entity)


class World:
    """Everything that a create needs to know, at once."""

    def __init__(self, *, clock: Clock, bus: Bus, directory: Any, config: Config):
        self.prices = Prices(bus, directory)
        self.instruments: dict[str, Instrument] = {}
        self.venues: dict[str, Venue] = {}
        self.dealers: dict[str, Dealer] = {}
        self._clock, self._bus, self._config = clock, bus, config
        self._directory = directory
        self._reference = reference_pb2_grpc.ReferenceServiceStub(directory.channel("reference"))
        self._gateway = lp_pb2_grpc.LPGatewayServiceStub(directory.channel("lp_gateway"))
        self._known_at: int | None = None  # when the last prices had been read
        self._priced_at: int | None = None  # when a first price was seen
        self._presence: dict[str, Presence] = {}
        self._asked: dict[str, deque[int]] = {}
        self._changed = asyncio.Event()

    def missing(self) -> str | None:
        """What a first RFQ would miss, or None. A feed that stays silent does not keep the service
        from starting: after a while its instruments are simply stale."""
        if not self.instruments:
            return "reference data is not known"
        if not self.prices.known.is_set():
            return "prices are not known"
        if not self._is_opening() or self._has_waited():
            return None
        unpriced = sum(self.prices.mid(i) is None for i in self.instruments)
        return f"{unpriced} instruments wait for a first price" if unpriced else None

    def unknown(self, instrument_id: str) -> str | None:
        """What must be heard before this instrument can be dealt in, or None. Just started, that
        nothing was heard yet is no reason to refuse for good what is right."""
        if not self.instruments:
            return "reference data is not known yet"
        instrument = self.instruments.get(instrument_id)
        if instrument is None or not self._is_opening():
            return None
        prices = self.prices
        if prices.mid(instrument_id) is None or prices.usd_rate(instrument.quote_currency) is None:
            return f"the price of {instrument_id} is not known yet"
        return None

    def _is_opening(self) -> bool:
        """Whether prices may still come: the last ones were not read, or only just now."""
        if not self.prices.known.is_set():
            return True
        if self._known_at is None:
            self._known_at = self._clock.now()
        return self._clock.now() - self._known_at <= OPENING_US

    def _has_waited(self) -> bool:
        """Whether others have had prices for a while."""
        if self._priced_at is None and self.prices.any():
            self._priced_at = self._clock.now()
        return self._priced_at is not None and self._clock.now() - self._priced_at > OTHERS_US

    def candidates(self, instrument_id: str, tenant: str) -> tuple[Candidate, ...]:
        """Every dealer, with what speaks against asking it now. Asking counts towards its
        throttle."""
        return tuple(
            Candidate(dealer, self._blocked(dealer, instrument_id, tenant))
            for dealer in self.dealers.values()
        )

    def _blocked(self, dealer: Dealer, instrument_id: str, tenant: str) -> str | None:
        if not dealer.enabled or instrument_id not in dealer.instrument_ids:
            return None  # core names the reason
        if dealer.tenant_ids and tenant not in dealer.tenant_ids:
            return None
        now = self._clock.now()
        presence = self._presence.get(dealer.lp_id)
        patience = int(self._config.absent_after_s * SECOND)
        if presence and not presence.connected and now - presence.since > patience:
            return "NOT_CONNECTED"
        recent = self._asked.setdefault(dealer.lp_id, deque())
        while recent and recent[0] <= now - SECOND:
            recent.popleft()
        if len(recent) >= dealer.max_requests_per_second * self._config.throttle_scale:
            return "THROTTLED"
        recent.append(now)
        return None

    async def run(self) -> None:
        """Keeps all of it up to date until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.prices.run())
            group.create_task(self._follow_reference())
            group.create_task(self._follow_changes())
            group.create_task(self._follow_presence())

    async def _follow_reference(self) -> None:
        while True:
            pause = self._config.reference_refresh_s
            self._changed.clear()
            try:
                async with rpc_errors():
                    await self._read_reference()
            except Coded as away:
                telemetry.log.warning("reference is away", code=away.code)
                pause = PAUSE_S
            try:
                async with asyncio.timeout(pause):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _read_reference(self) -> None:
        stub, metadata = self._reference, self._directory.as_service()
        instruments = await stub.ListInstruments(
            reference_pb2.ListInstrumentsRequest(), timeout=2.0, metadata=metadata
        )
        venues = await stub.ListVenues(
            reference_pb2.ListVenuesRequest(), timeout=2.0, metadata=metadata
        )
        dealers = await stub.ListDealers(
            reference_pb2.ListDealersRequest(), timeout=2.0, metadata=metadata
        )
        self.venues = {v.venue_id: venue_from_proto(v) for v in venues.venues}
        self.dealers = {d.lp_id: dealer_from_proto(d) for d in dealers.dealers}
        self.instruments = {
            i.instrument_id: instrument_from_proto(i) for i in instruments.instruments
        }

    async def _follow_changes(self) -> None:
        while True:
            try:
                async for records in self._bus.tail(("admin.changes",)):
                    if records:
                        self._changed.set()
            except Unavailable:
                await asyncio.sleep(PAUSE_S)

    async def _follow_presence(self) -> None:
        """While the gateway is away nobody counts as absent: requests wait in the log until it is
        back."""
        while True:
            try:
                async with rpc_errors():
                    watch = self._gateway.WatchDealers(
                        lp_pb2.WatchDealersRequest(), metadata=self._directory.as_service()
                    )
                    async for news in watch:
                        for dealer in news.dealers:
                            presence = Presence(dealer.connected, dealer.since_us)
                            self._presence[dealer.lp_id] = presence
            except Coded as away:
                telemetry.log.warning("the dealer gateway is away", code=away.code)
            self._presence.clear()
            await asyncio.sleep(PAUSE_S)
