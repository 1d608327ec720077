"""The relay on bad days: everything committed lies on Kafka, in order, whoever dies when."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

pytest.importorskip("confluent_kafka")

import confluent_kafka

from orion.platform.bus.port import Record
from orion.platform.clock import SystemClock
from orion.platform.publish import Publisher
from orion.platform.relay import Relay
from orion.platform.relay_line import FencedProducer, line_of
from orion.platform.relay_marks import RelayMarks
from orion.platform.transact import Fact
from tests.cluster.conftest import World, broker, empty, with_topics
from tests.platform.bus_case import Seen, writing
from tests.platform.conftest import Place, running
from tests.platform.processes import until
from tests.platform.toy import TOPICS
from tests.postgres import TestDatabase

if TYPE_CHECKING:
    from orion.app.servers.kafka import KafkaServer

pytestmark = pytest.mark.cluster
EVENTS, TICKS = "toy.events", "toy.ticks"


@asynccontextmanager
async def owner(world: World) -> AsyncIterator[Any]:
    """Somebody who writes to the log."""
    store, log = world.log()
    async with writing(Place("log", store, log, world.log, world.dsn)) as write:
        yield write


async def on_kafka(world: World, count: int, topic: str = EVENTS) -> list[Record]:
    """What a reader of Kafka gets, when it is so many."""
    seen = Seen(world.bus().tail([topic], start={}))
    try:
        await until(lambda: len(seen.records) >= count)
    finally:
        await seen.stop()
    assert len(seen.records) == count
    assert seen.in_order()
    return seen.records


async def raw(world: World, topic: str = EVENTS) -> list[int]:
    """How often each log position lies on Kafka, repeats and all: one number for each message."""
    from orion.platform.bus.kafka_past import reader_options

    spec = TOPICS[topic]
    consumer = confluent_kafka.Consumer(reader_options(world.settings, "test"))
    parts = [
        confluent_kafka.TopicPartition(spec.name(world.settings.env), p, 0)
        for p in range(spec.partitions)
    ]
    consumer.assign(parts)
    ended: set[int | None] = set()
    found: list[int] = []
    async with asyncio.timeout(60):
        while len(ended) < spec.partitions:
            for message in await asyncio.to_thread(consumer.consume, 500, 0.2):
                if message.error() is not None:
                    ended.add(message.partition())
                else:
                    headers = dict(message.headers() or ())
                    found.append(int(str(headers["offset"], "ascii")))
    consumer.close()
    return found


def entities_in_order(records: Sequence[Record]) -> bool:
    """The sequence of each entity counts 1, 2, 3 …"""
    last: dict[tuple[str, str], int] = {}
    for r in records:
        name = (r.tenant, r.entity)
        if r.seq != last.get(name, 0) + 1:
            return False
        last[name] = r.seq
    return True


async def test_records_arrive_whole_and_in_order(world: World) -> None:
    async with running(world.relay()), owner(world) as write:
        await write(300, "alpha", 1)
        await write(300, "beta")
        found = await on_kafka(world, 600)
        notes = await on_kafka(world, 300, "toy.notes")
    assert entities_in_order(found) and entities_in_order(notes)
    _, log = world.log()
    for part, end in (await log.ends(EVENTS)).items():
        ours = [r for r in found if r.part == part]
        assert list(await log.read(EVENTS, part, 0, 1_000)) == ours
        assert len(ours) == end
    assert {r.tenant for r in found} == {"alpha", "beta"}


async def test_a_relay_killed_before_its_mark_repeats_and_readers_drop(world: World) -> None:
    """Kafka has acknowledged, the mark is not written: the next one looks where Kafka stands; a
    second one that does not look publishes everything again, and nobody sees it twice.
    """
    async with owner(world) as write:
        await write(200)
        reader = Seen(world.bus().tail([EVENTS], start={}))
        async with running(world.relay(mark_s=1_000.0)) as _:
            await until(lambda: len(reader.records) == 200)
        marks = RelayMarks(world.dsn)
        await _forget_marks(world)
        async with running(world.relay("second")):
            await write(100)
            await until(lambda: len(reader.records) == 300)
        assert sorted(await raw(world)) == sorted(r.offset for r in reader.records)  # none twice
        await _forget_marks(world)
        careless = world.relay("third")
        careless._where = _begin_at_the_mark  # type: ignore[method-assign]
        async with running(careless):
            await write(100)
            await until(lambda: len(reader.records) == 400)
        assert len(await raw(world)) == 700
        assert reader.in_order()
        await reader.stop()
        assert sum(m.offset for m in (await marks.read()).values()) == 400
        await marks.close()
    await on_kafka(world, 400)


async def _begin_at_the_mark(_topic: Any, _number: int, mark: int) -> int:
    return mark


async def _forget_marks(world: World) -> None:
    sql = await asyncpg.connect(world.dsn)
    await sql.execute("update bus.relayed set offs = 0")
    await sql.close()


async def test_two_relays_share_and_one_takes_over(world: World) -> None:
    first, second = world.relay("one"), world.relay("two")
    async with owner(world) as write, running(second):
        async with running(first):
            await until(lambda: len(first.tenure.parts) == len(second.tenure.parts) == 4)
            assert not first.tenure.parts.keys() & second.tenure.parts.keys()
            await write(400)
            await on_kafka(world, 400)
        await until(lambda: len(second.tenure.parts) == 8)
        await write(400)
        found = await on_kafka(world, 800)
    assert entities_in_order(found)
    assert sorted(await raw(world)) == sorted(r.offset for r in found)


async def test_a_late_producer_publishes_nothing(world: World) -> None:
    async with owner(world) as write:
        await write(50)
    _, log = world.log()
    part, _ = max((await log.ends(EVENTS)).items(), key=lambda x: x[1])
    records = await log.read(EVENTS, part, 0)
    late, next_ = (line_of(world.settings, TOPICS[EVENTS], part) for _ in range(2))
    await asyncio.to_thread(late.open)
    await asyncio.to_thread(late.publish, records[:1])
    await asyncio.to_thread(next_.open)
    with pytest.raises(FencedProducer):
        await asyncio.to_thread(late.publish, records[1:])
    await asyncio.to_thread(next_.publish, records[1:])
    for line in (late, next_):
        await asyncio.to_thread(line.close)
    assert await raw(world) == [r.offset for r in records]


async def test_a_late_producer_of_prices_only_repeats(world: World) -> None:
    """Prices go without the fence: what the late one still sends, readers have heard."""
    records = [replace(r, topic=TICKS) for r in await _written(world)]
    part = records[0].part
    late, next_ = (line_of(world.settings, TOPICS[TICKS], part) for _ in range(2))
    for line, first, end in ((late, 0, 5), (next_, 5, 12), (late, 5, 9), (next_, 12, 20)):
        await asyncio.to_thread(line.open)
        await asyncio.to_thread(line.publish, records[first:end])
    for line in (late, next_):
        await asyncio.to_thread(line.close)
    assert await on_kafka(world, 20, TICKS) == records
    assert len(await raw(world, TICKS)) == 24


async def _written(world: World) -> list[Record]:
    """Twenty records of one partition."""
    async with owner(world) as write:
        await write(400)
    _, log = world.log()
    part, _ = max((await log.ends(EVENTS)).items(), key=lambda x: x[1] if x[0] < 4 else 0)
    return list(await log.read(EVENTS, part, 0, 20))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_relay_that_falls_silent_is_replaced(world: World, number: signal.Signals) -> None:
    """In a process of its own, ended or stopped in the middle; a stopped one wakes up late."""
    async with owner(world) as write:
        process = await _process(world)
        await write(200)
        reader = Seen(world.bus().tail([EVENTS], start={}))
        await until(lambda: len(reader.records) >= 1)
        process.send_signal(number)
        await write(200)
        async with running(world.relay("heir")):
            await until(lambda: len(reader.records) == 400)
            process.send_signal(signal.SIGCONT) if number == signal.SIGSTOP else None
            await write(200)
            await until(lambda: len(reader.records) == 600)
        assert reader.in_order() and entities_in_order(reader.records)
        await reader.stop()
    if process.returncode is None:
        process.kill()
    await process.wait()
    await on_kafka(world, 600)


async def _process(world: World) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.cluster.relay_process"),
        *(world.dsn, world.settings.bootstrap, world.settings.env),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": "src:."},
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"relaying\n"
    return process


@pytest.mark.parametrize("bad_day", ["kill", "stop", "pause"])
async def test_the_broker_goes_and_comes_back(toy_relayed: TestDatabase, bad_day: str) -> None:
    await empty(toy_relayed)
    async with broker() as server:
        world = World(toy_relayed.writer, with_topics(server))
        async with running(world.relay()), owner(world) as write:
            reader = Seen(world.bus().tail([EVENTS], start={}))
            await write(200)
            await until(lambda: len(reader.records) == 200)
            await _away(server, bad_day)
            await write(200)  # trading goes on
            assert len(reader.records) == 200
            await _back(server, bad_day)
            await until(lambda: len(reader.records) == 400)
            await write(200)
            await until(lambda: len(reader.records) == 600)
            assert reader.in_order() and entities_in_order(reader.records)
            await reader.stop()
        await world.close()


@pytest.mark.parametrize("bad_day", ["kill", "pause"])
async def test_prices_go_on_when_the_broker_is_back(
    toy_relayed: TestDatabase, bad_day: str
) -> None:
    await empty(toy_relayed)
    async with broker() as server:
        world = World(toy_relayed.writer, with_topics(server))
        async with running(world.relay()), ticking(world) as tick:
            reader = Seen(world.bus().tail([TICKS], start={}))
            await tick(200)
            await until(lambda: len(reader.records) == 200)
            await _away(server, bad_day)
            await tick(200)
            await asyncio.sleep(12)  # longer than a producer keeps what it could not send
            await _back(server, bad_day)
            await until(lambda: len(reader.records) == 400)
            await tick(200)
            await until(lambda: len(reader.records) == 600)
            assert reader.in_order() and entities_in_order(reader.records)
            await reader.stop()
        await world.close()


@asynccontextmanager
async def ticking(world: World) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Somebody who publishes prices of seven instruments."""
    store, log = world.log()
    spec = TOPICS[TICKS]
    publisher = Publisher(store, SystemClock(), TICKS, log=log, address="ticks", spec=spec)

    async def tick(count: int) -> None:
        for i in range(count):
            name = f"EURUSD{i % 7}"
            number = publisher.sequence("shared", name)
            fact = Fact(TICKS, name, number, "Ticked", f"{name}:{number}", b"{}")
            assert publisher.offer("shared", name, fact)
        await publisher.flush()

    async with running(publisher):
        yield tick


