# ruff: noqa: E501 (statements of SQL keep their lines)
"""Sandboxes: a range of what was said, delivered again to where only those look who want to.

A sandbox is a schema of its own, `sandbox_<name>`: what was asked for and how far it is, the
records (where they do not lie on Kafka), and read models made from them. No service reads any of
it, and it writes nothing that a service reads, so nothing real happens twice. To drop the schema is
to drop the sandbox. Works as orion_owner.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg

from orion.platform.bus.port import Record
from orion.platform.project import Projection
from orion.platform.project_rows import quoted
from orion.platform.project_run import write
from orion.platform.rebuild import Source

BATCH = 1_000
NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")
SESSION = {"jit": "off", "timezone": "UTC", "datestyle": "ISO"}
TABLES = """
create schema if not exists {schema};
create table if not exists {schema}.asked (
  topic text not null, part integer not null, words text not null, target text not null,
  first bigint not null, upto bigint not null, next bigint not null, primary key (topic, part));
create table if not exists {schema}.log (
  topic text not null, part integer not null, offs bigint not null, at bigint not null, tenant text not null,
  entity text not null, seq bigint not null, type text not null, event_id text not null, body bytea not null,
  primary key (topic, part, offs));
create table if not exists {schema}.applied (
  model text not null, topic text not null, part integer not null, offs bigint not null,
  primary key (model, topic, part));
"""


class SandboxError(Exception):
    """What was asked for cannot be done; nothing was changed."""


@dataclass(frozen=True)
class Range:
    """What of a partition was asked for, and how far it is."""

    topic: str
    part: int
    first: int
    upto: int  # not included
    next: int
    target: str
    words: str  # as it was asked for

    @property
    def left(self) -> int:
        """Records not yet delivered."""
        return self.upto - self.next


class Target(Protocol):
    """Where a sandbox's records go."""

    kind: str

    async def next(self, topic: str, part: int, first: int) -> int:
        """Where to go on: behind what is there already."""
        ...

    async def put(self, records: Sequence[Record]) -> None:
        """Records of one partition, in order; durable when it returns."""
        ...


