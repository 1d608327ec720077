"""Builds reference data: what is stored, compared with the seed files, and told when it differs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orion.core.ids import event_id
from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.config import ConfigError
from orion.platform.errors import NotOwner, Unavailable
from orion.platform.module import Module, Ports
from orion.platform.projector import Projector
from orion.platform.publish import Publisher
from orion.platform.transact_words import Fact
from orion.services.reference import queries
from orion.services.reference.catalogue import Catalogue, Change, entity_of
from orion.services.reference.config import Config
from orion.services.reference.projections import PROJECTIONS, TOPIC
from orion.services.reference.rpc import ReferenceRpc
from orion.services.reference.seeds import SHARED, SeedError, Seeds, load
from orion.wire.envelope import InvalidEvent, decode, encode
from orion.wire.registry import BY_CLASS
from orion.wire.stubs import marketdata_pb2, marketdata_pb2_grpc, reference_pb2_grpc

OVERLAP_US = 24 * 3_600_000_000  # the tables may lag behind the log by less than this
MAX_PAUSE_S = 2.0


class Service:
    """The catalogue and what keeps it true."""

    def __init__(self, ports: Ports, config: Config):
        self._ports = ports
        try:
            self._seeds: Seeds = load(config.seeds)
        except SeedError as error:
            raise ConfigError("ORION_REFERENCE_SEEDS", str(error), "Mend the seed files") from error
        self.publisher = Publisher(
            ports.store, ports.clock, TOPIC, log=ports.log, address=ports.address
        )
        self.catalogue: Catalogue | None = None
        self.replayed: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Reads what is stored and follows the log; the copy that owns the topic brings it up to
        the seed files.
        """
        held = await self._stored()
        since = self._ports.clock.now() - OVERLAP_US
        await self._overlay(held, since)
        if held.instruments:
            self._answer_from(held)  # good enough while another copy owns the topic
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lead(held, since))
            group.create_task(self._follow(held, since))

    def _answer_from(self, held: Catalogue) -> None:
        held.ordered(self._seeds)
        self.catalogue = held

    async def _lead(self, held: Catalogue, since: int) -> None:
        while self.publisher.ready() is not None:
            is_fed = self.catalogue is None and self.publisher.is_elsewhere()
            if is_fed and not held.changes(self._seeds, self._ports.clock.now()):
                self._answer_from(held)  # another copy brought it up, and all of it has come
            await asyncio.sleep(0.02)
        await self._overlay(held, since)
        await self._bring_up(held)
        self._answer_from(held)

    async def _follow(self, held: Catalogue, since: int) -> None:
        async for records in self._ports.log.tail((TOPIC,), since=since):
            self._take(held, records)

    async def _stored(self) -> Catalogue:
        pause = 0.05
        while True:
            try:
                return await queries.stored(self._ports.database)
            except Unavailable as error:
                telemetry.log.warning("reference data cannot be read yet", error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, MAX_PAUSE_S)

    async def _overlay(self, held: Catalogue, since: int) -> None:
        """Events that the tables do not hold yet."""
        bus = self._ports.log
        for part in await bus.ends(TOPIC):
            offset = await bus.offset_at(TOPIC, part, since)
            while records := await bus.read(TOPIC, part, offset):
                self._take(held, records)
                offset = records[-1].offset + 1

    def _take(self, held: Catalogue, records: Sequence[Record]) -> None:
        for record in records:
            try:
                _, event = decode(record.body)
            except InvalidEvent as error:
                telemetry.log.error("reference event cannot be read", error=str(error))
                continue
            held.apply(event)

    async def _bring_up(self, held: Catalogue) -> None:
        changes = held.changes(self._seeds, self._ports.clock.now())
        for event in changes:
            await self._publish(event)
            held.apply(event)
        if changes:
            telemetry.log.info("reference data changed by the seed files", changes=len(changes))

    async def _publish(self, event: Change) -> None:
        entity = entity_of(event)
        while True:
            try:
                sequence = self.publisher.sequence(SHARED, entity)
                # Instruments have sequences in other topics too: the topic is part of what makes an
                # event unique.
                name = event_id(SHARED, TOPIC, entity, sequence)
                body = encode(
                    event,
                    tenant=SHARED,
                    entity_id=entity,
                    sequence=sequence,
                    at=event.at,
                    producer="reference",
                    correlation_id=f"reference-{entity}",
                    causation_id=f"reference-{entity}",
                    event_id_=name,
                )
                kind = BY_CLASS[type(event)].event_type
                fact = Fact(TOPIC, entity, sequence, kind, name, body)
                await self.publisher.publish(SHARED, entity, fact)
                return
            except NotOwner:
                await asyncio.sleep(0.1)

    async def watch_feed(self) -> None:
        """Follows ingest's pulse for ever: which instruments come from a recording."""
        where, pause = self._ports.directory, 0.1
        while True:
            try:
                stub = marketdata_pb2_grpc.MarketFeedServiceStub(where.channel("marketdata_ingest"))
                call = stub.WatchFeed(
                    marketdata_pb2.WatchFeedRequest(), metadata=where.as_service()
                )
                async for pulse in call:
                    pause = 0.1
                    self.replayed = frozenset(pulse.status.replayed)
            except Exception as error:
                telemetry.log.debug("the feeds' pulse is lost", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)


def build(ports: Ports, config: Config) -> Module:
    """Reference data as a module."""
    service = Service(ports, config)
    projector = Projector(PROJECTIONS, ports.store, ports.bus, ports.clock)
    return Module(
        name="reference",
        rpc=[
            (
                reference_pb2_grpc.add_ReferenceServiceServicer_to_server,
                ReferenceRpc(service, ports.clock),
            )
        ],
        tasks=[service.publisher.run, service.run, service.watch_feed, projector.run],
        ready=lambda: None if service.catalogue is not None else "reference data is being read",
        leave=[service.publisher.leave],
    )
