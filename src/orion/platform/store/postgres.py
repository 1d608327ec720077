# ruff: noqa: E501 (statements of SQL keep their lines)
"""The store in PostgreSQL: one function call per batch, one round trip, one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

import asyncpg

from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.bus.postgres import CHANNEL
from orion.platform.bus.ring import Ring, ring_of
from orion.platform.clock import Clock, SystemClock
from orion.platform.errors import Unavailable
from orion.platform.store.columns import append_columns, put_columns
from orion.platform.store.connection import (
    GONE,
    PLAIN,
    WRITER,
    Door,
    Pool,
    connect,
    named,
    raise_if_cancelled,
    sqlstate,
)
from orion.platform.store.letters import COLUMNS, Letters, count, from_row, name_of, request
from orion.platform.store.port import (
    DUPLICATE,
    FAILED,
    LETTER_TOPIC,
    Advance,
    Batch,
    CheckpointMoved,
    DeadLetter,
    Head,
    Holder,
    Keep,
    LetterChange,
    OutcomeUnknown,
    Refused,
    Say,
)
from orion.platform.transact_words import Key, Snapshot

TELL_GAP_S = 0.005  # between two wake-ups of other processes: each of them is a transaction
_STATE = "tenant, id, version, live, status, deadline, ordinal, body, schema"


class PostgresStore:
    """Writes as orion_writer. One connection per writer task, a few for everything else."""

    def __init__(
        self,
        dsn: str,
        ring: Ring | None = None,
        *,
        connections: int = 4,
        say: Say | None = None,
        keep: Keep | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._dsn = dsn
        self._ring = ring or ring_of(dsn)
        self._pool = Pool(dsn, PLAIN, size=connections, name="store")
        self._lines: dict[str, tuple[asyncpg.Connection, Any]] = {}
        self._untold: dict[tuple[str, int], int] = {}
        self._telling: asyncio.Task[None] | None = None
        self._letters = Letters(say, clock or SystemClock(), keep)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, door: Door, say: Say | None = None, keep: Keep | None = None
    ) -> AsyncIterator[PostgresStore]:
        """Opens as long as the block lasts. `say`, `keep`: what goes into the log of dead letters,
        and into that of their service.
        """
        store = cls(door.dsn("orion_writer"), say=say, keep=keep)
        try:
            yield store
        finally:
            await store.close()

    # ---- writes

    async def put(self, batch: Batch) -> None:
        """See the port."""
        await self._write(batch, _put_of(batch.service), put_columns(batch))

    async def append(self, batch: Batch) -> None:
        """See the port."""
        await self._write(batch, _APPEND, append_columns(batch))

    async def _write(self, batch: Batch, call: str, columns: tuple[Any, ...]) -> None:
        connection, statement = await self._line(batch.service, call)
        try:
            if batch.letters or batch.settled:
                await self._write_with_letters(batch, connection, statement, columns)
            else:
                await statement.fetchval(*columns)
        except BaseException as error:
            if not isinstance(error, Exception):
                self._drop(batch.service)  # cancelled: the line may be in the middle of something
                raise
            if isinstance(error, CheckpointMoved):
                raise
            if isinstance(error, GONE):
                raise_if_cancelled(error)
            failure = named(error)
            if isinstance(failure, OutcomeUnknown):
                self._drop(batch.service)
            if "no partition of relation" in str(error):
                await self._pool.execute("select bus.make_partitions()")
                failure = Unavailable("the log had no partition for today; it has now")
            raise failure from error

    async def _write_with_letters(
        self, batch: Batch, connection: Any, statement: Any, columns: tuple[Any, ...]
    ) -> None:
        async with connection.transaction():
            await connection.fetchval(
                "select set_config('orion.tenants', $1::text[]::text, true)", list(batch.tenants)
            )
            changes = await self._letters.claim(connection, batch.settled) if batch.settled else []
            await statement.fetchval(*columns)
            changes += await self._letters.insert(connection, batch.letters)
            records = await self._letters.tell(connection, changes)
        self._now_true(changes, records)

    def _now_true(self, changes: Sequence[LetterChange], records: Sequence[Record]) -> None:
        count(changes)
        if records:
            self.tell(records)

    async def _line(self, service: str, call: str) -> tuple[asyncpg.Connection, Any]:
        line = self._lines.get(service)
        if line is None or line[0].is_closed():
            line = await self._open_line(service, WRITER, f"{service} writer", call)
        return line

    async def _open_line(
        self, name: str, settings: dict[str, str], label: str, call: str
    ) -> tuple[asyncpg.Connection, Any]:
        connection = await connect(self._dsn, settings, label)
        try:
            line = self._lines[name] = (connection, await connection.prepare(call))
        except BaseException as error:  # cancelled too: nobody else would close it
            connection.terminate()
            if isinstance(error, (*GONE, asyncpg.PostgresError)):
                raise Unavailable(f"the database is not ready: {error}") from error
            raise
        return line

    def _drop(self, service: str) -> None:
        line = self._lines.pop(service, None)
        if line is not None:
            line[0].terminate()

    def tell(self, records: Sequence[Record]) -> None:
        """See the port. The wake-up of other processes goes over a connection of its own, after the
        commit: NOTIFY inside the writing transaction would make all writers' commits wait for each
        other. What is lost costs a second (bus/postgres.py).
        """
        self._ring.hand_over(records)
        telemetry.record_spans("commit", records, since_decided=True)
        for record in records:
            self._untold[record.topic, record.part] = record.offset + 1
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(), name="store.tell")

    async def _tell(self) -> None:
        settings = {**PLAIN, "synchronous_commit": "off"}
        with suppress(Unavailable, asyncpg.PostgresError, *GONE):
            line = self._lines.get("notify")
            if line is None or line[0].is_closed():
                call = f"select pg_notify('{CHANNEL}', $1)"
                line = await self._open_line("notify", settings, "notify", call)
            while self._untold:
                some = list(self._untold.items())[:64]
                for key, end in some:
                    if self._untold.get(key) == end:
                        del self._untold[key]
                await line[1].fetchval(";".join(f"{t},{p},{end}" for (t, p), end in some))
                # The first goes at once; what follows it closely goes together.
                await asyncio.sleep(TELL_GAP_S)
            return
        self._untold.clear()

    # ---- leases

    async def ensure(self, topics: Sequence[str], parts: int) -> None:
        """See the port."""
        await self._pool.execute("select bus.ensure_heads($1, $2)", list(topics), parts)
        await self._pool.execute("select bus.make_partitions()")

    async def acquire(
        self,
        topics: Sequence[str],
        part: int,
        address: str,
        instance: str,
        *,
        lease_ms: int,
        succeed: bool,
    ) -> list[Head]:
        """See the port."""
        rows = await self._pool.fetch(
            "select * from bus.acquire($1, $2, $3, $4, $5, $6)",
            list(topics), part, address, instance, lease_ms, succeed,
        )  # fmt: skip
        return [Head(r["topic"], part, r["next"], r["epoch"], r["at"]) for r in rows]

    async def renew(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> set[int]:
        """See the port."""
        rows = await self._pool.fetch(
            "select * from bus.renew($1, $2, $3, $4)",
            list(topics), list(parts), instance, lease_ms,
        )  # fmt: skip
        return {r[0] for r in rows}

    async def raise_epoch(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> list[Head]:
        """See the port."""
        rows = await self._pool.fetch(
            "select * from bus.raise_epoch($1, $2, $3, $4)",
            list(topics), list(parts), instance, lease_ms,
        )  # fmt: skip
        return [Head(r["topic"], r["part"], r["next"], r["epoch"], r["at"]) for r in rows]

    async def release(self, topics: Sequence[str], parts: Sequence[int], instance: str) -> None:
        """See the port."""
        await self._pool.execute(
            "select bus.release($1, $2, $3)", list(topics), list(parts), instance
        )

    async def holders(self, topic: str) -> list[Holder]:
        """See the port."""
        rows = await self._pool.fetch(
            "select part, owner, lease_until >= clock_timestamp() from bus.head where topic = $1"
            " order by part",
            topic,
        )
        return [Holder(*tuple(r)) for r in rows]

    async def announce(self, service: str, instance: str, address: str, ttl_ms: int) -> list[str]:
        """See the port."""
        rows = await self._pool.fetch(
            "select instance from bus.announce($1, $2, $3, $4) as instance",
            service, instance, address, ttl_ms,
        )  # fmt: skip
        return [r[0] for r in rows]

    # ---- what owners load

    async def live(self, service: str, part: int) -> list[tuple[str, str, Snapshot]]:
        """See the port."""
        rows = await self._pool.fetch(
            f"select {_STATE} from {_schema(service)}.state where part = $1 and live",  # noqa: S608
            part,
        )
        return [_snapshot(r) for r in rows]

    async def find(
        self, service: str, keys: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str, Snapshot]]:
        """See the port."""
        rows = await self._pool.fetch(
            f"select {_STATE} from {_schema(service)}.state"  # noqa: S608
            " join unnest($1::text[], $2::text[]) as k(tenant, id) using (tenant, id)",
            [k[0] for k in keys], [k[1] for k in keys],
        )  # fmt: skip
        return [_snapshot(r) for r in rows]

    async def ordinals(self, service: str, part: int) -> dict[str, int]:
        """See the port. Steps from tenant to tenant along the index instead of reading all of it."""
        table = f"{_schema(service)}.state"
        rows = await self._pool.fetch(
            f"""
            with recursive t(tenant) as (
              (select tenant from {table} where part = $1 and ordinal > 0 order by tenant limit 1)
              union all
              select (select s.tenant from {table} s where s.part = $1 and s.ordinal > 0 and s.tenant > t.tenant
                      order by s.tenant limit 1) from t where t.tenant is not null)
            select tenant, (select s.ordinal from {table} s where s.part = $1 and s.tenant = t.tenant and s.ordinal > 0
                            order by s.ordinal desc limit 1)
              from t where tenant is not null
            """,  # noqa: S608
            part,
        )
        return {r[0]: r[1] for r in rows}

    async def replies(
        self, service: str, keys: Sequence[tuple[str, int, Key]]
    ) -> dict[tuple[str, int, str, str, str], tuple[bytes, bytes]]:
        """See the port."""
        rows = await self._pool.fetch(
            "select tenant, part, subject, command, key, hash, reply"  # noqa: S608
            f" from {_schema(service)}.inbox"
            " join unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[])"
            " as k(tenant, part, subject, command, key) using (tenant, part, subject, command, key)",
            [k[0] for k in keys], [k[1] for k in keys], [k[2].subject for k in keys],
            [k[2].operation for k in keys], [k[2].key for k in keys],
        )  # fmt: skip
        return {tuple(r)[:5]: (r["hash"], r["reply"]) for r in rows}

    async def prune_inbox(self, service: str, before: int, limit: int = 1000) -> int:
        """See the port."""
        table = f"{_schema(service)}.inbox"
        answer = await self._pool.execute(
            f"delete from {table} where ctid = any (array("  # noqa: S608
            f"select ctid from {table} where at < $1 limit $2))",
            before, limit,
        )  # fmt: skip
        return int(answer.rpartition(" ")[2])

    async def sequences(self, topic: str) -> list[tuple[int, str, str, int, int]]:
        """See the port."""
        rows = await self._pool.fetch(
            "select part, tenant, entity, seq, upto from bus.sequences where topic = $1", topic
        )
        return [tuple(r) for r in rows]

    # ---- consumers

    async def positions(self, consumer: str) -> dict[tuple[str, int], int]:
        """See the port."""
        rows = await self._pool.fetch(
            "select topic, part, offs from bus.ckpt where consumer = $1", consumer
        )
        return {(r[0], r[1]): r[2] for r in rows}

    @asynccontextmanager
    async def effect(
        self,
        service: str,
        tenants: Sequence[str],
        advances: Sequence[Advance],
        *,
        letters: Sequence[DeadLetter] = (),
        settled: Sequence[DeadLetter] = (),
    ) -> AsyncIterator[Any]:
        """See the port."""
        async with self._pool.session() as sql:
            try:
                async with sql.transaction():
                    await self._begin_effect(sql, tenants, advances)
                    changes = await self._letters.claim(sql, settled) if settled else []
                    yield sql
                    changes += await self._letters.insert(sql, letters)
                    records = await self._letters.tell(sql, changes)
                self._now_true(changes, records)
            except asyncpg.PostgresError as error:
                if "no partition of relation" in str(error):
                    await self._pool.execute("select bus.make_partitions()")
                    raise Unavailable("the log had no partition for today; it has now") from error
                failure = named(error)
                if isinstance(failure, OutcomeUnknown):
                    failure = Unavailable(f"the database went away: {error}")
                # Only bad data is the record's own fault; anything else is worth another try.
                is_data = sqlstate(error)[:2] in ("22", "23")
                keep = isinstance(failure, Refused) and not is_data
                raise (error if keep else failure) from error

    @staticmethod
    async def _begin_effect(sql: Any, tenants: Sequence[str], advances: Sequence[Advance]) -> None:
        advances = sorted(advances, key=lambda a: (a.consumer, a.topic, a.part))
        await sql.fetchval(
            "select bus.begin_effect($1, $2, $3, $4, $5, $6)",
            sorted(set(tenants)),
            *(
                [getattr(a, f) for a in advances]
                for f in ("consumer", "topic", "part", "start", "end")
            ),
        )

    async def bury(self, letters: Sequence[DeadLetter], advances: Sequence[Advance]) -> None:
        """See the port."""
        tenants = [x.record.tenant for x in letters]
        async with self.effect("bus", tenants, advances, letters=letters):
            pass

    async def letters(
        self,
        *,
        consumer: str | None = None,
        tenant: str | None = None,
        status: str | None = None,
        limit: int = 500,
    ) -> list[DeadLetter]:
        """See the port."""
        rows = await self._pool.fetch(
            f"select {COLUMNS} from bus.dead_letters"  # noqa: S608
            " where ($1::text is null or consumer = $1) and ($2::text is null or tenant = $2)"
            " and ($3::text is null or status = $3) order by consumer, topic, part, offs limit $4",
            consumer, tenant, status, limit,
        )  # fmt: skip
        return [from_row(r) for r in rows]

    async def request_replay(self, letters: Sequence[DeadLetter], by: str = "") -> int:
        """See the port."""
        if not letters:
            return 0
        async with self.effect("bus", [x.record.tenant for x in letters], ()) as sql:
            return await request(sql, letters, by)

    async def processed(self, consumer: str, letters: Sequence[DeadLetter]) -> set[tuple[str, str]]:
        """See the port."""
        rows = await self._pool.fetch(
            "select tenant, event_id from bus.processed_events join unnest($2::text[], $3::text[])"
            " as k(tenant, event_id) using (tenant, event_id) where consumer = $1",
            consumer, [x.record.tenant for x in letters], [x.record.event_id for x in letters],
        )  # fmt: skip
        return {(r[0], r[1]) for r in rows}

    async def settle(self, letters: Sequence[DeadLetter], *, error: str = "") -> None:
        """See the port."""
        outcome = FAILED if error else DUPLICATE
        async with self.effect("bus", [x.record.tenant for x in letters], ()) as sql:
            changes = await self._letters.settle(sql, letters, outcome, error)
            records = await self._letters.tell(sql, changes)
        self._now_true(changes, records)

    async def told(self, letter: DeadLetter) -> list[Record]:
        """See the port."""
        rows = await self._pool.fetch(
            "select l.part, l.offs, l.at, l.tenant, l.entity, l.seq, l.type, l.event_id, l.body"
            " from bus.log l join bus.dead_letters d on d.told_as = l.entity and d.tenant = l.tenant"
            " where l.topic = $6 and d.tenant = $1 and d.consumer = $2 and d.topic = $3"
            " and d.part = $4 and d.offs = $5 order by l.offs",
            *name_of(letter), LETTER_TOPIC,
        )  # fmt: skip
        return [Record(LETTER_TOPIC, *row) for row in map(tuple, rows)]

    async def close(self) -> None:
        """Closes all connections."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        for service in list(self._lines):
            line = self._lines.pop(service)
            try:
                await line[0].close(timeout=1)
            except Exception:
                line[0].terminate()
                telemetry.log.debug("store.line_terminated", service=service)
        await self._pool.close()


def _marks(count: int) -> str:
    return ", ".join(f"${i}" for i in range(1, count + 1))


_APPEND = f"select bus.append({_marks(23)})"


@cache
def _put_of(service: str) -> str:
    return f"select {_schema(service)}.put({_marks(51)})"


def _schema(service: str) -> str:
    if not service.replace("_", "").isalnum():
        raise ValueError(f"not a schema: {service}")
    return service


def _snapshot(row: Any) -> tuple[str, str, Snapshot]:
    tenant, entity, version, live, status, deadline, ordinal, body, schema = row
    return tenant, entity, Snapshot(version, live, status, deadline, ordinal, body, schema)
