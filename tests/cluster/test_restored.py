"""A database restored from a copy while Kafka and the archive are ahead of it: nothing goes on
until an operator declares what is lost; then everything does, and nobody hears what was abandoned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("pyarrow")

from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.archive_bus import ArchivedBus
from orion.platform.archive_read import ArchiveReader
from orion.platform.archive_read import verify as verify_archive
from orion.platform.blob.local import LocalBlob
from orion.platform.bus.kafka import KafkaBus
from orion.platform.bus.kafka_past import Past
from orion.platform.bus.port import Record
from orion.platform.clock import SystemClock
from orion.platform.consume import ConsumerLimits
from orion.platform.project_run import projector
from orion.platform.rebuild import compare
from orion.platform.relay_marks import RelayMarks
from orion.platform.restored import Diverged, Gap, Restored
from orion.platform.verify import verify
from tests.cluster.conftest import World, with_topics
from tests.cluster.test_relay import entities_in_order, on_kafka, raw, running_unready
from tests.platform.bus_case import Seen, writing
from tests.platform.conftest import Place, prepare, running
from tests.platform.processes import until
from tests.platform.toy import TOPICS, Totals
from tests.postgres import Server, TestDatabase

if TYPE_CHECKING:
    from orion.app.servers.kafka import KafkaServer

pytestmark = pytest.mark.cluster
EVENTS, NOTES = "toy.events", "toy.notes"
QUICK = ConsumerLimits(pace_ms=1, look_s=0.05)


@pytest.fixture
async def database(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0008", "0009", "0015", "0017") as db:
        await prepare(db)
        yield db


@pytest.fixture
async def world(kafka: KafkaServer, database: TestDatabase) -> AsyncIterator[World]:
    one = World(database.writer, with_topics(kafka))
    yield one
    await one.close()


class Backup:
    """A copy of the database's files, made by the server."""

    def __init__(self, server: Server, database: TestDatabase) -> None:
        self._server, self._db = server, database

    async def _do(self, *statements: str) -> None:
        sql = await asyncpg.connect(self._server.dsn("postgres", "test-postgres", "postgres"))
        for one in statements:
            await sql.execute(one)
        await sql.close()

    async def take(self) -> None:
        name = self._db.name
        await self._do(f"create database {name}_backup template {name} strategy file_copy")

    async def restore(self) -> None:
        name = self._db.name
        await self._do(
            f"drop database {name} with (force)", f"alter database {name}_backup rename to {name}"
        )


class Platform:
    """The processes of a toy platform, started anew each time it is entered."""

    def __init__(self, world: World, database: TestDatabase, blob: LocalBlob) -> None:
        self.world, self.database, self.blob = world, database, blob

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Any]:
        """The write of its owner, as `writing` gives it."""
        store, log = self.world.log()
        bus = await self.bus()
        live = projector(Totals(), bus=bus, store=self.world.log()[0], limits=QUICK, specs=TOPICS)
        place = Place("log", store, log, self.world.log, self.world.dsn)
        async with writing(place) as write, running(self.world.relay()), running(live):
            yield write
            await self._applied()
            work = Archiver(
                bus, self.blob, SystemClock(), env=self.world.settings.env,
                topics=(EVENTS, NOTES), limits=ArchiveLimits(rows=70, wait_s=0.0), specs=TOPICS,
            )  # fmt: skip
            while await work.step(flush=True):
                pass

    async def bus(self) -> KafkaBus:
        """As a process opens it."""
        marks = RelayMarks(self.world.dsn)
        bus = KafkaBus(self.world.settings, topics=TOPICS, abandoned=await marks.abandoned())
        await marks.close()
        self.world._made.append(bus)
        return bus

    async def _applied(self) -> None:
        store, log = self.world.log()
        ends = {(t, p): e for t in (EVENTS, NOTES) for p, e in (await log.ends(t)).items() if e}
        async with asyncio.timeout(60):
            while await store.positions("rm_totals") != ends:
                await asyncio.sleep(0.01)

    async def archived(self) -> ArchivedBus:
        reader = ArchiveReader(self.blob, env=self.world.settings.env, specs=TOPICS)
        marks = RelayMarks(self.world.dsn)
        declared = await marks.abandoned()
        await marks.close()
        return ArchivedBus(reader, await self.bus(), declared)

    async def violations(self) -> list[str]:
        owner = self.database.owner
        found = await verify(owner, services=["toy"], projections=[Totals()], specs=TOPICS)
        return found.violations


