# ruff: noqa: E501 (statements of SQL keep their lines)
"""Rebuilding read models: from what was said into shadow tables, compared or swapped in without
downtime.

What was said is read from the log, or from anything else that has it at the same positions: Kafka,
the archive. Works as orion_owner, on connections of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import asyncpg

from orion.platform.bus.abandoned import is_kept
from orion.platform.bus.port import Record
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.errors import InvalidMessage
from orion.platform.project import Fold, Folded, Projection, ReadModel
from orion.platform.project_rows import quoted
from orion.platform.project_run import write

BATCH = 2_000
SHADOW = "__shadow"
LOOK_S = 0.2
LOOKS = 50  # for what the live consumer has already applied


class LogIncomplete(Exception):
    """The source does not begin at the first record, or leaves some out: a rebuild would lose what
    only the read model still has.
    """


class Source(Protocol):
    """Where records come from: the reading side of a bus, by the positions of the log."""

    async def read(
        self, topic: str, part: int, offset: int, limit: int = 500
    ) -> Sequence[Record]: ...

    async def ends(self, topic: str) -> dict[int, int]: ...


async def starts(source: Source, topic: str) -> dict[int, int]:
    """The first offset of each partition that the source has; its end where it has none."""
    known = getattr(source, "starts", None)
    if known is not None:
        return await known(topic)
    found = await source.ends(topic)
    for part, end in found.items():
        first = await source.read(topic, part, 0, 1) if end else ()
        found[part] = first[0].offset if first else end
    return found


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did: how many records it read, and the checksums of the live tables and of the
    rebuilt ones.
    """

    name: str
    records: int
    live: str
    rebuilt: str
    notes: tuple[str, ...] = ()  # what the log no longer tells
    seconds: float = 0.0  # from the first record read until the shadow was whole

    @property
    def is_equal(self) -> bool:
        """Byte-identical."""
        return self.live == self.rebuilt


async def checksum(sql: Any, projection: ReadModel, suffix: str = "") -> str:
    """A digest of the contents of all tables of a read model; the same rows give the same digest,
    in whatever order they lie.
    """
    digest = hashlib.blake2b(digest_size=16)
    for table in sorted(projection.tables):
        name = f"{quoted(projection.service)}.{quoted(table + suffix)}"
        row = await sql.fetchrow(
            f"select count(*), md5(coalesce(string_agg(h, '' order by h), ''))"  # noqa: S608
            f" from (select md5(t::text) as h from {name} t) rows"
        )
        digest.update(f"{table}:{row[0]}:{row[1]};".encode())
    return digest.hexdigest()


