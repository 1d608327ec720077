"""The log over midnight UTC and at its cap: partitions are there ahead, no write fails at a day's
end, old days go and newer ones stay.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import asyncpg
import pytest

from orion.platform.bus.memory import MemoryBus
from orion.platform.clock import ManualClock, SystemClock
from orion.platform.retention import Retention
from orion.platform.store.memory import MemoryStore
from orion.platform.transact import Fact, Owner
from orion.platform.verify import verify
from tests.platform.conftest import Place, running
from tests.platform.test_publish import fact, publisher
from tests.platform.toy import TOPICS, Add, ToyAggregate, entity, part
from tests.postgres import TestDatabase

DAY_US, SECOND_US = 86_400_000_000, 1_000_000
# The functions of the log ask for the time by its unqualified name: for the writer's connections
# this one comes before PostgreSQL's own.
SHIFTED = """
create schema shifted;
grant usage on schema shifted to public;
create table shifted.by_us (us bigint not null);
insert into shifted.by_us values (0);
grant select on shifted.by_us to public;
create function shifted.clock_timestamp() returns timestamptz language sql volatile as
  'select pg_catalog.clock_timestamp() + (select us from shifted.by_us) * interval ''1 us''';
"""
Shift = Callable[[int], Awaitable[None]]


class Shifted(SystemClock):
    """The machine's clock, moved as the database's is."""

    by_us = 0

    def now(self) -> int:
        return super().now() + self.by_us


@pytest.fixture
async def shift(toy_template: TestDatabase) -> AsyncIterator[Shift]:
    """Moves the database's time, for connections opened from now on."""
    role = f"alter role orion_writer in database {toy_template.name}"
    sql = await asyncpg.connect(toy_template.admin)
    await sql.execute(SHIFTED + f"{role} set search_path = shifted, pg_catalog, public")

    async def move(by_us: int) -> None:
        await sql.execute("update shifted.by_us set us = $1", by_us)

    yield move
    await sql.execute(f"{role} reset search_path; drop schema shifted cascade")
    await sql.close()


async def test_writes_pass_midnight_and_the_old_day_goes(pg: Place, shift: Shift) -> None:
    clock = Shifted()
    midnight = (SystemClock().now() // DAY_US + 1) * DAY_US
    clock.by_us = midnight - SECOND_US - SystemClock().now()
    await shift(clock.by_us)
    owner = Owner(ToyAggregate(), pg.store, pg.bus, clock, partitions=8, address="w")
    ticks = publisher(pg, "toy.ticks")
    written = 0
    async with running(owner, ticks):
        async with asyncio.timeout(30):
            while clock.now() < midnight + SECOND_US:
                name = entity(written % 20)
                await owner.submit("alpha", name, Add(name))
                await ticks.publish("shared", "X", fact(ticks, "X", written + 1))
                written += 1
    sql = await asyncpg.connect(pg.dsn)
    for tree in ("bus.log", "bus.log_hourly"):
        periods = await sql.fetch(f"select period, count(*) from {tree} group by 1 order by 1")
        assert [int(r[0].timestamp() * 1e6) // DAY_US * DAY_US for r in periods] == [
            midnight - DAY_US,
            midnight,
        ]
        assert sum(r[1] for r in periods) == written
    report = await verify(pg.dsn, services=["toy"], specs=TOPICS)
    assert report.violations == []

    # By its period: a record decided in the last moment of a day is written in the next.
    newer = await sql.fetchval(
        "select count(*) from bus.log where period >= to_timestamp($1::bigint / 1e6)", midnight
    )
    clock.by_us += 90 * DAY_US  # the days before midnight are over their time, the next is not
    swept = await Retention(pg.dsn, clock, TOPICS).sweep()
    assert f"log_{day(midnight - DAY_US)}" in swept.dropped
    assert f"log_{day(midnight)}" not in swept.dropped
    assert await sql.fetchval("select count(*) from bus.log") == newer > 0
    await sql.close()
    report = await verify(pg.dsn, services=["toy"], specs=TOPICS)
    assert report.violations == []


def day(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y%m%d}"


async def test_ticks_beyond_the_cap_go_even_where_a_consumer_is_behind(
    pg: Place, shift: Shift
) -> None:
    hour_us = 3_600 * SECOND_US
    sql = await asyncpg.connect(pg.dsn)
    await sql.execute("select bus.make_partitions()")
    await shift(-hour_us)
    ticks = publisher(pg, "toy.ticks")
    async with running(ticks):
        for n in range(1, 1_001):
            body = os.urandom(20_000)  # 20 MB in all, above the 16 of the toy's cap
            await ticks.publish("shared", "X", Fact("toy.ticks", "X", n, "Tick", f"X:{n}", body))
        old = await sql.fetchval("select count(*) from bus.log_hourly")
        await shift(0)
        for n in range(1_001, 1_011):
            await ticks.publish("shared", "X", fact(ticks, "X", n))
    await sql.execute(
        "insert into bus.ckpt (consumer, topic, part) select 'slow', topic, part from bus.head"
        " where topic = 'toy.ticks' and next > 0"
    )
    assert old == 1_000
    swept = await Retention(pg.dsn, SystemClock(), TOPICS).sweep()
    assert swept.held == []
    assert await sql.fetchval("select min(offs) from bus.log_hourly") == 1_000
    assert await sql.fetchval("select count(*) from bus.log_hourly") == 10
    assert await sql.fetchval("select max(kept) from bus.head where topic = 'toy.ticks'") == 1_000
    await sql.close()


async def test_in_memory_a_day_s_end_is_an_instant_like_any_other() -> None:
    clock = ManualClock()
    clock.at = (clock.at // DAY_US + 1) * DAY_US - 2
    store = MemoryStore(clock)
    bus = MemoryBus(store, TOPICS)
    owner = Owner(ToyAggregate(), store, bus, clock, partitions=8, address="w")
    name = entity(1)
    async with running(owner):
        for _ in range(5):
            await owner.submit("alpha", name, Add(name))
            clock.at += 1
    records = await bus.read("toy.events", part(name), 0)
    assert [r.offset for r in records] == list(range(5))
    assert len({r.at // DAY_US for r in records}) == 2
    assert [r.at for r in records] == sorted(r.at for r in records)
