"""Brings a database to the newest migration: roles first, then Alembic's revisions in order, each
in a transaction of its own.

The revisions are rendered to SQL by Alembic and sent by asyncpg, so that there is one PostgreSQL
driver in the house.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

MIGRATIONS = Path(__file__).resolve().parents[4] / "migrations"
ROLES = ("orion_owner", "orion_writer", "orion_reader")
_LOCK = 7_302_011  # one migration at a time, whoever starts it


class NewerDatabase(Exception):
    """The database was written by a newer version of Orion than this one."""

    def __init__(self, found: str, newest: str):
        self.found, self.newest = found, newest
        super().__init__(
            f"the database is at migration {found}, this version of Orion knows them"
            f" up to {newest}; "
            "start the newer version, or use another data directory"
        )


def script() -> ScriptDirectory:
    """The revisions of this checkout."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def render(module: Any) -> str:
    """The SQL of one revision's upgrade."""
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # otherwise % would be doubled
        opts={"as_sql": True, "output_buffer": buffer},
    )
    with Operations.context(context):
        module.upgrade()
    return buffer.getvalue()


async def make_roles(sql: asyncpg.Connection, passwords: Mapping[str, str]) -> None:
    """Creates the three roles where they are missing. One without a password may not log in.
    Idempotent.
    """
    database = await sql.fetchval("select quote_ident(current_database())")
    for role in ROLES:
        if not await sql.fetchval("select exists (select from pg_roles where rolname = $1)", role):
            await sql.execute(f"create role {role} nologin nosuperuser nobypassrls noinherit")
        if password := passwords.get(role):
            quoted = await sql.fetchval("select quote_literal($1::text)", password)
            await sql.execute(f"alter role {role} login password {quoted}")
    await sql.execute(
        f"""
        grant create, connect on database {database} to orion_owner;
        grant connect on database {database} to orion_writer, orion_reader;
        alter role orion_reader set default_transaction_read_only = on;
        alter role orion_reader set statement_timeout = '2s';
        alter role orion_reader set idle_in_transaction_session_timeout = '5s';
        """
    )
    if not await sql.fetchval("select rolsuper from pg_roles where rolname = current_user"):
        await sql.execute("grant orion_owner to current_user")


async def migrate(dsn: str, passwords: Mapping[str, str] | None = None) -> list[str]:
    """Applies what is missing; returns the revisions applied. `dsn` is of a superuser or a role
    that may create roles.

    Raises NewerDatabase. Safe to call from several processes at once.
    """
    revisions = list(reversed(list(script().walk_revisions())))
    steps = [(r.revision, r.module) for r in revisions]
    return await apply(dsn, steps, passwords or {})


async def apply(
    dsn: str, steps: Iterable[tuple[str, Any]], passwords: Mapping[str, str]
) -> list[str]:
    """Applies these revisions (name, module) that the database has not seen, in this order."""
    sql = await asyncpg.connect(dsn)
    try:
        await sql.execute("select pg_advisory_lock($1)", _LOCK)
        await make_roles(sql, passwords)
        await sql.execute("set role orion_owner; set client_min_messages = warning")
        await sql.execute(
            "create schema if not exists platform;"
            "create table if not exists platform.alembic_version (version_num text primary key)"
        )
        steps = list(steps)
        seen = await sql.fetchval("select version_num from platform.alembic_version")
        names = [name for name, _ in steps]
        if seen is not None and seen not in names:
            raise NewerDatabase(seen, names[-1] if names else "none")
        todo = steps[names.index(seen) + 1 :] if seen is not None else steps
        for name, module in todo:
            async with sql.transaction():
                await sql.execute(render(module))
                await sql.execute("delete from platform.alembic_version")
                await sql.execute(
                    "insert into platform.alembic_version (version_num) values ($1)", name
                )
        return [name for name, _ in todo]
    finally:
        await sql.close()


async def state(dsn: str) -> tuple[str | None, str]:
    """(the database's revision, this checkout's newest)."""
    newest = script().get_current_head() or "none"
    sql = await asyncpg.connect(dsn)
    try:
        if await sql.fetchval("select to_regclass('platform.alembic_version')") is None:
            return None, newest
        return await sql.fetchval("select version_num from platform.alembic_version"), newest
    finally:
        await sql.close()
