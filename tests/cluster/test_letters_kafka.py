"""Dead letters of a consumer that hears Kafka: what can never be understood is set aside at once
and lies whole on a topic of Kafka's, what passes is tried again, and a replay after a fix has its
effect once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

pytest.importorskip("confluent_kafka")

from orion.app import topics
from orion.app.letters import letter_copy, letter_fact
from orion.core.reference import VenueUpdated
from orion.platform import deadletters
from orion.platform.bus.kafka import KafkaBus
from orion.platform.bus.port import Record
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.bus.topics import Topic
from orion.platform.clock import SystemClock
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.errors import InvalidMessage
from orion.platform.publish import Publisher
from orion.platform.relay import Relay
from orion.platform.relay_marks import RelayMarks
from orion.platform.store.port import LETTER_TOPIC
from orion.platform.store.postgres import PostgresStore
from orion.platform.transact_words import Fact
from orion.platform.verify import verify
from orion.wire.envelope import InvalidEvent, decode
from tests.cluster.conftest import empty, environment
from tests.platform.bus_case import Seen
from tests.platform.conftest import running
from tests.platform.processes import until
from tests.postgres import TestDatabase

if TYPE_CHECKING:
    from orion.app.servers.kafka import KafkaServer

pytestmark = pytest.mark.cluster
EVENTS, LETTERS = "toy.events", "dlq.audit"
SPECS = {
    EVENTS: Topic(EVENTS, 2, owner="toy"),
    LETTER_TOPIC: Topic(LETTER_TOPIC, 1, owner="platform"),
    LETTERS: Topic(LETTERS, 1, owner="platform"),
}
QUICK = ConsumerLimits(pace_ms=1, retries_s=(0.01, 0.02), look_s=0.05, standby_s=0.05)


def event(entity: str, seq: int, **changes: Any) -> bytes:
    """An envelope as it travels, with a payload that must not be seen by everybody."""
    body = {
        "eventId": f"{entity}:{seq}", "eventType": VenueUpdated.__name__, "eventVersion": 1,
        "occurredAt": "2026-02-09T12:34:56.789Z", "producer": "test", "tenantId": "alpha",
        "correlationId": "story", "causationId": "cause",
        "entity": {"entityType": "Venue", "entityId": entity, "sequence": seq},
        "payload": {"notional": "8123456.00", "client": "Zebra Capital"},
    }  # fmt: skip
    return msgspec.json.encode({**body, **changes})


@dataclass
class Reader:
    """A handler as services have them: it decodes, and keeps what it has seen in a table. `knows`:
    the newest version of an event that its code can read.
    """

    knows: int = 1
    mends: bool = False
    calls: Counter[str] = field(default_factory=Counter)

    async def __call__(self, records: Sequence[Record], sql: Any) -> None:
        await sql.execute("set local lock_timeout = '30ms'")
        for r in records:
            self.calls[r.event_id] += 1
            self._check(r)
            await sql.execute(
                "insert into toy.rm_notes (tenant, id, notes) values ($1, $2, 1)",
                r.tenant, r.event_id,
            )  # fmt: skip

    def _check(self, r: Record) -> None:
        try:
            found = msgspec.json.decode(r.body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            if not self.mends:
                raise InvalidMessage(r.topic, r.part, r.offset, str(error)) from error
            return
        if found["eventVersion"] > self.knows:
            try:
                decode(r.body)
            except InvalidEvent as error:
                said = f"{error} with {found['payload']['client']}"
                raise InvalidMessage(r.topic, r.part, r.offset, said) from error


class Stage:
    """A log with a publisher, the relay, and a consumer of Kafka's."""

    def __init__(self, db: TestDatabase, settings: Any) -> None:
        self.db, self.settings = db, settings
        self.store, self.log = self._pair()
        self.bus = KafkaBus(settings, topics=SPECS)
        self.publisher = Publisher(
            self.store, SystemClock(), EVENTS, log=self.log, address="test", spec=SPECS[EVENTS]
        )
        self.marks = RelayMarks(db.writer)
        mine = self._pair()
        self.relay = Relay(
            log=mine[1], marks=self.marks, leases=mine[0], settings=settings,
            clock=SystemClock(), address="relay", topics=SPECS,
        )  # fmt: skip
        self.made = [self.marks, self.store, self.log, self.bus, *mine]

    def _pair(self) -> tuple[PostgresStore, PostgresBus]:
        ring = Ring()
        store = PostgresStore(self.db.writer, ring, say=letter_fact, keep=letter_copy)
        return store, PostgresBus(self.db.writer, ring=ring, topics=SPECS)

    def consumer(self, handler: Reader) -> Consumer:
        return Consumer(
            "readers", "audit", (EVENTS,), handler, self.bus, self.store, "7", QUICK, SPECS
        )

    async def say(self, entity: str, *bodies: bytes, first: int = 1) -> None:
        facts = [
            Fact(EVENTS, entity, n, "VenueUpdated", f"{entity}:{n}", body)
            for n, body in enumerate(bodies, first)
        ]
        await self.publisher.publish("alpha", entity, *facts)

    async def seen(self) -> list[str]:
        sql = await asyncpg.connect(self.db.owner)
        rows = await sql.fetch("select id, notes from toy.rm_notes order by id")
        await sql.close()
        assert all(r[1] == 1 for r in rows)
        return [r[0] for r in rows]

    async def position(self, count: int) -> None:
        async with asyncio.timeout(60):
            while sum((await self.store.positions("readers")).values()) < count:
                await asyncio.sleep(0.01)

    async def letters(self) -> list[Any]:
        return await deadletters.list_letters(self.store, consumer="readers")

    async def on_kafka(self, topic: str, count: int) -> list[Record]:
        seen = Seen(self.bus.tail([topic], start={}))
        await until(lambda: len(seen.records) >= count)
        await seen.stop()
        return seen.records


