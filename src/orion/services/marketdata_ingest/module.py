"""Builds ingest: which feeds, of which instruments, and their way to the bus."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from orion.core.instrument import AssetClass, Instrument
from orion.core.ticks import Cross, Leg, Rules, Tick
from orion.platform import telemetry
from orion.platform.config import ConfigError
from orion.platform.errors import Coded
from orion.platform.module import Module, Ports
from orion.platform.publish import Publisher
from orion.platform.rpc import rpc_errors
from orion.services.marketdata_ingest.config import Config, recording_of, scenario_of, speed_of
from orion.services.marketdata_ingest.feed import Feed
from orion.services.marketdata_ingest.formats import UnknownFormat
from orion.services.marketdata_ingest.ingest import Ingest
from orion.services.marketdata_ingest.intake import Intake
from orion.services.marketdata_ingest.mock_venue import VenueFeed, mock_line_source
from orion.services.marketdata_ingest.outlet import STATUS, TICKS, BusOutlet
from orion.services.marketdata_ingest.replay import ReplayFeed, known_symbols
from orion.services.marketdata_ingest.rpc import HOP, MarketFeedRpc
from orion.services.marketdata_ingest.sim_feed import SimFeed
from orion.services.marketdata_ingest.simulator import MARKET, SimInstrument, Simulator
from orion.wire.proto import instrument_from_proto
from orion.wire.stubs import (
    marketdata_pb2,
    marketdata_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)

MOCK_VENUE = {"GBP-USD": ("GBPUSD", 1.2754), "AUD-USD": ("AUDUSD", 0.7048)}
LEGS = {"*": (Leg.TIMES, Leg.TIMES), "/": (Leg.TIMES, Leg.OVER)}


class Service:
    """Ingest from its settings to its tasks."""

    def __init__(self, ports: Ports, config: Config):
        self._ports, self._config = ports, config
        platform = ports.settings.platform
        self._seed: int = platform.seed
        self._scenario = scenario_of(platform.scenario)
        self._recording = recording_of(platform.replay)
        self._speed = speed_of(platform.speed)
        self._loops = not platform.once
        publisher = partial(
            Publisher, ports.store, ports.clock, log=ports.log, address=ports.address
        )
        ticks = publisher(TICKS)
        status = publisher(STATUS, beside=ticks)
        self.publishers = [ticks, status]
        self.outlet = BusOutlet(ticks, status)
        self.ingest: Ingest | None = None
        self._replayed: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Learns the instruments, waits for its turn, and runs the feeds as long as no other copy
        does.
        """
        while True:
            instruments = await self._instruments()
            await self.outlet.until_ready()
            self.ingest = self.assemble(instruments)
            feeding = asyncio.ensure_future(self._feed(self.ingest))
            deposed = asyncio.ensure_future(self.outlet.until_elsewhere())
            try:
                await asyncio.wait((feeding, deposed), return_when=asyncio.FIRST_COMPLETED)
                if feeding.done():
                    feeding.result()
                telemetry.log.warning("another copy feeds now")
            finally:
                self.ingest = None
                for task in (feeding, deposed):
                    task.cancel()
                await asyncio.gather(feeding, deposed, return_exceptions=True)

    async def _feed(self, ingest: Ingest) -> None:
        await ingest.run()
        # Every feed has ended (a recording that is played once): what is silent now is told as
        # stale.
        while True:
            await asyncio.sleep(self._config.look_ms / 1000)
            if status := ingest.intake.look(self._ports.clock.now()):
                await self.outlet.tell((), status)

    async def _instruments(self) -> dict[str, Instrument]:
        where = self._ports.directory
        while True:
            try:
                stub = reference_pb2_grpc.ReferenceServiceStub(where.channel("reference"))
                async with rpc_errors():
                    answer = await stub.ListInstruments(
                        reference_pb2.ListInstrumentsRequest(),
                        timeout=5,
                        metadata=where.as_service(),
                    )
                found = [instrument_from_proto(m) for m in answer.instruments]
                return {i.instrument_id: i for i in found if i.enabled}
            except Coded as error:
                telemetry.log.debug("waiting for reference data", error=str(error))
                await asyncio.sleep(0.05)

    def assemble(self, instruments: Mapping[str, Instrument]) -> Ingest:
        """The feeds of this configuration, and what takes them in."""
        feeds: list[Feed] = []
        replay = self._replay(instruments)
        taken: set[str] = set()
        crosses: list[Cross] = []
        if replay is not None:
            feeds.append(replay)
            legs = set(replay.symbols.values())
            crosses = crosses_of(legs, instruments)
            taken = legs | {c.instrument_id for c in crosses}
            self._replayed = frozenset(taken)
        if self._config.mock_venue:
            feeds.append(self._mock(taken))
            taken |= {i for i, _ in MOCK_VENUE.values()}
        sim = self._sim(instruments, taken)
        feeds.append(sim)
        rules = Rules(
            late_after_us=self._config.late_ms * 1000,
            future_after_us=self._config.future_ms * 1000,
            drop_crossed=self._config.drop_crossed,
        )
        clock = self._ports.clock
        intake = Intake(instruments, rules, crosses=crosses, at=clock.now())
        others = frozenset(taken)

        def follow(feed: str, tick: Tick) -> None:
            # Simulated crosses with a leg that comes from elsewhere follow that leg.
            if feed != sim.name and tick.mid is not None and tick.instrument_id in others:
                sim.pin(tick.instrument_id, float(tick.mid))

        return Ingest(
            feeds,
            intake,
            self.outlet,
            clock,
            in_flight=self._config.in_flight,
            look_ms=self._config.look_ms,
            on_tick=follow if taken else None,
        )

    def _replay(self, instruments: Mapping[str, Instrument]) -> ReplayFeed | None:
        if self._recording is None:
            return None
        pairs = {
            i.instrument_id: (i.currency, i.quote_currency)
            for i in instruments.values()
            if i.asset_class is AssetClass.FX
        }
        try:
            return ReplayFeed(
                self._recording,
                known_symbols(pairs),
                self._ports.clock,
                speed=self._speed,
                loops=self._loops,
            )
        except (UnknownFormat, OSError) as error:
            remedy = "Give a file in a known format"
            raise ConfigError("ORION_REPLAY", str(error), remedy) from error

    def _mock(self, taken: set[str]) -> VenueFeed:
        open_to = {s: v for s, v in MOCK_VENUE.items() if v[0] not in taken}
        lines = mock_line_source(
            self._ports.clock, {s: mid for s, (_, mid) in open_to.items()}, seed=self._seed
        )
        return VenueFeed("MOCK", {s: i for s, (i, _) in open_to.items()}, lines)

    def _sim(self, instruments: Mapping[str, Instrument], taken: set[str]) -> SimFeed:
        derived = {c for c in taken if c in _market()["crosses"]}
        specs = [spec_of(i) for n, i in instruments.items() if n not in derived]
        today = datetime.fromtimestamp(self._ports.clock.now() / 1e6, UTC).date()
        simulator = Simulator(
            self._seed, specs, as_of=today, scenario=self._scenario, rate=self._config.rate
        )
        sim = SimFeed(simulator, self._ports.clock, without=taken)
        for leg in taken:
            simulator.pin(leg, 0.0)
        return sim

    def pulse(self) -> marketdata_pb2.FeedPulse:
        """How the feeds do now."""
        ingest = self.ingest
        status = marketdata_pb2.FeedStatus(
            mode="REPLAY" if self._recording else "SIM",
            scenario=self._scenario,
            seed=self._seed,
            speed=self._speed if self._recording else None,
            replayed=sorted(self._replayed),
        )
        pulse = marketdata_pb2.FeedPulse(status=status)
        if ingest is None:
            return pulse
        account, told = ingest.intake.account, pulse.status
        told.received, told.published = account.received, account.published
        told.late, told.crossed, told.derived = account.late, account.crossed, account.derived
        told.dropped.update(account.dropped)
        told.finished = ReplayFeed.name in ingest.finished
        pulse.heartbeats.extend(
            marketdata_pb2.Heartbeat(instrument_id=n, at_us=at)
            for n, at in ingest.intake.signs().items()
        )
        return pulse

    def beat(self) -> asyncio.Event:
        """Set with the next sign of life of a feed."""
        return self.ingest.beat if self.ingest else asyncio.Event()

    def elsewhere(self) -> AsyncIterator[marketdata_pb2.FeedPulse] | None:
        """The pulse of the copy that feeds, where that is another."""
        address = self.outlet.leader
        if self.ingest is not None or address in ("", self._ports.address):
            return None
        where = self._ports.directory
        stub = marketdata_pb2_grpc.MarketFeedServiceStub(
            where.channel("marketdata_ingest", address)
        )
        return stub.WatchFeed(
            marketdata_pb2.WatchFeedRequest(), metadata=(*where.as_service(), HOP)
        )

    def ready(self) -> str | None:
        """None, or why not yet."""
        if self.outlet.is_elsewhere():
            return None  # it stands by
        if self.ingest is None:
            return self.outlet.ready() or "the instruments are not known yet"
        return None