class Rebuilder:
    """One read model, rebuilt. `newest`: of a read model that may begin anywhere in the log, only
    so many of the newest records of each partition. `source`: instead of the log.
    """

    def __init__(
        self,
        projection: ReadModel,
        owner_dsn: str,
        specs: Mapping[str, Topic] | None = None,
        newest: int | None = None,
        source: Source | None = None,
    ) -> None:
        self._projection = projection
        self._newest = newest
        self._given = source
        self._fold: Fold | None = None
        self._dsn = owner_dsn
        self._specs = specs if specs is not None else catalogue()
        self._rename = {t: t + SHADOW for t in projection.tables}
        self._read = 0
        self._skip: set[tuple[str, int, int]] = set()

    async def compare(self) -> Rebuilt:
        """Rebuilds, compares with the live tables at the same positions, throws the shadow away."""
        return await self._run(swap=False)

    async def swap(self) -> Rebuilt:
        """Rebuilds and puts the result in the live tables' place. Readers notice nothing, the
        consumer waits a moment.
        """
        return await self._run(swap=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        sql = await asyncpg.connect(
            self._dsn, server_settings={"jit": "off", "timezone": "UTC", "datestyle": "ISO"}
        )
        try:
            yield sql
        finally:
            await sql.close()

    async def _run(self, *, swap: bool) -> Rebuilt:
        loop = asyncio.get_running_loop()
        async with self._connection() as sql, self._source() as source:
            await sql.execute(
                "select pg_advisory_lock(hashtext($1))", f"rebuild {self._projection.name}"
            )
            await self._make_shadows(sql)
            try:
                began = loop.time()
                positions = await self._begin(sql, source)
                # The bulk while the consumer goes on; what is left then is little and is done while
                # it waits.
                await self._catch_up(sql, source, positions, await self._live(sql))
                async with sql.transaction():
                    await sql.execute(
                        "select 1 from bus.ckpt where consumer = $1 order by topic, part for update",
                        self._projection.name,
                    )
                    await self._catch_up(sql, source, positions, await self._live(sql))
                    notes = await self._fold.write(sql, self._names()) if self._fold else []
                    seconds = loop.time() - began
                    live = await checksum(sql, self._projection)
                    rebuilt = await checksum(sql, self._projection, SHADOW)
                    if swap:
                        await self._exchange(sql)
            finally:
                if not sql.is_closed():
                    await self._drop_shadows(sql)
            return Rebuilt(self._projection.name, self._read, live, rebuilt, tuple(notes), seconds)

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[Source]:
        if self._given is not None:
            yield self._given
            return
        log = PostgresBus(self._dsn, ring=Ring(), topics=self._specs, connections=1)
        try:
            yield log
        finally:
            await log.close()

    async def _begin(self, sql: Any, source: Source) -> dict[tuple[str, int], int]:
        """Where to begin: at 0, or for a fold where the source does (or later)."""
        if not hasattr(self._projection, "fold"):
            return {}
        self._fold = cast(Folded, self._projection).fold()
        await self._fold.begin(sql)
        found: dict[tuple[str, int], int] = {}
        for topic in self._projection.topics:
            ends = await source.ends(topic)
            newest = self._newest if self._specs[topic].hourly else None
            for part, first in (await starts(source, topic)).items():
                found[topic, part] = first if newest is None else max(first, ends[part] - newest)
        return found

    def _names(self) -> dict[str, str]:
        schema = quoted(self._projection.service)
        return {live: f"{schema}.{quoted(shadow)}" for live, shadow in self._rename.items()}

    async def _make_shadows(self, sql: Any) -> None:
        schema = quoted(self._projection.service)
        for live, shadow in self._rename.items():
            await sql.execute(
                f"drop table if exists {schema}.{quoted(shadow)};"
                f"create table {schema}.{quoted(shadow)} (like {schema}.{quoted(live)} including all);"
                f"select platform.protect('{schema}.{quoted(shadow)}')"
            )
            options = await sql.fetchval(
                "select array_to_string(reloptions, ', ') from pg_class where oid = $1::text::regclass",
                f"{schema}.{quoted(live)}",
            )
            if options:
                await sql.execute(f"alter table {schema}.{quoted(shadow)} set ({options})")

    async def _drop_shadows(self, sql: Any) -> None:
        with suppress(asyncpg.PostgresError):
            for shadow in self._rename.values():
                await sql.execute(
                    f"drop table if exists {quoted(self._projection.service)}.{quoted(shadow)}"
                )

    async def _live(self, sql: Any) -> dict[tuple[str, int], int]:
        """Where the live consumer is, and which records it could not apply."""
        name = self._projection.name
        letters = await sql.fetch(
            "select topic, part, offs from bus.dead_letters where consumer = $1 and status <> 'replayed'",
            name,
        )
        self._skip = {tuple(r) for r in letters}
        rows = await sql.fetch("select topic, part, offs from bus.ckpt where consumer = $1", name)
        return {(r[0], r[1]): r[2] for r in rows if r[0] in self._projection.topics}

    async def _catch_up(
        self,
        sql: Any,
        source: Source,
        positions: dict[tuple[str, int], int],
        ends: Mapping[tuple[str, int], int],
    ) -> None:
        for (topic, part), end in ends.items():
            position = positions.get((topic, part), 0)
            while position < end:
                records = await self._records(source, topic, part, position, end)
                await self._apply(sql, records)
                position = records[-1].offset + 1
                self._read += len(records)
            positions[topic, part] = position

    async def _records(
        self, source: Source, topic: str, part: int, offset: int, end: int
    ) -> Sequence[Record]:
        for _ in range(LOOKS):
            records = await source.read(topic, part, offset, min(BATCH, end - offset))
            if records:
                break
            # The live consumer was there already, so it exists: whoever reads elsewhere than the
            # consumer does may come to know of it a moment later.
            if (await source.ends(topic)).get(part, 0) <= offset:
                await asyncio.sleep(LOOK_S)
        else:
            raise LogIncomplete(f"{topic}/{part} ends at {offset}, the live one is at {end}")
        whole = [r.offset for r in records] == list(range(offset, offset + len(records)))
        if not whole:
            raise LogIncomplete(
                f"{topic}/{part} begins after {offset}; older records are no longer kept"
            )
        return records

    async def _apply(self, sql: Any, records: Sequence[Record]) -> None:
        good = [r for r in records if is_kept(r) and (r.topic, r.part, r.offset) not in self._skip]
        if not good:
            return
        if self._fold is not None:
            self._fold.take(good)
            return
        try:
            async with sql.transaction():
                await write(cast(Projection, self._projection), good, sql, self._rename)
        except InvalidMessage as error:
            raise LogIncomplete(f"this version cannot read {error}") from error

    async def _exchange(self, sql: Any) -> None:
        schema = quoted(self._projection.service)
        for live, shadow in self._rename.items():
            old = quoted(live + "__old")
            # Names of indexes follow, so that a later migration finds them.
            indexes = await sql.fetch(
                "select i.relname as live, s.relname as shadow from pg_index x"
                " join pg_class i on i.oid = x.indexrelid"
                " join pg_index y on y.indrelid = $2::text::regclass"
                "  and pg_get_expr(y.indpred, y.indrelid) is not distinct from pg_get_expr(x.indpred, x.indrelid)"
                "  and y.indkey = x.indkey and y.indoption = x.indoption and y.indisunique = x.indisunique"
                "  and pg_get_expr(y.indexprs, y.indrelid) is not distinct from pg_get_expr(x.indexprs, x.indrelid)"
                " join pg_class s on s.oid = y.indexrelid where x.indrelid = $1::text::regclass",
                f"{schema}.{quoted(live)}", f"{schema}.{quoted(shadow)}",
            )  # fmt: skip
            await sql.execute(
                f"alter table {schema}.{quoted(live)} rename to {old};"
                f"alter table {schema}.{quoted(shadow)} rename to {quoted(live)};"
                f"drop table {schema}.{old}"
            )
            for row in indexes:
                await sql.execute(
                    f"alter index {schema}.{quoted(row['shadow'])} rename to {quoted(row['live'])}"
                )


@dataclass(frozen=True)
class State:
    """How a read model does."""

    name: str
    rows: tuple[tuple[str, int], ...]  # by table
    records: int  # applied
    behind: int
    letters: int  # records that it could not process
    since: int  # records the log no longer holds

    def __str__(self) -> str:
        """A line for people."""
        tables = ", ".join(f"{name} {rows} rows" for name, rows in self.rows)
        parts = [f"{self.name}: {tables}; {self.records} records applied, {self.behind} behind"]
        if self.letters:
            parts.append(f"{self.letters} dead letters")
        if self.since:
            parts.append(f"the log begins after {self.since} records")
        return "; ".join(parts)


async def states(projections: Sequence[ReadModel], owner_dsn: str) -> list[State]:
    """How these read models do."""
    sql = await asyncpg.connect(owner_dsn)
    try:
        return [await _state(sql, projection) for projection in projections]
    finally:
        await sql.close()


async def _state(sql: Any, projection: ReadModel) -> State:
    rows = [
        (table, await sql.fetchval(
            f"select count(*) from {quoted(projection.service)}.{quoted(table)}"  # noqa: S608
        ))
        for table in projection.tables
    ]  # fmt: skip
    counts = await sql.fetchrow(
        "select coalesce(sum(k.done), 0)::bigint, coalesce(sum(h.next - coalesce(k.offs, 0)), 0)::bigint,"
        " coalesce(sum(h.kept), 0)::bigint"
        " from bus.head h left join bus.ckpt k on k.topic = h.topic and k.part = h.part and k.consumer = $1"
        " where h.topic = any ($2)",
        projection.name, list(projection.topics),
    )  # fmt: skip
    letters = await sql.fetchval(
        "select count(*) from bus.dead_letters where consumer = $1 and status <> 'replayed'",
        projection.name,
    )
    records, behind, since = counts
    return State(projection.name, tuple(rows), records, behind, letters, since)


async def rebuild(
    projection: ReadModel,
    owner_dsn: str,
    specs: Mapping[str, Topic] | None = None,
    source: Source | None = None,
) -> Rebuilt:
    """Rebuilds a read model from the log (or `source`) and swaps it in. Raises LogIncomplete."""
    return await Rebuilder(projection, owner_dsn, specs, source=source).swap()


async def compare(
    projection: ReadModel,
    owner_dsn: str,
    specs: Mapping[str, Topic] | None = None,
    newest: int | None = None,
    source: Source | None = None,
) -> Rebuilt:
    """Rebuilds a read model beside the live one and compares. Raises LogIncomplete."""
    return await Rebuilder(projection, owner_dsn, specs, newest, source).compare()