@pytest.fixture
async def stage(kafka: KafkaServer, toy_relayed: TestDatabase) -> AsyncIterator[Stage]:
    await empty(toy_relayed)
    settings = environment(kafka)
    topics.apply(settings, SPECS)
    one = Stage(toy_relayed, settings)
    async with running(one.publisher, one.relay):
        yield one
    for part in one.made:
        await part.close()


async def test_poison_lies_whole_on_kafka_and_what_follows_it_waits(stage: Stage) -> None:
    poison = b"\x00\xff{ no JSON"
    reader = Reader()
    async with running(stage.consumer(reader)):
        await stage.say("sick", event("sick", 1), poison, event("sick", 3))
        await stage.say("well", event("well", 1))
        await stage.position(4)
        assert await stage.seen() == ["sick:1", "well:1"]
        assert [(x.parked, x.attempts) for x in await stage.letters()] == [(False, 1), (True, 0)]
        kept = await stage.on_kafka(LETTERS, 2)
        words = [decode(r.body)[1] for r in kept]
        assert [w.encoding for w in words] == ["base64", "utf-8"]
        assert msgspec.json.decode(f'"{words[0].original}"', type=bytes) == poison
        assert "Traceback" in words[0].stack and words[0].consumer_version == "7"
        assert words[1].original.encode() == event("sick", 3)
        told = [decode(r.body)[1] for r in await stage.on_kafka(LETTER_TOPIC, 2)]
        assert all(w.original == w.stack == "" for w in told)  # everybody's topic has no values
        reader.mends = True
        asked = await deadletters.replay_letters(stage.store, consumer="readers", by="ann")
        assert len(asked) == 2
        await until_none(stage)
        assert await stage.seen() == ["sick:1", "sick:2", "sick:3", "well:1"]
        history = await stage.on_kafka(LETTER_TOPIC, 4)
        assert [decode(r.body)[1].by for r in history[2:]] == ["ann", "ann"]
        ends = await stage.bus.ends(EVENTS)
        assert sum(ends.values()) == 4  # nothing went back to the topic
    await is_green(stage)


async def test_a_newer_schema_waits_for_a_newer_consumer(stage: Stage) -> None:
    newer = event("a", 1, eventVersion=9)
    async with running(stage.consumer(Reader())):
        await stage.say("a", newer, event("a", 2))
        await stage.say("b", event("b", 1, eventVersion=9))
        await stage.position(3)
        letters = await stage.letters()
        first = next(x for x in letters if x.record.entity == "a")
        assert "VenueUpdated" in first.error and first.attempts == 1
        shown = "\n".join(deadletters.described(first, [], reveal=False))
        assert "Zebra" in first.error and "Zebra" not in shown and "8123456" not in shown
        assert '"client":"***"' in shown and "a:1" in shown and "InvalidMessage" in shown
    async with running(stage.consumer(Reader(knows=9))):
        last = next(x for x in letters if x.record.event_id == "a:2").record
        place = (last.topic, last.part, last.offset)
        asked = await deadletters.replay_letters(
            stage.store, consumer="readers", at=[place], by="ben"
        )
        assert {x.record.event_id for x in asked} == {"a:1", "a:2"}  # none overtakes another
        await until_none(stage, left=1)
        assert await stage.seen() == ["a:1", "a:2"]
        assert not await deadletters.replay_letters(stage.store, consumer="readers", at=[place])
    await is_green(stage)


async def test_what_passes_is_no_letter(stage: Stage) -> None:
    """The database is in the way for a while; nothing is set aside, nothing is lost or doubled."""
    reader = Reader()
    async with running(stage.consumer(reader)), in_the_way(stage.db):
        await stage.say("a", event("a", 1), event("a", 2))
        await until(lambda: reader.calls["a:1"] >= 2)
        assert await stage.letters() == []
        assert sum((await stage.store.positions("readers")).values()) == 0
    async with running(stage.consumer(reader)):
        await stage.position(2)
        assert await stage.seen() == ["a:1", "a:2"]
        assert await stage.letters() == []
    assert (await stage.bus.ends(LETTERS))[0] == 0


@asynccontextmanager
async def in_the_way(db: TestDatabase) -> AsyncIterator[None]:
    sql = await asyncpg.connect(db.owner)
    transaction = sql.transaction()
    await transaction.start()
    await sql.execute("lock table toy.rm_notes in share mode")
    yield
    await transaction.rollback()
    await sql.close()


async def until_none(stage: Stage, left: int = 0) -> None:
    async with asyncio.timeout(60):
        while len(await stage.letters()) > left:
            await asyncio.sleep(0.02)


async def is_green(stage: Stage) -> None:
    report = await verify(stage.db.owner, services=(), specs=SPECS)
    assert report.violations == []
