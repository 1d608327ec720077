"""Row-level security: eight ways it leaks, each shown leaking and closed; and a walk over everything that is in the database."""
# ruff: noqa: E501 (SQL is better read in one line)

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from orion.platform.store.database import PostgresDatabase
from tests.postgres import Server, TestDatabase

ROLES = ("orion_owner", "orion_writer", "orion_reader")
# Tables without a tenant: positions, leases, hashes; no content. Whatever else has none is a mistake.
WITHOUT_TENANT = {
    "bus.head",
    "bus.copies",
    "bus.ckpt",
    "bus.relayed",
    "bus.abandoned",
    "audit.chain_head",
    "audit.anchors",
    "platform.alembic_version",
}
# Unique columns without the tenant. Nobody outside chooses these values: they are counted by the owner of the partition.
COUNTED = {"bus.log", "bus.log_hourly", "audit.audit_log"}
# Functions that run with the owner's rights. They make and drop partitions and answer with numbers, never with rows.
WITH_OWNERS_RIGHTS_IN = {"bus"}


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database() as database:
        yield database


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    sql = await asyncpg.connect(dsn)
    try:
        yield sql
    finally:
        await sql.close()


@contextlib.asynccontextmanager
async def as_tenant(dsn: str, tenant: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(dsn) as sql, sql.transaction():
        await sql.execute("select set_config('orion.tenant', $1, true)", tenant)
        yield sql


TENANT_POLICY = "using (tenant = (select current_setting('orion.tenant', true)))"


@pytest.fixture
async def scratch(db: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    """The owner's connection, and a schema with a table that has one row of each tenant and no protection yet."""
    async with connected(db.owner) as owner:
        await owner.execute(
            "create schema scratch; grant usage, create on schema scratch to orion_writer, orion_reader;"
            "create table scratch.t (tenant text not null, id text not null, primary key (tenant, id));"
            "insert into scratch.t values ('alpha', 'a'), ('beta', 'b')"
        )
        try:
            yield owner
        finally:
            await owner.execute("drop schema scratch cascade")


async def seen(sql: asyncpg.Connection, what: str = "scratch.t") -> set[str]:
    return {r["tenant"] for r in await sql.fetch(f"select tenant from {what}")}


# -- the eight leaks


async def test_1_an_owner_without_force(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    await scratch.execute(
        f"alter table scratch.t enable row level security; create policy p on scratch.t {TENANT_POLICY}"
    )
    async with as_tenant(db.owner, "alpha") as sql:
        assert await seen(sql) == {"alpha", "beta"}, "the leak: an owner is not bound by the policy"
    await scratch.execute("alter table scratch.t force row level security")
    async with as_tenant(db.owner, "alpha") as sql:
        assert await seen(sql) == {"alpha"}


async def test_2_a_superuser_or_bypassrls(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    await scratch.execute("select platform.protect('scratch.t')")
    async with as_tenant(db.admin, "alpha") as sql:
        assert await seen(sql) == {"alpha", "beta"}, "the leak: a superuser is bound by nothing"
        rows = await sql.fetch(
            "select rolname from pg_roles where rolname = any($1) and (rolsuper or rolbypassrls"
            " or rolcreaterole or rolreplication)",
            list(ROLES),
        )
        assert rows == []
    async with as_tenant(db.reader, "alpha") as sql:
        assert await seen(sql) == {"alpha"}


async def test_3_a_view(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    await scratch.execute(
        "select platform.protect('scratch.t');"
        "create view scratch.leaking as select * from scratch.t;"
        "create view scratch.tight with (security_invoker = true) as select * from scratch.t;"
        "grant select on scratch.leaking, scratch.tight to orion_reader"
    )
    async with as_tenant(db.reader, "alpha") as sql:
        assert await seen(sql, "scratch.leaking") == {"alpha", "beta"}, "the leak: the owner's eyes"
        assert await seen(sql, "scratch.tight") == {"alpha"}


async def test_4_a_materialized_view(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    await scratch.execute(
        "select platform.protect('scratch.t');"
        "create materialized view scratch.m as select * from scratch.t;"
        "grant select on scratch.m to orion_reader"
    )
    async with as_tenant(db.reader, "alpha") as sql:
        assert await seen(sql, "scratch.m") == {"alpha", "beta"}, "the leak: it has no policies"
    with pytest.raises(asyncpg.PostgresError):
        await scratch.execute("alter table scratch.m enable row level security")
    assert await _materialized(scratch) == ["scratch.m"], "the walk below finds such a one"


async def test_5_a_security_definer_function(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    body = "returns setof scratch.t language sql as 'select * from scratch.t'"
    await scratch.execute(
        "select platform.protect('scratch.t');"
        f"create function scratch.leaking() {body}; alter function scratch.leaking() security definer;"
        f"create function scratch.tight() {body}"
    )
    async with as_tenant(db.reader, "alpha") as sql:
        assert await seen(sql, "scratch.leaking()") == {"alpha", "beta"}, "the leak"
        assert await seen(sql, "scratch.tight()") == {"alpha"}
    found = await _definers(scratch)
    assert ("scratch", "leaking", False) in found, "the walk below finds such a one"


async def test_6_a_plain_set_outlives_its_transaction(
    db: TestDatabase, scratch: asyncpg.Connection
) -> None:
    await scratch.execute("select platform.protect('scratch.t')")
    async with connected(db.reader) as sql:
        async with sql.transaction():
            await sql.execute("set orion.tenant = 'alpha'")
        assert await seen(sql) == {"alpha"}, "the leak: the next one in the pool reads as alpha"
    async with connected(db.reader) as sql:
        async with sql.transaction():
            await sql.execute("select set_config('orion.tenant', 'alpha', true)")
            assert await seen(sql) == {"alpha"}
        assert await sql.fetchval("select current_setting('orion.tenant', true)") == ""
        assert await seen(sql) == set()


async def test_6_our_sessions_leave_nothing_behind(
    db: TestDatabase, scratch: asyncpg.Connection
) -> None:
    await scratch.execute(
        "select platform.protect('scratch.t'); insert into scratch.t values ('', 'nobody')"
    )
    database = PostgresDatabase(db.reader, db.writer, readers=1, writers=1)
    try:
        for tenant in ("alpha", "beta", "alpha"):
            async with database.read(tenant) as sql:
                assert await seen(sql) == {tenant}
        for name in ("alpha' or true --", "alpha\\", "", "shared"):
            async with database.read(name) as sql:
                assert await seen(sql) <= {name}, name
        async with database.read("alpha") as sql:
            with pytest.raises(asyncpg.PostgresError):
                await sql.execute("insert into scratch.t values ('alpha', 'x')")
        async with database.write("scratch", ["alpha"]) as sql:
            await sql.execute("insert into scratch.t values ('alpha', 'x')")
        for tenants in (["alpha"], []):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with database.write("scratch", tenants) as sql:
                    await sql.execute("insert into scratch.t values ('beta', 'x')")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.write("scratch", ["alpha"]) as sql:
                await sql.execute("update scratch.t set tenant = 'beta' where id = 'x'")
    finally:
        await database.close()


async def test_7_a_foreign_key_to_another_tenants_row(
    db: TestDatabase, scratch: asyncpg.Connection
) -> None:
    await scratch.execute(
        "alter table scratch.t add column only_id text generated always as (id) stored unique;"
        "create table scratch.leaking (tenant text, ref text references scratch.t (only_id));"
        "create table scratch.tight (tenant text, ref text,"
        " foreign key (tenant, ref) references scratch.t (tenant, id));"
        "select platform.protect('scratch.t'), platform.protect('scratch.leaking'), platform.protect('scratch.tight')"
    )
    database = PostgresDatabase(db.reader, db.writer)
    try:
        async with database.write("scratch", ["alpha"]) as sql:
            await sql.execute("insert into scratch.leaking values ('alpha', 'b')")  # the leak
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            async with database.write("scratch", ["alpha"]) as sql:
                await sql.execute("insert into scratch.tight values ('alpha', 'b')")
        assert await _loose_foreign_keys(scratch) == ["scratch.leaking"]
    finally:
        await database.close()


async def test_8_a_global_unique_column(db: TestDatabase, scratch: asyncpg.Connection) -> None:
    await scratch.execute(
        "create table scratch.leaking (tenant text, id text unique);"
        "select platform.protect('scratch.t'), platform.protect('scratch.leaking');"
        "insert into scratch.leaking values ('beta', 'b')"
    )
    database = PostgresDatabase(db.reader, db.writer)
    try:
        with pytest.raises(asyncpg.UniqueViolationError):  # the leak: alpha learns that b is there
            async with database.write("scratch", ["alpha"]) as sql:
                await sql.execute("insert into scratch.leaking values ('alpha', 'b')")
        async with database.write("scratch", ["alpha"]) as sql:
            await sql.execute("insert into scratch.t values ('alpha', 'b')")
        assert await _oracles(scratch) - COUNTED == {"scratch.leaking"}
    finally:
        await database.close()


# -- the walk

_OURS = "n.nspname not like 'pg\\_%' and n.nspname not in ('information_schema', 'public')"


async def _tables(sql: asyncpg.Connection) -> list[Any]:
    return await sql.fetch(
        "select c.oid, n.nspname || '.' || c.relname as name, c.relrowsecurity, c.relforcerowsecurity,"
        " pg_get_userbyid(c.relowner) as owner, c.relispartition,"
        " exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant'"
        "         and not a.attisdropped) as has_tenant,"
        " (select a.attnotnull from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant')"
        "   as tenant_not_null"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        f" where c.relkind in ('r', 'p') and {_OURS} order by 2"
    )


async def _materialized(sql: asyncpg.Connection) -> list[str]:
    rows = await sql.fetch(
        "select n.nspname || '.' || c.relname as name from pg_class c"
        f" join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'm' and {_OURS}"
    )
    return [r["name"] for r in rows]


async def _definers(sql: asyncpg.Connection) -> set[tuple[str, str, bool]]:
    """(schema, name, whether its search_path is fixed) of functions with their owner's rights."""
    rows = await sql.fetch(
        "select n.nspname, p.proname, coalesce(array_to_string(p.proconfig, ',') like '%search_path=%', false)"
        " as fixed from pg_proc p join pg_namespace n on n.oid = p.pronamespace"
        f" where p.prosecdef and {_OURS}"
    )
    return {(r["nspname"], r["proname"], r["fixed"]) for r in rows}


async def _loose_foreign_keys(sql: asyncpg.Connection) -> list[str]:
    """Tables whose foreign key to a table with tenants does not carry the tenant along."""
    rows = await sql.fetch(
        "select distinct n.nspname || '.' || c.relname as name from pg_constraint f"
        " join pg_class c on c.oid = f.conrelid join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute target on target.attrelid = f.confrelid and target.attname = 'tenant'"
        f" where f.contype = 'f' and {_OURS} and not exists ("
        "  select from unnest(f.conkey, f.confkey) k(mine, theirs)"
        "  join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.mine"
        "  where a.attname = 'tenant' and k.theirs = target.attnum)"
    )
    return [r["name"] for r in rows]


async def _oracles(sql: asyncpg.Connection) -> set[str]:
    """Tables with tenants that have a unique index without the tenant."""
    rows = await sql.fetch(
        "select distinct coalesce(parent.name, n.nspname || '.' || c.relname) as name from pg_index i"
        " join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace"
        " join pg_attribute t on t.attrelid = c.oid and t.attname = 'tenant'"
        " left join lateral (select pn.nspname || '.' || pc.relname as name from pg_inherits h"
        "   join pg_class pc on pc.oid = h.inhparent join pg_namespace pn on pn.oid = pc.relnamespace"
        "   where h.inhrelid = c.oid) parent on true"
        f" where i.indisunique and {_OURS} and not t.attnum = any(i.indkey)"
    )
    return {r["name"] for r in rows}


async def test_every_table_is_protected(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        tables = await _tables(sql)
        assert {t["name"] for t in tables if not t["has_tenant"]} <= WITHOUT_TENANT
        assert len(tables) > 20, "an empty walk proves nothing"
        for table in tables:
            name = table["name"]
            assert table["owner"] == "orion_owner", name
            if not table["has_tenant"]:
                continue
            assert table["relrowsecurity"] and table["relforcerowsecurity"], name
            assert table["tenant_not_null"], name
            if not table[
                "relispartition"
            ]:  # a partition has no policy of its own: by itself it shows nothing
                await _check_policies(sql, table["oid"], name)


async def _check_policies(sql: asyncpg.Connection, table: int, name: str) -> None:
    rows = await sql.fetch(
        "select polcmd::text as command, polpermissive, pg_get_expr(polqual, polrelid) as using_,"
        " pg_get_expr(polwithcheck, polrelid) as check_,"
        " array(select rolname::text from pg_roles r where r.oid = any(polroles)) as roles"
        " from pg_policy where polrelid = $1",
        table,
    )
    for row in rows:
        assert row["roles"] and set(row["roles"]) <= set(ROLES), (name, "a policy for everybody")
        if "orion_reader" in row["roles"]:
            assert row["command"] == "r" and "orion.tenant" in row["using_"], name
        if "orion_writer" in row["roles"]:
            assert row["check_"] and "orion.tenants" in row["check_"], name
    assert {role for row in rows for role in row["roles"]} == set(ROLES), name


async def test_views_look_with_the_callers_eyes(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        rows = await sql.fetch(
            "select n.nspname || '.' || c.relname as name, coalesce(c.reloptions, '{}') as options"
            f" from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'v' and {_OURS}"
        )
        assert rows
        for row in rows:
            assert "security_invoker=true" in row["options"], row["name"]
        assert await _materialized(sql) == []


async def test_functions_have_their_callers_rights(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        for schema, name, fixed in await _definers(sql):
            assert fixed and schema in WITH_OWNERS_RIGHTS_IN, f"{schema}.{name}"


async def test_keys_carry_the_tenant(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        assert await _loose_foreign_keys(sql) == []
        assert await _oracles(sql) <= COUNTED


async def test_roles_are_narrow(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        grown = await sql.fetch(
            "select r.rolname, m.rolname as member_of from pg_auth_members a"
            " join pg_roles r on r.oid = a.member join pg_roles m on m.oid = a.roleid"
            " where r.rolname = any($1)",
            ["orion_writer", "orion_reader"],
        )
        assert grown == []
        for table in await _tables(sql):
            for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
                may = await sql.fetchval(
                    "select has_table_privilege('orion_reader', $1::oid, $2)", table["oid"], right
                )
                assert not may, (table["name"], right)
            for role in ("orion_reader", "orion_writer"):
                for right in ("TRUNCATE", "TRIGGER", "REFERENCES"):
                    may = await sql.fetchval(
                        "select has_table_privilege($1, $2::oid, $3)", role, table["oid"], right
                    )
                    assert not may, (role, table["name"], right)
        public = await sql.fetch(
            "select n.nspname || '.' || c.relname as name from pg_class c"
            f" join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a"
            f" where a.grantee = 0 and {_OURS}"
        )
        assert public == []


async def test_hashes_and_sessions_are_nobodys_to_read(db: TestDatabase) -> None:
    async with connected(db.admin) as sql:
        names = [t["name"] for t in await _tables(sql)]
        secret = [n for n in names if n.startswith("identity.") or n == "bff_workstation.sessions"]
        assert len(secret) >= 10
        for name in secret:
            may = await sql.fetchval(
                "select has_table_privilege('orion_reader', $1, 'SELECT')", name
            )
            assert not may, name


async def test_every_table_shows_a_reader_nothing_of_others(db: TestDatabase) -> None:
    """Not by what the catalogue says but by looking: rows of two tenants in, one tenant's rows out."""
    async with connected(db.admin) as admin:
        for table in await _tables(admin):
            if not table["has_tenant"] or table["relispartition"]:
                continue
            may = await admin.fetchval(
                "select has_table_privilege('orion_reader', $1::oid, 'SELECT')", table["oid"]
            )
            if not may:
                continue
            async with as_tenant(db.reader, "no-such-tenant") as sql:
                rows = await sql.fetch(f"select distinct tenant from {table['name']} limit 5")
                assert {r["tenant"] for r in rows} <= {"shared"}, table["name"]
