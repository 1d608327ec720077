"""A database that was put back to before: what others know of the log beyond its end, and the one
step that lets the log go on above it.

`compare` says, partition by partition, how far the log goes and how far its witnesses go (Kafka,
the archive, the audit trail's anchors). `Restored.declare` then, in one transaction: takes every
place between with a record that says only that (bus/abandoned.py), notes the range in
bus.abandoned, moves `next` above it, and raises every epoch beyond any that was ever given out. So
no position is given out a second time, and nobody who still holds an old lease can write.

Owns: bus.abandoned. Works as orion_owner, while nothing else runs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import asyncpg

from orion.platform.bus.abandoned import Abandoned, Range
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.relay_marks import DECLARED

Head = tuple[str, int]
ROWS = 5_000  # written at once
EPOCHS = 32  # an epoch counts restores above this bit, leases below it


class StillRunning(Exception):
    """Somebody holds a lease, or lives: what is compared could change meanwhile."""


class Diverged(Exception):
    """The log says something else than its witnesses at the same position: it was written after it
    was put back. No range explains that.
    """


class Published(Protocol):
    """What Kafka has, as kafka_past.Past tells it."""

    abandoned: Abandoned

    async def last(self, topic: str, part: int) -> tuple[Record | None, bool]: ...

    async def read(
        self, topic: str, part: int, offset: int, limit: int, end: int
    ) -> Sequence[Record]: ...


@dataclass(frozen=True)
class Gap:
    """A partition whose witnesses know more than its log. `ends`: the next offset by witness."""

    topic: str
    part: int
    next: int
    at: int
    ends: Mapping[str, int]

    @property
    def until(self) -> int:
        """Where the log may go on."""
        return max(self.ends.values())

    @property
    def range(self) -> Range:
        """What is to be abandoned."""
        return Range(self.topic, self.part, self.next, self.until, self.at)

    def __str__(self) -> str:
        """A line for people."""
        known = ", ".join(f"{who} up to {end - 1}" for who, end in sorted(self.ends.items()))
        return (
            f"{self.topic}/{self.part}: the log's next is {self.next}; {known};"
            f" {self.until - self.next} records are lost from the log"
        )


Ends = Mapping[Head, int]
After = Callable[[Any, Sequence[Range]], Coroutine[Any, Any, None]]


@dataclass
class Restored:
    """One look at the log, and what is done about it."""

    sql: Any  # asyncpg, as orion_owner
    topics: Mapping[str, Topic]
    heads: dict[Head, Any] = field(default_factory=dict)
    declared: Abandoned = field(default_factory=Abandoned)

    @classmethod
    @asynccontextmanager
    async def open(cls, owner_dsn: str, topics: Mapping[str, Topic]) -> AsyncIterator[Restored]:
        """Open as long as the block lasts."""
        sql = await asyncpg.connect(owner_dsn, timeout=10)
        try:
            found = cls(sql, topics)
            await found.look()
            yield found
        finally:
            await sql.close()

    async def look(self) -> None:
        """How the heads stand, and what was declared before."""
        rows = await self.sql.fetch("select topic, part, next, kept, at from bus.head")
        self.heads = {(r["topic"], r["part"]): r for r in rows}
        self.declared = Abandoned(Range(*r) for r in map(tuple, await self.sql.fetch(DECLARED)))

    async def running(self) -> list[str]:
        """Who holds a lease or says that he lives."""
        rows = await self.sql.fetch(
            "select distinct split_part(topic, '.', 1) || ' at ' || owner as who from bus.head"
            " where lease_until > clock_timestamp() and instance <> ''"
            " union select service || ' at ' || address from bus.copies"
            " where seen_until > clock_timestamp() order by 1"
        )
        return [r["who"] for r in rows]

    async def published(self, past: Published) -> Ends:
        """How far Kafka goes. Raises Diverged, Unavailable."""
        past.abandoned = self.declared
        found: dict[Head, int] = {}
        for topic in self.topics.values():
            for part in range(topic.partitions):
                last, _ = await past.last(topic.key, part)
                if last is None:
                    continue
                found[topic.key, part] = last.offset + 1
                await self._same(past, last)
        return found

    async def _same(self, past: Published, last: Record) -> None:
        """The newest record that both have must be one."""
        head = self.heads.get((last.topic, last.part))
        place = min(last.offset, head["next"] - 1) if head else -1
        if head is None or place < head["kept"]:
            return
        there = last
        if place < last.offset:
            there = (await past.read(last.topic, last.part, place, 1, place + 1))[0]
        here = await self._event(last.topic, last.part, place)
        if here is not None and here != there.event_id:
            raise Diverged(
                f"{last.topic}/{last.part}: Kafka has another record at {place} than the log"
            )

    async def _event(self, topic: str, part: int, offset: int) -> str | None:
        return await self.sql.fetchval(
            f"select event_id from {self._table(topic)}"  # noqa: S608
            " where topic = $1 and part = $2 and offs = $3",
            topic, part, offset,
        )  # fmt: skip

    def _table(self, topic: str) -> str:
        return "bus.log_hourly" if self.topics[topic].hourly else "bus.log"

    def compare(self, witnesses: Mapping[str, Ends]) -> list[Gap]:
        """The partitions of which somebody knows more than the log."""
        gaps: list[Gap] = []
        for topic in self.topics.values():
            for part in range(topic.partitions):
                head = self.heads.get((topic.key, part))
                upto, at = (head["next"], head["at"]) if head else (0, 0)
                ends = {w: e for w, of in witnesses.items() if (e := of.get((topic.key, part), 0))}
                ends = {w: end for w, end in ends.items() if end > upto}
                if ends:
                    gaps.append(Gap(topic.key, part, upto, at, ends))
        return gaps

    async def declare(self, gaps: Sequence[Gap], by: str, also: After | None = None) -> None:
        """All of it in one transaction; `also` is awaited in it. Raises StillRunning."""
        sql = self.sql
        async with sql.transaction():
            for topic in dict.fromkeys(g.topic for g in gaps):
                await sql.execute(
                    "select bus.ensure_heads($1, $2)", [topic], self.topics[topic].partitions
                )
            # Whoever wants a lease waits from here on; who has one is told of.
            rows = await sql.fetch("select * from bus.head order by topic, part for update")
            if running := await self.running():
                raise StillRunning(", ".join(running))
            now = {(r["topic"], r["part"]): r["next"] for r in rows}
            for gap in gaps:
                if now[gap.topic, gap.part] != gap.next:
                    raise StillRunning(f"somebody wrote to {gap.topic}/{gap.part} just now")
            await sql.execute("select bus.make_partitions()")
            await sql.execute("select set_config('orion.tenants', '{shared}', true)")
            for gap in gaps:
                await self._abandon(gap.range, by)
            await sql.execute(
                f"update bus.head set epoch = ((epoch >> {EPOCHS}) + 1) << {EPOCHS},"  # noqa: S608
                " owner = '', instance = '', lease_until = '-infinity'"
            )
            if also is not None:
                await also(sql, [g.range for g in gaps])
        await self.look()

    async def _abandon(self, what: Range, by: str) -> None:
        sql, unit = self.sql, "hour" if self.topics[what.topic].hourly else "day"
        period = await sql.fetchval(
            "update bus.head set next = $3, period = greatest(period,"
            " date_trunc($4, clock_timestamp() at time zone 'UTC') at time zone 'UTC')"
            " where topic = $1 and part = $2 returning period",
            what.topic, what.part, what.until, unit,
        )  # fmt: skip
        for start in range(what.first, what.until, ROWS):
            offsets = range(start, min(start + ROWS, what.until))
            records = [what.record(offset) for offset in offsets]
            await sql.execute(
                f"insert into {self._table(what.topic)}"  # noqa: S608
                " (topic, part, offs, period, at, tenant, entity, seq, type, event_id, body)"
                " select $1, $2, r.offs, $3, $4, $5, $6, r.seq, $7, r.event_id, r.body"
                " from unnest($8::bigint[], $9::bigint[], $10::text[], $11::bytea[])"
                " as r(offs, seq, event_id, body)",
                what.topic, what.part, period, what.at, records[0].tenant, records[0].entity,
                records[0].type, list(offsets), [r.seq for r in records],
                [r.event_id for r in records], [r.body for r in records],
            )  # fmt: skip
        await sql.execute(
            "insert into bus.abandoned (topic, part, first, until, at, by)"
            " values ($1, $2, $3, $4, $5, $6)",
            what.topic, what.part, what.first, what.until, what.at, by,
        )  # fmt: skip
