# ruff: noqa: E501 (statements of SQL keep their lines)
"""Each invariant holds on a system that worked, and each planted bug is found."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from orion.platform import deadletters
from orion.platform.clock import SystemClock
from orion.platform.retention import Retention
from orion.platform.transact import Key, Owner
from orion.platform.verify import verify
from tests.platform.conftest import Place, running
from tests.platform.test_project import caught_up, run
from tests.platform.test_publish import fact, publisher
from tests.platform.toy import TOPICS, Add, End, Totals, ToyAggregate, entity

SPECS = TOPICS


async def work(pg: Place) -> None:
    owner = Owner(ToyAggregate(), pg.store, pg.bus, SystemClock(), partitions=8, address="w")
    ticks = publisher(pg, "toy.ticks")
    async with running(owner, ticks, run(pg)):
        for i in range(60):
            e = entity(i % 20)
            await owner.submit("alpha", e, Add(e, 1, notes=i % 2), Key("s", "POST", f"k{i}", b"h"))
            await ticks.publish("shared", f"X{i % 3}", fact(ticks, f"X{i % 3}", i // 3 + 1))
        await owner.submit("alpha", entity(1), End())
        await caught_up(pg, 91)


async def check(pg: Place):
    return await verify(pg.dsn, services=["toy"], projections=[Totals()], specs=SPECS)


async def test_a_system_that_worked_is_green_and_says_what_it_counted(pg: Place) -> None:
    await work(pg)
    report = await check(pg)
    assert report.violations == [] and report.ok
    assert {c.name: c.counted for c in report.checks} == {
        "offsets": 151, "sequences": 33, "event ids": 151, "toy state": 20, "toy inbox": 60,
        "consumers": 91, "dead letters": 0, "replays": 0, "abandoned": 0, "read models": 91,
    }  # fmt: skip


async def test_each_check_has_a_planted_bug(pg: Place) -> None:
    names = {c.name for c in (await check(pg)).checks}
    assert names == {where for _, where in BUGS.values()} | {"replays"}  # LETTER_BUGS


async def test_an_empty_system_is_not_green(pg: Place) -> None:
    report = await check(pg)
    assert report.violations == [] and report.is_empty and not report.ok


BUGS = {
    "a lost record": ("delete from bus.log where ctid in (select ctid from bus.log where offs = 3 limit 1)", "offsets"),
    "a head that went on alone": ("update bus.head set next = next + 1 where topic = 'toy.events' and part = 1", "offsets"),
    "a tick lost": ("delete from bus.log_hourly where offs = 0", "offsets"),
    "time that goes back": ("update bus.log set at = 0 where topic = 'toy.events' and offs = 2", "offsets"),
    "a doubled sequence": ("update bus.log set seq = 1 where topic = 'toy.events' and seq = 2", "sequences"),
    "a doubled event id": ("update bus.log set event_id = 'same' where topic = 'toy.events' and seq = 1", "event ids"),
    "state without its event": ("update toy.state set version = version + 1 where ordinal = 1", "toy state"),
    "an event without its state": ("delete from toy.state where id = (select min(id) from toy.state)", "toy state"),
    "state in a wrong partition": ("update toy.state set part = (part + 1) % 8", "toy state"),
    "a reply from nowhere": ("update toy.inbox set at = at + 3600000000000 where key = 'k7'", "toy inbox"),
    "a position beyond the log": ("update bus.ckpt set offs = offs + 1, done = done + 1 where part = 2", "consumers"),
    "a position that jumped": ("update bus.ckpt set done = done - 1 where part = 2 and topic = 'toy.events'", "consumers"),
    "a letter of no record": (
        "insert into bus.dead_letters (tenant, consumer, topic, part, offs, entity, seq, type, event_id, at, body, error,"
        " trace, version, attempts, status) values ('alpha', 'rm_totals', 'toy.events', 1, 0, 'e', 1, 't', 'no such', 1,"
        " '', '', '', '', 1, 'replayed')",
        "dead letters",
    ),
    "a record passed off as abandoned": ("update bus.log set type = 'RecordAbandoned' where offs = 2", "abandoned"),
    "a read model that drifted": ("update toy.rm_totals set total = total + 1 where total = 3", "read models"),
    "a read model row too many": ("insert into toy.rm_notes values ('beta', 'x', 1)", "read models"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
async def test_a_planted_bug_is_found(pg: Place, bug: str) -> None:
    statement, where = BUGS[bug]
    await work(pg)
    sql = await asyncpg.connect(pg.dsn)
    touched = await sql.execute(statement)
    await sql.close()
    assert not touched.endswith(" 0")
    report = await check(pg)
    assert not report.ok
    assert where in {c.name for c in report.checks if c.violations}, report.violations


LETTER_BUGS = {
    "an effect without its mark": "delete from bus.processed_events",
    "a mark without its effect": "update bus.dead_letters set status = 'waiting', outcome = ''",
    "a change that nobody tells": "update bus.dead_letters set said = said + 1",
    "an event of nothing": (
        "update bus.dead_letters set said = said - 1 where said = 2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", LETTER_BUGS)
async def test_a_wrong_story_of_a_letter_is_found(pg: Place, bug: str) -> None:
    projection = Totals()
    projection.broken = entity(3)
    owner = Owner(ToyAggregate(), pg.store, pg.bus, SystemClock(), partitions=8, address="w")
    async with running(owner, run(pg, projection)):
        await owner.submit("alpha", entity(3), Add(entity(3)))
        await caught_up(pg, 1)
        projection.broken = ""
        await deadletters.replay_letters(pg.store, consumer="rm_totals")
        async with asyncio.timeout(20):
            while await deadletters.list_letters(pg.store, consumer="rm_totals"):
                await asyncio.sleep(0.01)
    assert (await check(pg)).violations == []
    sql = await asyncpg.connect(pg.dsn)
    assert not (await sql.execute(LETTER_BUGS[bug])).endswith(" 0")
    await sql.close()
    assert "replays" in {c.name for c in (await check(pg)).checks if c.violations}


async def test_partitions_go_when_their_time_is_over_and_nobody_needs_them(pg: Place) -> None:
    await work(pg)

    class Later(SystemClock):
        days = 0

        def now(self) -> int:
            return super().now() + self.days * 86_400_000_000

    clock = Later()
    retention = Retention(pg.dsn, clock, TOPICS)
    assert (await retention.sweep()).dropped == []
    clock.days = 91
    sql = await asyncpg.connect(pg.dsn)
    await sql.execute("update bus.ckpt set offs = offs - 1 where topic = 'toy.events' and part = 1")
    held = await retention.sweep()
    today = await sql.fetchval("select 'log_' || to_char(now() at time zone 'UTC', 'YYYYMMDD')")
    assert held.held == [today]
    assert (
        today not in held.dropped and held.dropped
    )  # empty ones, and the ticks nobody keeps a position in
    assert await sql.fetchval("select count(*) from bus.log") == 91
    await sql.execute("update bus.ckpt set offs = offs + 1 where topic = 'toy.events' and part = 1")
    end = await sql.fetchval("select next from bus.head where topic = 'toy.events' and part = 1")
    await sql.execute("insert into bus.relayed values ('toy.events', 1, $1, 1)", end - 1)
    assert (await retention.sweep()).held == [today]
    await sql.execute("update bus.relayed set offs = $1", end)
    assert today in (await retention.sweep()).dropped
    assert await sql.fetchval("select count(*) from bus.log") == 0
    await sql.close()
    # The next write finds no partition, makes one, and goes on at its offset.
    owner = Owner(ToyAggregate(), pg.store, pg.bus, SystemClock(), partitions=8, address="w")
    async with running(owner):
        e = entity(1)
        await owner.submit("beta", e, Add(e))
    report = await verify(pg.dsn, services=["toy"], specs=TOPICS)
    assert report.violations == []