class Sandbox:
    """One sandbox, over a connection of the owner's."""

    def __init__(self, sql: Any, name: str) -> None:
        if not NAME.fullmatch(name):
            raise SandboxError(f"{name!r} is no name of a sandbox: a-z, 0-9 and _, at most 30")
        self.name, self.schema = name, f"sandbox_{name}"
        self._sql = sql

    @classmethod
    @asynccontextmanager
    async def open(cls, owner_dsn: str, name: str) -> AsyncIterator[Sandbox]:
        """Opens as long as the block lasts; one at a time works on a sandbox."""
        sql = await asyncpg.connect(owner_dsn, server_settings=SESSION)
        try:
            sandbox = cls(sql, name)
            if not await sql.fetchval("select pg_try_advisory_lock(hashtext($1))", sandbox.schema):
                raise SandboxError(f"somebody else is working on the sandbox {name}")
            yield sandbox
        finally:
            await sql.close()

    async def exists(self) -> bool:
        """Whether there is one of this name."""
        return await self._sql.fetchval("select to_regnamespace($1) is not null", self.schema)

    async def ranges(self) -> list[Range]:
        """What was asked for."""
        if not await self.exists():
            return []
        rows = await self._sql.fetch(
            f"select topic, part, first, upto, next, target, words from {self.schema}.asked order by 1, 2"  # noqa: S608
        )
        return [Range(*row) for row in rows]

    async def ask(
        self, topic: str, bounds: Mapping[int, tuple[int, int]], target: str, words: str
    ) -> list[Range]:
        """Notes what is wanted of a topic. Asked for in the same words it is what was noted then, so
        a replay that was interrupted goes on. Raises SandboxError for other words.
        """
        await self._sql.execute(TABLES.format(schema=self.schema))
        known = [r for r in await self.ranges() if r.topic == topic]
        if any((r.words, r.target) != (words, target) for r in known):
            raise SandboxError(
                f"the sandbox {self.name} has another range of {topic} ({known[0].words});"
                " choose another name, or drop it first"
            )
        if not known:
            await self._sql.executemany(
                f"insert into {self.schema}.asked values ($1, $2, $3, $4, $5, $6, $5)",  # noqa: S608
                [(topic, part, words, target, *bound) for part, bound in sorted(bounds.items())],
            )
        return [r for r in await self.ranges() if r.topic == topic]

    async def deliver(self, asked: Range, source: Source, target: Target) -> int:
        """What is left of a range, into the target; how many records that were. Whatever breaks on
        the way, none is there twice. Raises SandboxError where the source has a gap.
        """
        topic, part = asked.topic, asked.part
        position = await target.next(topic, part, asked.next)
        await self._note(topic, part, position)  # what was there, and not noted any more
        done = 0
        while position < asked.upto:
            records = await source.read(topic, part, position, min(BATCH, asked.upto - position))
            if not records or records[0].offset != position:
                raise SandboxError(f"{topic}/{part}: there is no record at {position} (any more)")
            await target.put(records)
            position = records[-1].offset + 1
            done += len(records)
            await self._note(topic, part, position)
        return done

    async def _note(self, topic: str, part: int, position: int) -> None:
        await self._sql.execute(
            f"update {self.schema}.asked set next = $3 where topic = $1 and part = $2",  # noqa: S608
            topic, part, position,
        )  # fmt: skip

    async def read(self, topic: str, part: int, offset: int, limit: int = BATCH) -> list[Record]:
        """What lies in the sandbox's own log."""
        rows = await self._sql.fetch(
            "select offs, at, tenant, entity, seq, type, event_id, body"  # noqa: S608
            f" from {self.schema}.log where topic = $1 and part = $2 and offs >= $3 order by offs limit $4",
            topic, part, offset, limit,
        )  # fmt: skip
        return [Record(topic, part, *row) for row in map(tuple, rows)]

    async def apply(self, projection: Projection, source: Any) -> int:
        """A read model of this sandbox's records, in tables of its own; how many records it took
        now. Again it goes on where it was. Raises SandboxError, InvalidMessage.
        """
        wanted = [r for r in await self.ranges() if r.topic in projection.topics]
        if not wanted:
            topics = ", ".join(projection.topics)
            raise SandboxError(f"the sandbox {self.name} has nothing of {topics}")
        await self._make_tables(projection)
        mine = _Inside(projection, self.schema)
        return sum([await self._apply(mine, one, source) for one in wanted])

    async def _apply(self, mine: _Inside, one: Range, source: Any) -> int:
        sql, done = self._sql, 0
        place = (mine.name, one.topic, one.part)
        position = await sql.fetchval(
            f"select offs from {self.schema}.applied where model = $1 and topic = $2 and part = $3",  # noqa: S608
            *place,
        )
        position = one.first if position is None else position
        while position < one.next:
            records = await source.read(
                one.topic, one.part, position, min(BATCH, one.next - position)
            )
            if not records or records[0].offset != position:
                raise SandboxError(f"{one.topic}/{one.part}: there is no record at {position}")
            position = records[-1].offset + 1
            async with sql.transaction():
                await write(mine, records, sql)
                await sql.execute(
                    f"insert into {self.schema}.applied values ($1, $2, $3, $4)"  # noqa: S608
                    " on conflict (model, topic, part) do update set offs = excluded.offs",
                    *place, position,
                )  # fmt: skip
            done += len(records)
        return done

    async def _make_tables(self, projection: Projection) -> None:
        for table in projection.tables:
            name = f"{self.schema}.{quoted(table)}"
            if await self._sql.fetchval("select to_regclass($1) is null", name):
                like = f"{quoted(projection.service)}.{quoted(table)}"
                await self._sql.execute(
                    f"create table {name} (like {like} including all);"
                    f" select platform.protect('{name}')"
                )

    async def drop(self) -> None:
        """All of it. Idempotent."""
        await self._sql.execute(f"drop schema if exists {self.schema} cascade")


class _Inside:
    """A projection that writes into the sandbox's schema."""

    def __init__(self, inner: Projection, schema: str) -> None:
        self._inner = inner
        self.name, self.service = inner.name, schema
        self.topics, self.tables = inner.topics, inner.tables
        self.counters = getattr(inner, "counters", None)

    def rows(self, record: Record) -> Any:
        return self._inner.rows(record)


class TableTarget:
    """The sandbox's own log, where there is no Kafka."""

    kind = "table"

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def next(self, topic: str, part: int, first: int) -> int:
        """See the port."""
        return first

    async def put(self, records: Sequence[Record]) -> None:
        """See the port. What is there already is left as it is."""
        await self._sandbox._sql.executemany(
            f"insert into {self._sandbox.schema}.log values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"  # noqa: S608
            " on conflict do nothing",
            [
                (r.topic, r.part, r.offset, r.at, r.tenant, r.entity, r.seq, r.type, r.event_id, r.body)
                for r in records
            ],
        )  # fmt: skip


async def names(owner_dsn: str) -> list[str]:
    """The sandboxes that there are."""
    sql = await asyncpg.connect(owner_dsn)
    try:
        rows = await sql.fetch(
            "select substr(nspname, 9) from pg_namespace where nspname like 'sandbox\\_%' order by 1"
        )
    finally:
        await sql.close()
    return [row[0] for row in rows]
