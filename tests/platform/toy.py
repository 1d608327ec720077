# ruff: noqa: E501 (statements of SQL keep their lines)
"""A small aggregate to try the machinery with: an account that counts, ends, and has a deadline."""

from __future__ import annotations

import hashlib
from base64 import b32encode
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from orion.platform.bus.port import Record, partition_of
from orion.platform.bus.topics import Topic
from orion.platform.project import Delete, RowOperation, Upsert
from orion.platform.store.port import LETTER_TOPIC, LetterChange
from orion.platform.transact import Context, Decided, Fact, Snapshot

TOPICS = {
    "toy.events": Topic("toy.events", 8, owner="toy"),
    "toy.notes": Topic("toy.notes", 8, owner="toy"),
    "toy.orders": Topic("toy.orders", 8, owner="hears"),
    "toy.ticks": Topic("toy.ticks", 4, hourly=True, cap_mb=16),
    "toy.seldom": Topic("toy.seldom", 1),
    LETTER_TOPIC: Topic(LETTER_TOPIC, 1),
}


def say(change: LetterChange) -> Fact:
    """What becomes of dead letters, in the simplest words."""
    letter, r = change.letter, change.letter.record
    name = entity(("letter", r.tenant, letter.consumer, r.topic, r.part, r.offset))
    kind = "DeadLetterReplayed" if change.outcome else "DeadLetterParked"
    words = {"of": r.event_id, "outcome": change.outcome, "by": change.by, "error": change.error}
    body = msgspec.json.encode(words)
    return Fact(LETTER_TOPIC, name, change.sequence, kind, f"{name}:{change.sequence}", body)


def entity(name: object, slot: int | None = None) -> str:
    """An id with the shape of ours; its slot from the name unless given."""
    digest = hashlib.blake2b(str(name).encode(), digest_size=16).digest()
    number = int.from_bytes(digest[:2], "big") if slot is None else slot
    return f"{number:04x}{b32encode(digest).decode().rstrip('=').lower()}"


@dataclass(frozen=True)
class Add:
    id: str
    amount: int = 1
    notes: int = 0
    deadline: int | None = None


@dataclass(frozen=True)
class End:
    pass


@dataclass(frozen=True)
class Ask:
    """Refused: changes nothing, but is answered."""

    is_stored: bool = False


@dataclass(frozen=True)
class Explode:
    pass


@dataclass(frozen=True)
class Due:
    at: int


class Account(msgspec.Struct, frozen=True):
    id: str
    total: int = 0
    version: int = 0
    events: int = 0
    notes: int = 0
    ended: bool = False
    deadline: int | None = None
    ordinal: int = 0
    dues: int = 0
    note: str = ""


