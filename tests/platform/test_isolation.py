# ruff: noqa: E501 (statements of SQL keep their lines)
"""Row-level security below everything: what a reader sees, what a writer may write, in every table of the backbone."""

from __future__ import annotations

import asyncpg
import pytest

from orion.platform.clock import SystemClock
from orion.platform.errors import Unavailable
from orion.platform.store.database import PostgresDatabase
from orion.platform.transact import Owner
from tests.platform.conftest import Place, running
from tests.platform.test_publish import fact, publisher
from tests.platform.toy import Add, ToyAggregate, entity
from tests.postgres import TestDatabase

CANARY = entity("canary")


@pytest.fixture
async def database(pg: Place, toy_template: TestDatabase):
    owner = Owner(ToyAggregate(), pg.store, pg.bus, SystemClock(), partitions=8, address="o")
    ticks = publisher(pg, "toy.ticks")
    async with running(owner, ticks):
        await owner.submit("alpha", entity("a"), Add(entity("a")))
        await owner.submit("beta", CANARY, Add(CANARY))
        await ticks.publish("shared", "X", fact(ticks, "X", 1))
    found = PostgresDatabase(toy_template.reader, toy_template.writer)
    yield found
    await found.close()


async def test_a_reader_sees_its_tenant_and_shared(database: PostgresDatabase) -> None:
    for tenant, sees in (
        ("alpha", {"alpha", "shared"}),
        ("beta", {"beta", "shared"}),
        ("", {"shared"}),
    ):
        async with database.read(tenant) as sql:
            rows = await sql.fetch("select tenant from bus.outbox_events")
            assert {r[0] for r in rows} == sees
            states = await sql.fetch("select id from toy.state")
            assert (CANARY in {r[0] for r in states}) == (tenant == "beta")
    # The setting ended with its transaction: the next user of the connection begins with nothing.
    async with database._readers.session() as sql:
        assert await sql.fetchval("select count(*) from toy.state") == 0


@pytest.mark.parametrize("tenant", ["beta' or true --", "e'\\'", '{"', "beta\\"])
async def test_a_tenant_name_cannot_break_out(database: PostgresDatabase, tenant: str) -> None:
    async with database.read(tenant) as sql:
        assert await sql.fetchval("select count(*) from toy.state") == 0
        assert await sql.fetchval("select current_setting('orion.tenant')") == tenant


async def test_a_reader_cannot_write(database: PostgresDatabase) -> None:
    with pytest.raises((asyncpg.PostgresError, Unavailable), match=r"read-only|permission denied"):
        async with database.read("alpha") as sql:
            await sql.execute("insert into toy.rm_notes values ('alpha', 'x', 1)")


async def test_a_writer_writes_only_for_tenants_it_named(database: PostgresDatabase) -> None:
    async with database.write("toy", ["alpha"]) as sql:
        await sql.execute("insert into toy.rm_notes values ('alpha', 'x', 1)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.write("toy", ["alpha"]) as sql:
            await sql.execute("insert into toy.rm_notes values ('beta', 'x', 1)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with database.write("toy", []) as sql:
            await sql.execute("insert into toy.rm_notes values ('alpha', 'y', 1)")


async def test_the_log_cannot_be_changed_by_its_writer(database: PostgresDatabase) -> None:
    for statement in ("update bus.log set body = ''", "delete from bus.log", "truncate bus.log"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.write("toy", ["alpha"]) as sql:
                await sql.execute(statement)


async def test_every_table_with_a_tenant_is_protected(pg: Place) -> None:
    sql = await asyncpg.connect(pg.dsn)
    bare = await sql.fetch(
        "select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
        " where c.relkind in ('r', 'p') and not (c.relrowsecurity and c.relforcerowsecurity)"
    )
    views = await sql.fetch(
        "select c.oid::regclass::text from pg_class c where c.relkind = 'v' and c.relnamespace = 'bus'::regnamespace"
        " and not coalesce(c.reloptions::text like '%security_invoker=true%', false)"
    )
    roles = await sql.fetch(
        "select rolname from pg_roles where rolname like 'orion%' and (rolsuper or rolbypassrls)"
    )
    definers = await sql.fetch(
        "select proname from pg_proc where prosecdef and pronamespace = 'bus'::regnamespace"
    )
    await sql.close()
    assert bare == views == roles == []
    assert [r[0] for r in definers] == ["make_partitions"]
