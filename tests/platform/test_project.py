# ruff: noqa: E501 (statements of SQL keep their lines)
"""Projections on PostgreSQL: folded row operations, rebuilt from the log, equal to the byte."""

from __future__ import annotations

from decimal import Decimal

import asyncpg
import pytest

from orion.platform import deadletters
from orion.platform.consume import ConsumerLimits
from orion.platform.project import Delete, Upsert
from orion.platform.project_rows import statements
from orion.platform.project_run import projector
from orion.platform.rebuild import LogIncomplete, compare, rebuild
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running, until
from tests.platform.toy import TOPICS, Totals

LIMITS = ConsumerLimits(pace_ms=1, look_s=0.05)


async def caught_up(pg: Place, records: int) -> None:
    async def done() -> bool:
        return sum((await pg.store.positions("rm_totals")).values()) == records

    import asyncio

    async with asyncio.timeout(20):
        while not await done():
            await asyncio.sleep(0.01)


def run(pg: Place, projection=None):
    return projector(
        projection or Totals(), bus=pg.bus, store=pg.store, limits=LIMITS, specs=TOPICS
    )


async def test_a_read_model_says_what_the_log_says(pg: Place) -> None:
    async with writing(pg) as write, running(run(pg)):
        await write(500, notes=1)
        await write(100, "beta")
        await caught_up(pg, 1_100)
    async with pg.store.effect("toy", [], ()) as sql:
        rows = await sql.fetch("select * from toy.rm_totals order by tenant, id")
        assert {(r["tenant"], r["total"], r["events"]) for r in rows} == {
            ("alpha", 10, 10),
            ("beta", 2, 2),
        }
        assert all(r["first_at"] <= r["last_at"] and r["doc"] is not None for r in rows)
        assert {r["amount"] for r in rows} == {Decimal("2.5"), Decimal("0.5")}
        assert await sql.fetchval("select sum(notes) from toy.rm_notes") == 500


async def test_operations_on_one_row_in_one_batch_mean_what_they_mean_in_a_row(pg: Place) -> None:
    key = {"tenant": "alpha", "id": "x"}
    operations = [
        Upsert(
            "rm_totals",
            key,
            values={"total": 1},
            add={"events": 2},
            once={"first_at": 5},
            greatest={"last_at": 5},
        ),
        Upsert(
            "rm_totals",
            key,
            values={"total": 2},
            add={"events": 3},
            once={"first_at": 9},
            greatest={"last_at": 3},
        ),
        Delete("rm_totals", key),
        Upsert("rm_totals", key, values={"total": 7}, once={"first_at": 8}),
        Upsert("rm_totals", key, add={"total": 4}, values={"kind": 'it\'s \\ "q"'}),
        Upsert("rm_totals", {"tenant": "alpha", "id": "y"}, least={"first_at": 4}),
        Upsert("rm_totals", {"tenant": "alpha", "id": "y"}, least={"first_at": 2}),
    ]
    for repeat in range(2):
        async with pg.store.effect("toy", ["alpha"], ()) as sql:
            for statement, rows in statements(operations, "toy"):
                await sql.execute(statement, rows)
            x = await sql.fetchrow("select * from toy.rm_totals where id = 'x'")
            y = await sql.fetchrow("select * from toy.rm_totals where id = 'y'")
        assert (x["total"], x["events"], x["first_at"], x["last_at"], x["kind"]) == (
            11, 0, 8, None, "it's \\ \"q\"",
        ), repeat  # fmt: skip
        assert y["first_at"] == 2


