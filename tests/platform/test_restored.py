"""A database that was put back to before: the log goes on above what others know, the declared
range harms nobody, and what is not declared is still found.
"""

from __future__ import annotations

from collections.abc import Mapping

import asyncpg
import pytest

from orion.platform.bus.abandoned import TYPE
from orion.platform.bus.port import partition_of
from orion.platform.clock import SystemClock
from orion.platform.restored import Gap, Restored, StillRunning
from orion.platform.transact import Owner
from orion.platform.verify import verify
from tests.platform.bus_case import Seen
from tests.platform.conftest import Place, running
from tests.platform.processes import until
from tests.platform.test_project import caught_up, run
from tests.platform.test_publish import fact, publisher
from tests.platform.toy import TOPICS, Add, Totals, ToyAggregate, entity

TICKS = partition_of("X", 4)
WITNESS = {
    ("toy.events", 1): 40, ("toy.events", 2): 1, ("toy.ticks", TICKS): 90, ("toy.orders", 5): 7,
}  # fmt: skip


async def work(pg: Place, count: int) -> None:
    """Adds to accounts, and a few ticks; a read model follows."""
    store, bus = pg.again()
    owner = Owner(ToyAggregate(), store, bus, SystemClock(), partitions=8, address="w")
    ticks = publisher(Place("again", store, bus, pg.again, pg.dsn), "toy.ticks")
    async with running(owner, ticks, run(Place("again", store, bus, pg.again, pg.dsn))):
        before = sum((await store.positions("rm_totals")).values())
        for i in range(count):
            e = entity(i % 20)
            await owner.submit("alpha", e, Add(e, 1, notes=i % 2))
            await ticks.publish("shared", "X", fact(ticks, "X", ticks.sequence("shared", "X")))
        await caught_up(pg, before + count + count // 2)


async def violations(pg: Place) -> list[str]:
    found = await verify(pg.dsn, services=["toy"], projections=[Totals()], specs=TOPICS)
    return found.violations


async def abandon(pg: Place, ends: Mapping[tuple[str, int], int]) -> list[Gap]:
    async with Restored.open(pg.dsn, TOPICS) as one:
        gaps = one.compare({"Kafka": ends})
        if gaps:
            await one.declare(gaps, "cli:test")
        return gaps


async def test_the_log_goes_on_above_what_others_know(pg: Place) -> None:
    await work(pg, 40)
    ends = await pg.bus.ends("toy.events")
    epoch = await value(pg, "select max(epoch) from bus.head")
    gaps = await abandon(pg, WITNESS)
    assert [(g.topic, g.part, g.next, g.until) for g in gaps] == [
        ("toy.events", 1, ends[1], 40), ("toy.orders", 5, 0, 7),
        ("toy.ticks", TICKS, 40, 90),
    ]  # fmt: skip
    assert await value(pg, "select min(epoch) from bus.head") > epoch
    assert await abandon(pg, WITNESS) == []  # nothing is left to do
    await work_again(pg)
    assert await violations(pg) == []
    _, log = pg.again()
    records = await log.read("toy.events", 1, 0, 1_000)
    assert [r.offset for r in records] == list(range(len(records)))
    gone = [r.offset for r in records if r.type == TYPE]
    assert gone == list(range(ends[1], 40))
    reader = Seen(log.tail(["toy.events"], start={}))
    known = sum((await log.ends("toy.events")).values()) - len(gone)
    await until(lambda: reader.caught_up == 1)
    await reader.stop()
    assert len(reader.records) == known and all(r.type != TYPE for r in reader.records)


async def work_again(pg: Place) -> None:
    """More of the same, by processes that start anew; every consumer passes the abandoned ones."""
    store, bus = pg.again()
    owner = Owner(ToyAggregate(), store, bus, SystemClock(), partitions=8, address="w2")
    ticks = publisher(Place("again", store, bus, pg.again, pg.dsn), "toy.ticks")
    async with running(owner, ticks, run(Place("again", store, bus, pg.again, pg.dsn))):
        for i in range(40):
            e = entity(i % 20)
            await owner.submit("alpha", e, Add(e, 1))
            await ticks.publish("shared", "X", fact(ticks, "X", ticks.sequence("shared", "X")))
        topics = ("toy.events", "toy.notes")
        ends = {(t, p): end for t in topics for p, end in (await bus.ends(t)).items() if end}
        await caught_up(pg, sum(ends.values()))


async def value(pg: Place, query: str) -> int:
    sql = await asyncpg.connect(pg.dsn)
    try:
        return await sql.fetchval(query)
    finally:
        await sql.close()


BUGS = {
    "a place that is empty": "delete from bus.log where type = 'RecordAbandoned' and offs = 30",
    "a range that nobody declared": "delete from bus.abandoned where topic = 'toy.events'",
    "a range that is declared longer": "update bus.abandoned set until = until + 1 where part = 1",
    "a record lost behind it": "delete from bus.log where topic = 'toy.events' and part = 1"
    " and offs = 41",
}


@pytest.mark.parametrize("bug", BUGS)
async def test_what_is_not_declared_is_found(pg: Place, bug: str) -> None:
    await work(pg, 40)
    await abandon(pg, WITNESS)
    await work_again(pg)
    assert await violations(pg) == []
    sql = await asyncpg.connect(pg.dsn)
    touched = await sql.execute(BUGS[bug])
    await sql.close()
    assert not touched.endswith(" 0")
    assert await violations(pg) != []


async def test_it_refuses_beside_whoever_holds_a_lease(pg: Place) -> None:
    store, bus = pg.again()
    owner = Owner(ToyAggregate(), store, bus, SystemClock(), partitions=8, address="still")
    async with running(owner), Restored.open(pg.dsn, TOPICS) as one:
        gaps = one.compare({"Kafka": WITNESS})
        assert gaps and any("still" in who for who in await one.running())
        with pytest.raises(StillRunning, match="still"):
            await one.declare(gaps, "cli:test")
    assert await value(pg, "select count(*) from bus.abandoned") == 0
    async with Restored.open(pg.dsn, TOPICS) as one:
        stale = one.compare({"Kafka": WITNESS})
    await work(pg, 40)
    async with Restored.open(pg.dsn, TOPICS) as one:
        with pytest.raises(StillRunning, match="just now"):
            await one.declare(stale, "cli:test")


async def test_one_that_fails_in_the_middle_leaves_nothing(pg: Place) -> None:
    await work(pg, 40)

    async def fails(*_: object) -> None:
        raise RuntimeError("the machine died")

    async with Restored.open(pg.dsn, TOPICS) as one:
        with pytest.raises(RuntimeError):
            await one.declare(one.compare({"Kafka": WITNESS}), "cli:test", fails)
    assert await value(pg, "select count(*) from bus.abandoned") == 0
    assert await violations(pg) == []
    assert await abandon(pg, WITNESS)