@dataclass
class ToyAggregate:
    service: str = "toy"
    topics: tuple[str, ...] = ("toy.events", "toy.notes")
    schema: int = 1
    poison: Any = None
    warmed: dict[int, list[Any]] = field(default_factory=dict)

    def decide(self, state: Account | None, command: Any, context: Context) -> Decided[Account]:
        match command:
            case Explode():
                raise RuntimeError("a bug in decide")
            case Ask(is_stored):
                reply = {"total": state.total if state else None}
                return Decided(None, (), reply, msgspec.json.encode(reply) if is_stored else None)
            case _ if state is not None and state.ended:
                reply = {"error": "ended"}
                return Decided(None, (), reply, msgspec.json.encode(reply))
            case Add():
                return self._add(state, command, context)
            case End():
                assert state is not None
                new = replace_account(state, ended=True, deadline=None)
                return self._say(state, new, "Ended", 0, context)
            case Due():
                assert state is not None
                new = replace_account(state, dues=state.dues + 1, deadline=None)
                return self._say(state, new, "Due", 0, context)
            case _:
                raise TypeError(command)

    def _add(self, state: Account | None, command: Add, context: Context) -> Decided[Account]:
        old = state or Account(command.id, ordinal=context.ordinal)
        new = replace_account(
            old, total=old.total + command.amount,
            deadline=command.deadline if command.deadline is not None else old.deadline,
        )  # fmt: skip
        return self._say(old, new, "Added", command.notes, context)

    def _say(
        self, old: Account, new: Account, kind: str, notes: int, context: Context
    ) -> Decided[Account]:
        new = replace_account(
            new, version=old.version + 1 + notes, events=old.events + 1, notes=old.notes + notes
        )
        facts = [self._fact("toy.events", old.id, new.events, kind, new, context)]
        facts += [
            self._fact("toy.notes", f"{old.id}-note", old.notes + n + 1, "Noted", new, context)
            for n in range(notes)
        ]
        reply = {"total": new.total, "version": new.version, "ordinal": new.ordinal}
        return Decided(new, tuple(facts), reply, msgspec.json.encode(reply))

    def _fact(
        self, topic: str, entity_id: str, sequence: int, kind: str, new: Account, context: Context
    ) -> Fact:
        body = msgspec.json.encode(
            {"id": new.id, "total": new.total, "at": context.at, "type": kind}
        )
        return Fact(
            topic, entity_id, sequence, kind, f"{context.tenant}:{entity_id}:{sequence}", body
        )

    def dump(self, state: Account) -> Snapshot:
        return Snapshot(
            state.version, not state.ended, self.poison_status(state), state.deadline, state.ordinal,
            msgspec.json.encode(state),
        )  # fmt: skip

    def poison_status(self, state: Account) -> str:
        if self.poison is not None and state.total == self.poison:
            return "NUL \0 that PostgreSQL does not take"
        return "ENDED" if state.ended else "LIVE"

    def load(self, snapshot: Snapshot) -> Account:
        return msgspec.json.decode(snapshot.body, type=Account)

    def on_deadline(self, state: Account, deadline: int) -> Due:
        return Due(deadline)

    def reply(self, stored: bytes) -> Any:
        return msgspec.json.decode(stored)

    def warm(self, part: int, records: Any) -> None:
        self.warmed[part] = list(records)


def replace_account(old: Account, **changes: Any) -> Account:
    return msgspec.structs.replace(old, **changes)


def part(name: str) -> int:
    return partition_of(name, 8)


__all__ = [
    "TOPICS",
    "Account",
    "Add",
    "Ask",
    "Due",
    "End",
    "Explode",
    "ToyAggregate",
    "entity",
    "part",
    "say",
]


READ_MODELS = """
create table toy.rm_totals (tenant text not null, id text not null, total bigint, events bigint not null default 0,
  first_at bigint, last_at bigint, kind text, doc jsonb, amount numeric, primary key (tenant, id));
create index rm_totals_kind on toy.rm_totals (tenant, kind);
create table toy.rm_notes (tenant text not null, id text not null, notes bigint not null default 0, primary key (tenant, id));
select platform.protect('toy.rm_totals');
select platform.protect('toy.rm_notes');
"""


class Totals:
    """A read model over two topics."""

    name = "rm_totals"
    service = "toy"
    topics: tuple[str, ...] = ("toy.events", "toy.notes")
    tables: tuple[str, ...] = ("rm_totals", "rm_notes")
    broken = ""

    def rows(self, record: Record) -> list[RowOperation]:
        if self.broken and record.entity == self.broken:
            raise ValueError("a bug in the projection")
        if record.topic == "toy.notes":
            return [
                Upsert("rm_notes", {"tenant": record.tenant, "id": record.entity}, add={"notes": 1})
            ]
        body = msgspec.json.decode(record.body)
        key = {"tenant": record.tenant, "id": record.entity}
        if record.type == "Ended":
            return [Delete("rm_totals", key)]
        return [
            Upsert(
                "rm_totals", key,
                values={"total": body["total"], "kind": record.type, "doc": {"seq": record.seq},
                        "amount": Decimal(body["total"]) / 4},
                add={"events": 1}, once={"first_at": record.at}, greatest={"last_at": record.at},
            )
        ]  # fmt: skip
