# ruff: noqa: E501 (statements of SQL keep their lines)
"""Checks on a quiet system that what must hold does hold: offsets, sequences, state, replies,
consumers, read models.

Works as orion_owner and changes nothing (read models are rebuilt beside the live ones). Each check
says what it counted: a green report over nothing is not green.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from orion.platform.bus.abandoned import TYPE as ABANDONED
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.project import ReadModel
from orion.platform.rebuild import LogIncomplete, compare
from orion.platform.store.port import LETTER_TOPIC

SHOWN = 20  # violations listed per check; all are counted
NEWEST = 25_000  # ticks of each partition that prices and bars are made anew from

LOG = "(select * from bus.log union all select * from bus.log_hourly)"


# Nothing is known beforehand of what payloads hold: the planner expects few rows, and would compare
# each trade with each accept.
SESSION = {"jit": "off", "timezone": "UTC", "enable_nestloop": "off"}


@dataclass
class Check:
    """One invariant: how many things were looked at, and what is wrong with which."""

    name: str
    counted: int = 0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, rows: Iterable[Any], say: Callable[[Any], str]) -> None:
        """Notes each row as a violation."""
        for row in rows:
            self.violations.append(say(row))


@dataclass
class Report:
    """All checks of one run."""

    checks: list[Check] = field(default_factory=list)

    @property
    def violations(self) -> list[str]:
        """What is wrong, with the name of the check."""
        return [f"{c.name}: {v}" for c in self.checks for v in c.violations]

    @property
    def is_empty(self) -> bool:
        """Nothing was there to be checked: green means nothing then."""
        return not any(c.counted for c in self.checks if c.name == "offsets")

    @property
    def ok(self) -> bool:
        """Everything holds, and there was something."""
        return not self.violations and not self.is_empty


class Verifier:
    """The generic checks. `services` are those with an owner (schemas with state and inbox)."""

    def __init__(
        self,
        owner_dsn: str,
        *,
        services: Sequence[str],
        projections: Sequence[ReadModel] = (),
        specs: Mapping[str, Topic] | None = None,
    ) -> None:
        self._dsn = owner_dsn
        self._services = services
        self._projections = projections
        self._specs = specs if specs is not None else catalogue()

    async def run(self) -> Report:
        """All checks. Raises OSError or asyncpg's errors when the database does not answer."""
        report = Report()
        sql = await asyncpg.connect(self._dsn, server_settings=SESSION)
        try:
            steps: list[Callable[[Any], Coroutine[Any, Any, Check]]] = [
                self.offsets, self.sequences, self.events, *self._per_service(), self.consumers,
                self.letters, self.replays, self.abandoned,
            ]  # fmt: skip
            # One snapshot for all: otherwise what is written meanwhile looks like a violation.
            async with sql.transaction(isolation="repeatable_read", readonly=True):
                for step in steps:
                    report.checks.append(await step(sql))
        finally:
            await sql.close()
        report.checks.append(await self.read_models())
        return report

    def _per_service(self) -> list[Callable[[Any], Coroutine[Any, Any, Check]]]:
        steps: list[Callable[[Any], Coroutine[Any, Any, Check]]] = []
        for service in self._services:
            steps.append(lambda sql, s=service: self.state(sql, s))
            steps.append(lambda sql, s=service: self.inbox(sql, s))
        return steps

    async def offsets(self, sql: Any) -> Check:
        """Gap-free per partition and across days; the head agrees; time and period never go back."""
        check = Check("offsets")
        rows = await sql.fetch(
            f"""
            select topic, part, count(*) as n, min(offs) as low, max(offs) as high,
                   count(*) filter (where gap) as gaps, count(*) filter (where back) as backs
              from (select topic, part, offs,
                           offs <> lag(offs) over w + 1 as gap,
                           (at < lag(at) over w or period < lag(period) over w) as back
                      from {LOG} l window w as (partition by topic, part order by offs)) x
             group by topic, part order by topic, part
            """  # noqa: S608
        )
        heads = {(r["topic"], r["part"]): r for r in await sql.fetch("select * from bus.head")}
        for r in rows:
            where = f"{r['topic']}/{r['part']}"
            check.counted += r["n"]
            head = heads.pop((r["topic"], r["part"]), None)
            if r["gaps"] or r["n"] != r["high"] - r["low"] + 1:
                check.violations.append(
                    f"{where}: {r['gaps']} gaps between {r['low']} and {r['high']}"
                )
            if r["backs"]:
                check.violations.append(f"{where}: time goes back {r['backs']} times")
            if head is None or head["next"] != r["high"] + 1:
                check.violations.append(
                    f"{where}: the log ends at {r['high']}, the head says next is {head and head['next']}"
                )
            if head is not None and r["low"] != head["kept"]:
                check.violations.append(f"{where}: begins at {r['low']}, kept from {head['kept']}")
            elif r["low"] > 0:
                check.notes.append(f"{where}: records before {r['low']} are no longer kept")
        for (topic, part), head in heads.items():
            if head["next"] != head["kept"]:
                check.violations.append(
                    f"{topic}/{part}: next is {head['next']} and the log is empty"
                )
        return check

    async def _trimmed(self, sql: Any) -> list[str]:
        """Topics of which retention has removed old records."""
        return [r[0] for r in await sql.fetch("select distinct topic from bus.head where kept > 0")]

    async def sequences(self, sql: Any) -> Check:
        """Each entity's sequence counts 1, 2, 3 … in log order, in one partition."""
        check = Check("sequences")
        trimmed = await self._trimmed(sql)
        rows = await sql.fetch(
            f"""
            select topic, tenant, entity, count(*) as n, min(seq) as low, count(distinct part) as parts,
                   count(*) filter (where wrong) as wrong
              from (select topic, tenant, entity, part, seq,
                           seq <> lag(seq) over (partition by topic, tenant, entity order by part, offs) + 1 as wrong
                      from {LOG} l) x
             group by topic, tenant, entity
            having count(*) filter (where wrong) > 0 or count(distinct part) > 1
                or (min(seq) <> 1 and not topic = any ($1))
            """,  # noqa: S608
            trimmed,
        )
        check.counted = await sql.fetchval(
            f"select count(*) from (select distinct topic, tenant, entity from {LOG} l) x"  # noqa: S608
        )
        check.add(
            rows,
            lambda r: (
                f"{r['topic']} {r['tenant']} {r['entity']}: begins at {r['low']}, {r['wrong']} jumps,"
                f" {r['parts']} partitions"
            ),
        )
        return check

    async def events(self, sql: Any) -> Check:
        """An event id names one event."""
        check = Check("event ids")
        check.counted = await sql.fetchval(f"select count(*) from {LOG} l")  # noqa: S608
        check.add(
            await sql.fetch(
                f"select event_id, count(*) as n from {LOG} l group by event_id having count(*) > 1"  # noqa: S608
            ),
            lambda r: f"{r['event_id']} is there {r['n']} times",
        )
        return check

    async def state(self, sql: Any, service: str) -> Check:
        """A state's revision is the number of its facts; no state without facts, no facts without
        state.
        """
        check = Check(f"{service} state")
        topics = [t.key for t in self._specs.values() if t.owner == service]
        check.counted = await sql.fetchval(f"select count(*) from {service}.state")  # noqa: S608
        if set(topics) & set(await self._trimmed(sql)):
            check.notes.append("the log is no longer whole: revisions cannot be counted")
            return check
        rows = await sql.fetch(
            f"""
            select coalesce(s.tenant, f.tenant) as tenant, coalesce(s.id, f.id) as id, s.version, f.n,
                   s.part as part, f.part as facts_part
              from {service}.state s
              full join (select tenant, coalesce(root, entity) as id, count(*) as n, min(part) as part
                           from bus.log where topic = any ($1) and type <> $2 group by 1, 2) f
                on f.tenant = s.tenant and f.id = s.id
             where s.version is distinct from f.n or s.part is distinct from f.part
            """,  # noqa: S608
            topics, ABANDONED,
        )  # fmt: skip
        check.add(
            rows,
            lambda r: (
                f"{r['tenant']} {r['id']}: revision {r['version']} in partition {r['part']},"
                f" {r['n']} facts in partition {r['facts_part']}"
            ),
        )
        return check

    async def inbox(self, sql: Any, service: str) -> Check:
        """A kept reply is of a command that its partition has passed."""
        check = Check(f"{service} inbox")
        topics = [t.key for t in self._specs.values() if t.owner == service]
        check.counted = await sql.fetchval(f"select count(*) from {service}.inbox")  # noqa: S608
        rows = await sql.fetch(
            f"""
            select tenant, part, subject, command, key from {service}.inbox i
             where octet_length(hash) = 0
                or not exists (select from bus.head h
                                where h.topic = any ($1) and h.part = i.part and h.at >= i.at)
            """,  # noqa: S608
            topics,
        )
        check.add(
            rows,
            lambda r: f"{r['tenant']}/{r['part']} {r['command']} {r['key']}: no write is as late",
        )
        return check

    async def consumers(self, sql: Any) -> Check:
        """Positions lie within the log, and passed as many records as they say: consumed = applied
        + dead-lettered.
        """
        check = Check("consumers")
        rows = await sql.fetch(
            "select k.*, h.next from bus.ckpt k left join bus.head h using (topic, part)"
        )
        check.counted = sum(r["done"] for r in rows)
        for r in rows:
            where = f"{r['consumer']} at {r['topic']}/{r['part']}"
            if r["next"] is None or r["offs"] > r["next"]:
                check.violations.append(
                    f"{where}: position {r['offs']} is beyond the log's {r['next']}"
                )
            elif r["offs"] < r["next"]:
                check.notes.append(f"{where}: {r['next'] - r['offs']} behind")
            if r["done"] != r["offs"]:
                check.violations.append(f"{where}: at {r['offs']} after {r['done']} records")
        return check

    async def letters(self, sql: Any) -> Check:
        """A dead letter is of a record that its consumer has passed, bytes and all."""
        check = Check("dead letters")
        check.counted = await sql.fetchval("select count(*) from bus.dead_letters")
        trimmed = await self._trimmed(sql)
        rows = await sql.fetch(
            f"""
            select d.consumer, d.topic, d.part, d.offs, k.offs as position, l.event_id is null as lost
              from bus.dead_letters d
              left join bus.ckpt k using (consumer, topic, part)
              left join {LOG} l on l.topic = d.topic and l.part = d.part and l.offs = d.offs
                   and l.event_id = d.event_id and l.tenant = d.tenant and l.body = d.body
             where k.offs is null or k.offs <= d.offs or (l.event_id is null and not d.topic = any ($1))
            """,  # noqa: S608
            trimmed,
        )
        check.add(
            rows,
            lambda r: (
                f"{r['consumer']} {r['topic']}/{r['part']}/{r['offs']}: position {r['position']},"
                f" {'not the record of the log' if r['lost'] else 'record is there'}"
            ),
        )
        return check

    async def replays(self, sql: Any) -> Check:
        """What was replayed is in its consumer's inbox, and nothing else; the log tells of each
        letter as often as something happened to it.
        """
        check = Check("replays")
        check.counted = await sql.fetchval("select count(*) from bus.processed_events")
        marks = await sql.fetch(
            """
            select coalesce(d.tenant, p.tenant) as tenant, coalesce(d.consumer, p.consumer) as consumer,
                   coalesce(d.event_id, p.event_id) as event_id, p.event_id is null as unmarked
              from (select distinct tenant, consumer, event_id from bus.dead_letters
                     where status = 'replayed' and outcome <> '') d
              full join bus.processed_events p using (tenant, consumer, event_id)
             where p.event_id is null or (d.event_id is null and exists (
                   select from bus.dead_letters o where o.tenant = p.tenant and o.consumer = p.consumer
                      and o.event_id = p.event_id and o.status = 'waiting'))
            """
        )
        check.add(
            marks,
            lambda r: (
                f"{r['tenant']} {r['consumer']} {r['event_id']}:"
                f" {'replayed, and not' if r['unmarked'] else 'waits, and is'} in the inbox"
            ),
        )
        if LETTER_TOPIC in await self._trimmed(sql):
            check.notes.append("the log of dead letters is no longer whole")
            return check
        told = await sql.fetch(
            """
            select d.tenant, d.consumer, d.topic, d.part, d.offs, d.said, coalesce(l.n, 0) as n
              from bus.dead_letters d
              left join (select tenant, entity, count(*) as n from bus.log where topic = $1 group by 1, 2) l
                on l.tenant = d.tenant and l.entity = d.told_as
             where coalesce(l.n, 0) <> d.said
            """,
            LETTER_TOPIC,
        )
        check.add(
            told,
            lambda r: (
                f"{r['consumer']} {r['topic']}/{r['part']}/{r['offs']}: {r['n']} events for"
                f" {r['said']} changes"
            ),
        )
        return check

    async def abandoned(self, sql: Any) -> Check:
        """What a restore abandoned is declared, place by place, and nothing else is passed off as
        that.
        """
        check = Check("abandoned")
        check.counted = await sql.fetchval(
            f"select count(*) from {LOG} l where type = $1",  # noqa: S608
            ABANDONED,
        )
        if await sql.fetchval("select to_regclass('bus.abandoned')") is None:
            if check.counted:
                check.violations.append(f"{check.counted} places, and nowhere is one declared")
            return check
        rows = await sql.fetch(
            f"""
            with said as (select topic, part, offs, at, entity from {LOG} l where type = $1)
            select topic, part, offs, 'is not declared' as wrong from said s
             where not exists (select from bus.abandoned a where a.topic = s.topic and a.part = s.part
                                  and s.offs >= a.first and s.offs < a.until and s.at = a.at
                                  and s.entity = 'abandoned/' || a.topic || '/' || a.part || '/' || a.first)
             union all
            select a.topic, a.part, a.first, 'is declared up to ' || a.until || ', '
                   || count(s.offs) || ' places are taken'
              from bus.abandoned a join bus.head h using (topic, part)
              left join said s on s.topic = a.topic and s.part = a.part and s.offs >= a.first and s.offs < a.until
             group by a.topic, a.part, a.first, a.until, h.kept
            having count(s.offs) <> a.until - least(greatest(a.first, h.kept), a.until)
            """,  # noqa: S608
            ABANDONED,
        )
        check.add(rows, lambda r: f"{r['topic']}/{r['part']}/{r['offs']}: {r['wrong']}")
        return check

    async def read_models(self) -> Check:
        """What a rebuild from the log gives is what is there, to the byte."""
        check = Check("read models")
        for projection in self._projections:
            try:
                result = await compare(projection, self._dsn, self._specs, NEWEST)
            except LogIncomplete as error:
                check.notes.append(f"{projection.name}: {error}")
                continue
            check.counted += result.records
            check.notes += [f"{projection.name}: {note}" for note in result.notes]
            if not result.is_equal:
                check.violations.append(
                    f"{projection.name}: live {result.live}, rebuilt {result.rebuilt}"
                )
        return check


async def verify(
    owner_dsn: str,
    *,
    services: Sequence[str],
    projections: Sequence[ReadModel] = (),
    specs: Mapping[str, Topic] | None = None,
) -> Report:
    """Runs all generic checks on a quiet system."""
    return await Verifier(owner_dsn, services=services, projections=projections, specs=specs).run()
