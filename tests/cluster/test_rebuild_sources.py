"""Read models made anew from Kafka alone and from the archive on S3, when the log has forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("obstore")
pytest.importorskip("pyarrow")

import confluent_kafka.admin

from orion.app.servers.seaweed import SeaweedPorts, SeaweedServer
from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.archive_bus import ArchivedBus
from orion.platform.archive_read import ArchiveReader
from orion.platform.archive_turn import ArchiveTurn
from orion.platform.blob.port import everything
from orion.platform.blob.s3 import S3Blob
from orion.platform.bus.kafka_ends import Ends
from orion.platform.clock import SystemClock
from orion.platform.config import PlatformConfig
from orion.platform.consume import ConsumerLimits
from orion.platform.project_run import projector
from orion.platform.rebuild import LogIncomplete, compare, rebuild
from tests.cluster.conftest import World
from tests.platform.bus_case import Seen, writing
from tests.platform.conftest import Place, running
from tests.platform.processes import until
from tests.platform.toy import TOPICS, Totals
from tests.postgres import TestDatabase

pytestmark = pytest.mark.cluster
QUICK = ConsumerLimits(pace_ms=1, look_s=0.05)
HEARD = ("toy.events", "toy.notes")


@pytest.fixture(scope="module")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PlatformConfig]:
    server = SeaweedServer(tmp_path_factory.mktemp("s3"), SeaweedPorts.unused())
    await server.start()
    yield PlatformConfig(
        blob_url=f"s3://{server.bucket}/archive",
        blob_endpoint=server.endpoint,
        blob_credentials_file=str(server.credentials_file),
    )
    await server.stop()


@pytest.fixture
async def blob(s3: PlatformConfig) -> AsyncIterator[S3Blob]:
    async with S3Blob.open(s3) as one:
        yield one


def archiver(world: World, blob: S3Blob, rows: int = 70) -> Archiver:
    limits = ArchiveLimits(rows=rows, wait_s=0.0, idle_s=0.05)
    return Archiver(
        world.bus(), blob, SystemClock(),
        env=world.settings.env, topics=HEARD, limits=limits, specs=TOPICS,
    )  # fmt: skip


def archived(world: World, blob: S3Blob) -> ArchivedBus:
    reader = ArchiveReader(blob, env=world.settings.env, specs=TOPICS)
    return ArchivedBus(reader, world.bus())


@asynccontextmanager
async def living(world: World) -> AsyncIterator[tuple[Any, Any]]:
    """A platform: somebody who writes, the relay, and a read model that is fed from Kafka."""
    store, log = world.log()
    mine = world.log()[0]
    live = projector(Totals(), bus=world.bus(), store=mine, limits=QUICK, specs=TOPICS)
    place = Place("log", store, log, world.log, world.dsn)
    async with writing(place) as write, running(world.relay()), running(live):

        async def applied(count: int) -> None:
            async with asyncio.timeout(60):
                while sum((await store.positions("rm_totals")).values()) < count:
                    await asyncio.sleep(0.01)

        yield write, applied


async def test_every_source_gives_the_same_while_events_flow(
    world: World, toy_relayed: TestDatabase, blob: S3Blob
) -> None:
    owner = toy_relayed.owner
    async with living(world) as (write, applied):
        await write(300, notes=1)
        await applied(600)
        work = archiver(world, blob)
        while await work.step(flush=True):
            pass
        await write(200, "beta")  # beyond what is archived
        await applied(800)
        for source in (None, world.bus(), archived(world, blob)):
            same = await compare(Totals(), owner, TOPICS, source=source)
            assert same.is_equal and same.records == 800
        sql = await asyncpg.connect(owner)
        for source in (world.bus(), archived(world, blob)):
            await sql.execute("update toy.rm_totals set total = total + 1")
            writes = asyncio.create_task(write(200))
            mended = await rebuild(Totals(), owner, TOPICS, source=source)
            assert not mended.is_equal
            await writes
        await sql.close()
        await applied(1_200)
        assert (await compare(Totals(), owner, TOPICS)).is_equal


async def test_what_the_log_and_kafka_forgot_the_archive_has(
    world: World, toy_relayed: TestDatabase, blob: S3Blob
) -> None:
    owner = toy_relayed.owner
    async with living(world) as (write, applied):
        await write(300, notes=1)
        await applied(600)
        work = archiver(world, blob)
        while await work.step(flush=True):
            pass
        await write(100)
        await applied(700)
        sql = await asyncpg.connect(owner)
        await sql.execute("delete from bus.log where topic = 'toy.events' and offs < 5")
        await sql.execute("update bus.head set kept = 5 where topic = 'toy.events'")
        await sql.close()
        with pytest.raises(LogIncomplete):
            await compare(Totals(), owner, TOPICS)
        assert (await compare(Totals(), owner, TOPICS, source=world.bus())).is_equal
        await asyncio.to_thread(forget, world, "toy.events", 6)
        with pytest.raises(LogIncomplete, match="begins after 0"):
            await compare(Totals(), owner, TOPICS, source=world.bus())
        whole = await rebuild(Totals(), owner, TOPICS, source=archived(world, blob))
        assert whole.is_equal and whole.records == 700


def forget(world: World, topic: str, count: int) -> None:
    """Kafka deletes the oldest of each partition, as its retention does."""
    name = TOPICS[topic].name(world.settings.env)
    ends = Ends(world.settings).both(name, range(TOPICS[topic].partitions))
    asked = [
        confluent_kafka.TopicPartition(name, part, min(low + count, high))
        for part, (low, high) in ends.items()
    ]
    admin = confluent_kafka.admin.AdminClient(world.settings.client("test"))
    for done in admin.delete_records(asked).values():
        done.result(20)


async def test_one_tail_over_archive_and_kafka(world: World, blob: S3Blob) -> None:
    """From the first record to those that come, without a gap or a repeat."""
    async with living(world) as (write, applied):
        await write(200)
        await applied(200)
        work = archiver(world, blob)
        while await work.step(flush=True):
            pass
        await write(100)
        both = Seen(archived(world, blob).tail(["toy.events"], start={}))
        await until(lambda: both.caught_up == 1 and len(both.records) == 300)
        await write(100)
        await until(lambda: len(both.records) == 400)
        assert both.in_order()
        await both.stop()


async def test_two_copies_of_the_archive_take_turns(world: World, blob: S3Blob) -> None:
    turns = [
        ArchiveTurn(archiver(world, blob), world.log()[0], SystemClock(), f"archive.{n}")
        for n in range(2)
    ]
    reader = ArchiveReader(blob, env=world.settings.env, specs=TOPICS)
    tail = Seen(reader.tail(["toy.events"], start={}))
    async with living(world) as (write, _):
        first, second = (asyncio.create_task(t.run()) for t in turns)
        await until(lambda: any(t.is_ours for t in turns))
        await write(200)
        await until(lambda: len(tail.records) == 200)
        assert sum(t.is_ours for t in turns) == 1
        mine, other = (0, 1) if turns[0].is_ours else (1, 0)
        (first, second)[mine].cancel()
        await until(lambda: turns[other].is_ours)
        await write(200)
        await until(lambda: len(tail.records) == 400)
        assert tail.in_order()
        (first, second)[other].cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    await tail.stop()
    names = [m.name async for m in everything(blob, f"{world.settings.env}/toy.events.v1/manifest")]
    assert len(names) == len(set(names)) > 0