async def test_counters_that_are_named_make_one_statement_and_change_nothing_else(
    pg: Place,
) -> None:
    rows = [{"tenant": "alpha", "id": x} for x in "ab"]
    operations = [
        Upsert("rm_totals", rows[0], add={"total": 3}),
        Upsert("rm_totals", rows[1], add={"events": 2}),
        Upsert("rm_totals", rows[0], add={"total": 4}),
    ]
    assert len(statements(operations, "toy")) == 2
    found = statements(operations, "toy", None, {"rm_totals": ("total", "events")})
    assert len(found) == 1
    async with pg.store.effect("toy", ["alpha"], ()) as sql:
        for _ in range(2):
            for statement, values in found:
                await sql.execute(statement, values)
        totals = await sql.fetch("select id, total, events from toy.rm_totals order by id")
    assert [tuple(r) for r in totals] == [("a", 14, 0), ("b", 0, 4)]


async def test_a_row_of_another_tenant_is_refused(pg: Place) -> None:
    operation = Upsert("rm_totals", {"tenant": "beta", "id": "x"}, values={"total": 1})
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        async with pg.store.effect("toy", ["alpha"], ()) as sql:
            for statement, rows in statements([operation], "toy"):
                await sql.execute(statement, rows)


async def test_a_rebuild_is_byte_identical_and_swaps_in_while_events_flow(pg: Place) -> None:
    async with writing(pg) as write:  # noqa: SIM117 (the order matters)
        async with running(run(pg)):
            await write(400, notes=1)
            await caught_up(pg, 800)
            same = await compare(Totals(), pg.dsn, TOPICS)
            assert same.is_equal and same.records == 800

            sql = await asyncpg.connect(pg.dsn)
            await sql.execute(
                "update toy.rm_totals set total = total + 1 where id = (select min(id) from toy.rm_totals)"
            )
            assert not (await compare(Totals(), pg.dsn, TOPICS)).is_equal
            assert not (await rebuild(Totals(), pg.dsn, TOPICS)).is_equal
            await write(200)
            await caught_up(pg, 1_000)
            after = await compare(Totals(), pg.dsn, TOPICS)
            assert after.is_equal and after.records == 1_000
            indexes = await sql.fetch(
                "select indexname from pg_indexes where schemaname = 'toy' and tablename = 'rm_totals' order by 1"
            )
            assert [r[0] for r in indexes] == ["rm_totals_kind", "rm_totals_pkey"]
            left = await sql.fetchval(
                "select count(*) from pg_class where relname like '%\\_\\_shadow' or relname like '%\\_\\_old'"
            )
            assert left == 0
            protected = await sql.fetchrow(
                "select relrowsecurity and relforcerowsecurity, (select count(*) from pg_policy where polrelid = c.oid)"
                " from pg_class c where oid = 'toy.rm_totals'::regclass"
            )
            assert tuple(protected) == (True, 3)
            await sql.close()


async def test_a_rebuild_refuses_a_log_that_lost_its_beginning(pg: Place) -> None:
    async with writing(pg) as write, running(run(pg)):
        await write(100)
        await caught_up(pg, 100)
    sql = await asyncpg.connect(pg.dsn)
    await sql.execute("delete from bus.log where offs < 2")
    await sql.close()
    with pytest.raises(LogIncomplete, match="begins after 0"):
        await rebuild(Totals(), pg.dsn, TOPICS)


async def test_a_bug_in_a_projection_is_a_letter_and_is_mended_by_replay(pg: Place) -> None:
    from tests.platform.toy import entity

    projection = Totals()
    projection.broken = entity(6)
    consumer = run(pg, projection)
    async with writing(pg) as write, running(consumer):
        await write(150)
        await caught_up(pg, 150)
        assert len(await deadletters.list_letters(pg.store, consumer="rm_totals")) == 3
        assert (await compare(Totals(), pg.dsn, TOPICS)).is_equal
        projection.broken = ""
        await deadletters.replay_letters(pg.store, consumer="rm_totals")
        await until(lambda: not consumer._parked.get(int(entity(6)[:4], 16) % 8))
        assert await deadletters.list_letters(pg.store, consumer="rm_totals") == []
        result = await compare(Totals(), pg.dsn, TOPICS)
        assert result.is_equal and result.records == 150
