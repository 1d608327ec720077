# ruff: noqa: E501 (statements of SQL keep their lines)
"""Prices and bars are what the log says: made anew they are the same to the byte, over restarts;
where the log is cut they say what was kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from orion.platform.rebuild import Rebuilt, compare, rebuild, states
from orion.platform.verify import verify
from orion.services.marketdata_projection.projections import NAME, PROJECTIONS
from tests.postgres import Server, TestDatabase
from tests.services.market_stack import running

MODEL = PROJECTIONS[0]
INGEST = {"rate": 400.0}
PROJECTION = {"store_ms": 100, "bar_s": 1}
TABLES = "marketdata_projection.rm_market_snapshot", "marketdata_projection.rm_market_bars"


@pytest.fixture
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0003", "0008", "0009", "0011") as made:
        yield made


async def saved(db: TestDatabase, more: int) -> int:
    """Waits until so many more records are in the tables; how many are."""
    sql = await asyncpg.connect(db.owner)
    count = "select coalesce(sum(done), 0) from bus.ckpt where consumer = $1"
    try:
        begun = await sql.fetchval(count, NAME)
        async with asyncio.timeout(60):
            while (done := await sql.fetchval(count, NAME)) < begun + more:
                await asyncio.sleep(0.05)
        return done
    finally:
        await sql.close()


async def worked(db: TestDatabase, rounds: int = 3) -> int:
    """Prices over several starts, each ended in the middle of what it did."""
    done = 0
    for _ in range(rounds):
        async with running(db, ingest=INGEST, projection=PROJECTION):
            done = await saved(db, 900)
    return done


async def change(db: TestDatabase, statement: str) -> None:
    sql = await asyncpg.connect(db.owner)
    try:
        assert not (await sql.execute(statement)).endswith(" 0")
    finally:
        await sql.close()


async def equal(db: TestDatabase, newest: int | None = None) -> Rebuilt:
    result = await compare(MODEL, db.owner, newest=newest)
    assert result.is_equal
    return result


async def test_prices_and_bars_are_the_log_s_over_restarts(db: TestDatabase) -> None:
    done = await worked(db)
    result = await equal(db)
    assert result.records == done and not result.notes
    (state,) = await states(PROJECTIONS, db.owner)
    assert (state.name, state.records, state.letters, state.since) == (NAME, done, 0, 0)
    report = await verify(db.owner, services=(), projections=PROJECTIONS)
    assert report.violations == []
    assert next(c for c in report.checks if c.name == "read models").counted == done
    sql = await asyncpg.connect(db.owner)
    assert await sql.fetchval(f"select count(*) from {TABLES[1]}") > 60
    await sql.close()


BUGS = {
    "a price": f"update {TABLES[0]} set mid = '1' where instrument_id = 'EURUSD'",
    "a range": f"update {TABLES[0]} set day_low = '0.1' where instrument_id = 'EURUSD'",
    "a staleness": f"update {TABLES[0]} set flags = array['STALE'] where instrument_id = 'EURUSD'",
    "a price lost": f"delete from {TABLES[0]} where instrument_id = 'EURUSD'",
    "a bar": f"update {TABLES[1]} set ticks = ticks + 1 where at_us = (select max(at_us) from {TABLES[1]})",
    "a bar lost": f"delete from {TABLES[1]} where at_us = (select max(at_us) from {TABLES[1]})",
    "a bar too many": (
        f"insert into {TABLES[1]} select tenant, instrument_id, at_us + 1, mid, low, high, spread,"
        f" spread_max, ticks, spread_sum, length_us from {TABLES[1]}"
        f" where at_us = (select max(at_us) from {TABLES[1]})"
    ),
}

# Not the newest, that a projection that goes on still writes, nor the first, that is kept.
FINISHED_BAR = (
    f"update {TABLES[1]} b set ticks = ticks + 1 from (select instrument_id, min(at_us), max(at_us)"
    f" from {TABLES[1]} group by 1) ends where b.instrument_id = ends.instrument_id"
    " and b.at_us > ends.min and b.at_us < ends.max"
)


async def test_each_wrong_row_is_found_and_mended(db: TestDatabase) -> None:
    await worked(db, 1)
    for bug, statement in BUGS.items():
        await change(db, statement)
        assert not (await compare(MODEL, db.owner)).is_equal, bug
        assert not (await rebuild(MODEL, db.owner)).is_equal
        await equal(db)


async def test_a_swap_while_prices_flow_loses_nothing(db: TestDatabase) -> None:
    async with running(db, ingest=INGEST, projection=PROJECTION) as stack:
        await saved(db, 1_500)
        await change(db, FINISHED_BAR)
        assert not (await rebuild(MODEL, db.owner)).is_equal
        assert (await rebuild(MODEL, db.owner)).is_equal
        await saved(db, 500)
        await equal(db)
        assert (await stack.ports.store.letters()) == []


async def test_where_the_log_is_cut_the_rest_is_kept_and_named(db: TestDatabase) -> None:
    done = await worked(db)
    whole = await checks(db)
    # As after the removal of an old part of the log.
    await change(
        db,
        "update bus.head h set kept = h.next - 150 where topic = 'marketdata.ticks' and h.next > 150",
    )
    await change(
        db,
        "delete from bus.log_hourly l using bus.head h"
        " where h.topic = l.topic and h.part = l.part and l.offs < h.kept",
    )
    result = await equal(db)
    assert 0 < result.records < done
    assert any("bars kept as they are" in note for note in result.notes)
    assert any("ranges of the day kept" in note for note in result.notes)
    await change(db, BUGS["a bar"])
    assert not (await rebuild(MODEL, db.owner)).is_equal
    assert await checks(db) == whole
    # A part of the log by choice, as `verify` takes it.
    less = await equal(db, newest=10)
    assert less.records < result.records and less.notes


async def checks(db: TestDatabase) -> list[str]:
    sql = await asyncpg.connect(db.owner)
    try:
        order = "md5(string_agg(t::text, '' order by t::text))"
        return [await sql.fetchval(f"select {order} from {t} t") for t in TABLES]
    finally:
        await sql.close()
