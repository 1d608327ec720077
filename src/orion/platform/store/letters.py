# ruff: noqa: E501 (statements of SQL keep their lines)
"""Dead letters in PostgreSQL: each change of one, the event that tells of it and, for a replay, the
mark in the inbox are in the transaction of whoever makes the change.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.clock import Clock
from orion.platform.store.port import (
    APPLIED,
    LETTER_TOPIC,
    CheckpointMoved,
    DeadLetter,
    Keep,
    LetterChange,
    Say,
)
from orion.platform.transact_words import Fact

COLUMNS = (
    "consumer, topic, part, offs, at, tenant, entity, seq, type, event_id, body, error, trace, version,"
    " attempts, parked, status, asked_by, outcome, said"
)
_NAME = "tenant, consumer, topic, part, offs"
_NAMES = f"unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::bigint[]) as k({_NAME})"
_KEPT = (
    "consumer, topic, part, offs, at, tenant, entity, seq, type, event_id, body, error, trace, version,"
    " attempts, parked, told_as, said"
)
OPEN = telemetry.gauge("dead_letters_open", "Dead letters that wait", ("group",))
_PARKED = telemetry.counter("dead_letters_total", "Records that became dead letters", ("group",))
_REPLAYED = telemetry.counter(
    "dead_letters_replayed_total", "Replays of dead letters", ("group", "outcome")
)


def count(changes: Sequence[LetterChange]) -> None:
    """Counts what is now true: after the commit."""
    for change in changes:
        group = change.letter.consumer
        if change.outcome:
            _REPLAYED.labels(group, change.outcome).inc()
        else:
            _PARKED.labels(group).inc()


def cleaned(text: str, start: int | None, end: int | None) -> str:
    """Text that the database takes."""
    return text[start:end].replace("\0", " ").encode("utf-8", "replace").decode()


class Letters:
    """What the store does with dead letters inside its transactions. `say`: how a change is put
    into words; None: nothing is said of them. `keep`: how a new one is put down whole.
    """

    def __init__(self, say: Say | None, clock: Clock, keep: Keep | None = None) -> None:
        self._say, self._clock, self._keep = say, clock, keep

    def _is_told(self, letter: DeadLetter) -> bool:
        # A letter about what is said of letters would be followed by another, for ever.
        return self._say is not None and letter.record.topic != LETTER_TOPIC

    async def insert(self, sql: Any, letters: Sequence[DeadLetter]) -> list[LetterChange]:
        """Keeps new letters; returns what is new about them."""
        if not letters:
            return []
        at = self._clock.now()
        new = [LetterChange(letter, 1, at) for letter in letters]
        told = [
            self._say(change).entity_id if self._say and self._is_told(change.letter) else ""
            for change in new
        ]
        r = [x.record for x in letters]
        rows = await sql.fetch(
            f"insert into bus.dead_letters ({_KEPT}, status) select x.*, 'waiting' from unnest("  # noqa: S608
            "$1::text[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::text[],"
            " $10::text[], $11::bytea[], $12::text[], $13::text[], $14::text[], $15::int[], $16::bool[], $17::text[], $18::bigint[]) x"
            f" on conflict do nothing returning {_NAME}",
            [x.consumer for x in letters], [x.topic for x in r], [x.part for x in r],
            [x.offset for x in r], [x.at for x in r], [x.tenant for x in r], [x.entity for x in r],
            [x.seq for x in r], [x.type for x in r], [x.event_id for x in r], [x.body for x in r],
            [cleaned(x.error, 0, 4000) for x in letters], [cleaned(x.trace, -8000, None) for x in letters],
            [x.version for x in letters], [x.attempts for x in letters], [x.parked for x in letters],
            told, [int(bool(t)) for t in told],
        )  # fmt: skip
        kept = {tuple(row) for row in rows}
        return [c for c in new if name_of(c.letter) in kept]

    async def claim(self, sql: Any, letters: Sequence[DeadLetter]) -> list[LetterChange]:
        """The effect of these letters happens in this transaction, and no second time. Raises
        CheckpointMoved where somebody else was first.
        """
        changes = await self._change(sql, letters, APPLIED, "status = 'replayed', replayed = now()")
        marked = await sql.execute(
            "insert into bus.processed_events (tenant, consumer, event_id)"
            " select * from unnest($1::text[], $2::text[], $3::text[]) on conflict do nothing",
            [x.record.tenant for x in letters], [x.consumer for x in letters],
            [x.record.event_id for x in letters],
        )  # fmt: skip
        if len(changes) != len(letters) or _affected(marked) != len(letters):
            raise CheckpointMoved("a letter was replayed by somebody else")
        return changes

    async def settle(
        self, sql: Any, letters: Sequence[DeadLetter], outcome: str, error: str
    ) -> list[LetterChange]:
        """A replay without an effect: failed (`error`), or processed before."""
        if not error:
            return await self._change(
                sql, letters, outcome, "status = 'replayed', replayed = now()"
            )
        change = "status = 'waiting', parked = false, attempts = attempts + 1, error = $8"
        return await self._change(sql, letters, outcome, change, cleaned(error, 0, 4000))

    async def _change(
        self, sql: Any, letters: Sequence[DeadLetter], outcome: str, change: str, *more: str
    ) -> list[LetterChange]:
        at = self._clock.now()
        rows = await sql.fetch(
            f"update bus.dead_letters d set {change}, outcome = $6,"  # noqa: S608
            f" said = said + (told_as <> '' and $7::bool)::int from {_NAMES}"
            " where d.tenant = k.tenant and d.consumer = k.consumer and d.topic = k.topic"
            " and d.part = k.part and d.offs = k.offs and d.status = 'requested'"
            " returning d.tenant, d.consumer, d.topic, d.part, d.offs, d.said, d.asked_by, d.told_as",
            *names_of(letters), outcome, self._say is not None, *more,
        )  # fmt: skip
        changed = {tuple(row)[:5]: row for row in rows}
        found = [(x, changed[name_of(x)]) for x in letters if name_of(x) in changed]
        return [
            LetterChange(
                x, row["said"] if row["told_as"] else 0, at, outcome, row["asked_by"],
                more[0] if more else "",
            )
            for x, row in found
        ]  # fmt: skip

    async def tell(self, sql: Any, changes: Sequence[LetterChange]) -> list[Record]:
        """Writes the events, as the last thing of the transaction (the head's lock comes after all
        others). Returns them for those who read along.
        """
        say: Say | None = self._say
        told = [c for c in changes if c.sequence and self._is_told(c.letter)]
        if say is None or not told:
            return []
        facts = [(c, say(c)) for c in told]
        if self._keep is not None:
            whole = [(c, self._keep(c)) for c in told if not c.outcome]
            facts += [(c, fact) for c, fact in whole if fact is not None]
        records: list[Record] = []
        # One topic after the other, and everybody in this order: nobody waits in a ring.
        for topic in sorted({fact.topic for _, fact in facts}):
            records += await _append(sql, topic, [(c, f) for c, f in facts if f.topic == topic])
        return records


async def _append(sql: Any, topic: str, facts: Sequence[tuple[LetterChange, Fact]]) -> list[Record]:
    tenants = [c.letter.record.tenant for c, _ in facts]
    said = [f for _, f in facts]
    first, at = await sql.fetchrow(
        "select * from bus.say($1, $2, $3, $4, $5, $6, $7, $8)",
        topic, max(c.at for c, _ in facts), tenants, [f.entity_id for f in said],
        [f.sequence for f in said], [f.event_type for f in said],
        [f.event_id for f in said], [f.body for f in said],
    )  # fmt: skip
    return [
        Record(topic, 0, offset, at, tenant, f.entity_id, f.sequence, f.event_type,
               f.event_id, f.body)
        for offset, (tenant, f) in enumerate(zip(tenants, said, strict=True), first)
    ]  # fmt: skip


async def request(sql: Any, letters: Sequence[DeadLetter], by: str) -> int:
    """Marks waiting letters as wanted."""
    answer = await sql.execute(
        f"update bus.dead_letters d set status = 'requested', asked_by = $6 from {_NAMES}"  # noqa: S608
        " where d.tenant = k.tenant and d.consumer = k.consumer and d.topic = k.topic"
        " and d.part = k.part and d.offs = k.offs and d.status = 'waiting'",
        *names_of(letters), cleaned(by, 0, 200),
    )  # fmt: skip
    return _affected(answer)


def name_of(letter: DeadLetter) -> tuple[str, str, str, int, int]:
    """What names a letter."""
    r = letter.record
    return (r.tenant, letter.consumer, r.topic, r.part, r.offset)


def names_of(letters: Sequence[DeadLetter]) -> list[list[Any]]:
    """The names as columns."""
    return [list(column) for column in zip(*map(name_of, letters), strict=True)]


def from_row(row: Any) -> DeadLetter:
    """A letter as COLUMNS give it."""
    r = tuple(row)
    return DeadLetter(r[0], Record(*r[1:11]), *r[11:])


def _affected(answer: str) -> int:
    return int(answer.rpartition(" ")[2])