async def _away(server: KafkaServer, bad_day: str) -> None:
    if bad_day == "pause":
        server.process.pause()
    elif bad_day == "kill":
        await server.process.kill()
    else:
        await server.stop()


async def _back(server: KafkaServer, bad_day: str) -> None:
    if bad_day == "pause":
        server.process.resume()
    else:
        await server.start()


async def test_a_gap_in_the_log_stops_the_relay(world: World, toy_relayed: TestDatabase) -> None:
    relay = world.relay(stopped_s=0.2)
    async with owner(world) as write:
        await write(200)
        part, end = max((await relay.log.ends(EVENTS)).items(), key=lambda x: x[1])
        sql = await asyncpg.connect(toy_relayed.owner)
        hidden = await sql.fetchrow(
            "delete from bus.log where topic = $1 and part = $2 and offs = $3 returning *",
            EVENTS, part, end - 3,
        )  # fmt: skip
        async with running_unready(relay):
            await until(lambda: (EVENTS, part) in relay.stopped)
            assert str(end - 3) in (relay.ready() or "") or "gap" in (relay.ready() or "")
            assert relay.positions[EVENTS, part] < end
            places = ", ".join(f"${n}" for n in range(1, len(hidden) + 1))
            await sql.execute(f"insert into bus.log values ({places})", *hidden)
            await until(lambda: (EVENTS, part) not in relay.stopped)
            await on_kafka(world, 200)
        await sql.close()


async def test_a_restored_database_is_not_published_over(
    world: World, toy_relayed: TestDatabase
) -> None:
    """Kafka has more than the log says: the owner would give the same numbers to other events."""
    async with owner(world) as write, running(world.relay()):
        await write(200)
        await on_kafka(world, 200)
    sql = await asyncpg.connect(toy_relayed.owner)
    part, end = await sql.fetchrow(
        "select part, next from bus.head where topic = $1 order by next desc limit 1", EVENTS
    )
    await sql.execute(
        "update bus.log set event_id = 'another' where topic = $1 and part = $2 and offs = $3",
        EVENTS, part, end - 1,
    )  # fmt: skip
    await sql.close()
    relay = world.relay("after")
    async with owner(world) as write, running_unready(relay):
        await write(200)
        await until(lambda: (EVENTS, part) in relay.stopped)
        assert "another record" in relay.stopped[EVENTS, part]


@asynccontextmanager
async def running_unready(relay: Relay) -> AsyncIterator[None]:
    """Of a relay that is to stop: `running` would wait for it to be ready."""
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