def spec_of(i: Instrument) -> SimInstrument:
    """What the simulator needs of an instrument."""
    return SimInstrument(
        i.instrument_id,
        i.asset_class.value,
        i.tick_size,
        float(i.pip),
        coupon=float(i.coupon or 0),
        maturity=_day(i.maturity),
        curve=i.curve,
    )


def _day(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text).date()


def crosses_of(legs: set[str], instruments: Mapping[str, Instrument]) -> list[Cross]:
    """The crosses whose legs are both in the recording."""
    return [
        Cross(
            name,
            row["a"],
            LEGS[row["op"]][0],
            row["b"],
            LEGS[row["op"]][1],
            instruments[name].tick_size,
        )
        for name, row in _market()["crosses"].items()
        if name in instruments and row["a"] in legs and row["b"] in legs and name not in legs
    ]


def _market() -> Mapping[str, Any]:
    return tomllib.loads(Path(MARKET).read_text())


def build(ports: Ports, config: Config) -> Module:
    """Ingest as a module."""
    service = Service(ports, config)
    tasks: Sequence[Any] = [p.run for p in service.publishers]
    return Module(
        name="marketdata_ingest",
        rpc=[
            (
                marketdata_pb2_grpc.add_MarketFeedServiceServicer_to_server,
                MarketFeedRpc(service),
            )
        ],
        tasks=[*tasks, service.run],
        ready=service.ready,
        leave=[p.leave for p in service.publishers],
    )