@asynccontextmanager
async def looking(platform: Platform) -> AsyncIterator[tuple[Restored, list[Gap]]]:
    """What `orion restored` sees."""
    world = platform.world
    async with AsyncExitStack() as stack:
        past = Past(world.settings, TOPICS, readers=2)
        stack.push_async_callback(past.close)
        one = await stack.enter_async_context(Restored.open(platform.database.owner, TOPICS))
        reader = ArchiveReader(platform.blob, env=world.settings.env, specs=TOPICS)
        ends = {(t, p): e for t in (EVENTS, NOTES) for p, e in (await reader.ends(t)).items()}
        known = {"Kafka": await one.published(past), "the archive": ends}
        yield one, one.compare(known)


@pytest.fixture
async def platform(world: World, database: TestDatabase, tmp_path: Path) -> Platform:
    return Platform(world, database, LocalBlob(tmp_path / "archive"))


@pytest.mark.timeout(300)
async def test_a_restored_database_goes_on_above_what_kafka_has(
    platform: Platform, postgres: Server
) -> None:
    world, backup = platform.world, Backup(postgres, platform.database)
    async with platform.run() as write:
        await write(200, notes=1)
    await world.close()
    await backup.take()
    async with platform.run() as write:
        await write(150, "alpha")
        await write(150, "lost")
    await world.close()
    await backup.restore()

    relay = world.relay("before", stopped_s=0.2)  # refuses to publish beneath what Kafka has
    async with running_unready(relay):
        await until(lambda: any("orion restored" in why for why in relay.stopped.values()))
    async with looking(platform) as (one, gaps):
        assert sum(g.until - g.next for g in gaps) == 300
        assert {who for g in gaps for who in g.ends} == {"Kafka", "the archive"}
        await one.declare(gaps, "cli:test")
        assert one.compare({"Kafka": {(g.topic, g.part): g.until for g in gaps}}) == []
    async with looking(platform) as (_, gaps):
        assert gaps == []

    async with platform.run() as write:
        await write(100, "alpha", 1)
        await write(100, "beta")
    assert await platform.violations() == []
    await _readers_agree(platform)
    await _a_lost_record_is_found(platform)


async def _readers_agree(platform: Platform) -> None:
    world, owner = platform.world, platform.database.owner
    assert await _tenants(owner) == {"alpha", "beta"}  # nothing of what was abandoned
    for source in (None, await platform.bus(), await platform.archived()):
        assert (await compare(Totals(), owner, TOPICS, source=source)).is_equal
    _, log = world.log()
    kafka, archived = await platform.bus(), await platform.archived()
    for topic, live in ((EVENTS, 400), (NOTES, 300)):
        reader = Seen((await platform.bus()).tail([topic], start={}))
        await until(lambda r=reader, n=live: len(r.records) >= n and r.caught_up)
        await reader.stop()
        assert len(reader.records) == live and entities_in_order(reader.records)
        for part, end in (await log.ends(topic)).items():
            here = list(await log.read(topic, part, 0, 1_000))
            assert [r.offset for r in here] == list(range(end))
            assert await _all(archived, topic, part, end) == here
            assert await _all(kafka, topic, part, end) == here
    # On Kafka and in the archive the abandoned ones stay as they were, each position once.
    assert len(await raw(world)) == sum((await log.ends(EVENTS)).values())
    assert "lost" in {r.tenant for r in await on_kafka(world, 700)}
    seen = await verify_archive(platform.blob, EVENTS, env=world.settings.env, specs=TOPICS)
    assert not seen.problems and not seen.gaps and seen.rows == 700


async def _all(bus: Any, topic: str, part: int, end: int) -> list[Record]:
    found: list[Record] = []
    await bus.ends(topic)
    while len(found) < end:
        found += await bus.read(topic, part, len(found), end)
    return found


async def _tenants(owner: str) -> set[str]:
    sql = await asyncpg.connect(owner)
    try:
        return {r["tenant"] for r in await sql.fetch("select distinct tenant from toy.rm_totals")}
    finally:
        await sql.close()


async def _a_lost_record_is_found(platform: Platform) -> None:
    """The declared range hides nothing but itself."""
    sql = await asyncpg.connect(platform.database.owner)
    await sql.execute(
        "delete from bus.log l using bus.abandoned a where l.topic = a.topic and l.part = a.part"
        " and l.offs = a.until"
    )
    assert any("gaps" in v for v in await platform.violations())
    await sql.execute("truncate bus.abandoned")
    assert any("not declared" in v for v in await platform.violations())
    await sql.close()


async def test_a_log_that_was_written_after_the_restore_is_refused(
    platform: Platform, postgres: Server
) -> None:
    backup = Backup(postgres, platform.database)
    async with platform.run() as write:
        await write(100)
    await platform.world.close()
    await backup.take()
    async with platform.run() as write:
        await write(100)
    await platform.world.close()
    await backup.restore()
    store, log = platform.world.log()
    place = Place("log", store, log, platform.world.log, platform.world.dsn)
    async with writing(place) as write:
        await write(30, "other")
    with pytest.raises(Diverged):
        async with looking(platform):
            pass
