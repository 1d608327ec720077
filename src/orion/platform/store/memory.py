"""The store in memory: the same refusals as PostgreSQL's, deterministic, with faults that
simulations can order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from orion.platform.bus.port import Record
from orion.platform.bus.ring import Ring
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.store.letters import count, name_of
from orion.platform.store.port import (
    APPLIED,
    DUPLICATE,
    FAILED,
    LETTER_TOPIC,
    Advance,
    Batch,
    CheckpointMoved,
    DeadLetter,
    EntityExists,
    Fenced,
    Head,
    HeadMove,
    Holder,
    KeyKnown,
    LetterChange,
    Line,
    Say,
    StateMoved,
)
from orion.platform.transact_words import Key, Snapshot


@dataclass(slots=True)
class _Lease:
    next: int = 0
    epoch: int = 0
    owner: str = ""
    instance: str = ""
    until: int = -1
    at: int = 0


def _inbox_name(tenant: str, part: int, key: Key) -> tuple[str, int, str, str, str]:
    return (tenant, part, key.subject, key.operation, key.key)


class MemoryStore:
    """All of it in dictionaries. `before` and `after` are called around each commit and may raise
    what a test wants to happen.
    """

    def __init__(self, clock: Clock, ring: Ring | None = None, say: Say | None = None) -> None:
        self.clock = clock
        self._say = say
        self.ring = ring or Ring()
        self.heads: dict[tuple[str, int], _Lease] = {}
        self.log: dict[tuple[str, int], list[Line]] = {}
        self.states: dict[tuple[str, str, str], tuple[int, Snapshot]] = {}
        self.inbox: dict[str, dict[tuple[str, int, str, str, str], tuple[bytes, bytes, int]]] = {}
        self.checkpoints: dict[tuple[str, str, int], int] = {}
        self.dead: dict[tuple[str, str, str, int, int], DeadLetter] = {}
        self.done: set[tuple[str, str, str]] = set()  # (consumer, tenant, event id) of replays
        self.kept: dict[tuple[str, int, str, str], tuple[int, int]] = {}
        self.copies: dict[tuple[str, str], tuple[str, int]] = {}
        self.down = False
        self.writes = 0
        self.before: Callable[[Batch], None] = lambda _: None
        self.after: Callable[[Batch], None] = lambda _: None

    def _look(self) -> None:
        if self.down:
            raise Unavailable("the store is down")

    # ---- writes: everything is checked first, then done

    async def put(self, batch: Batch) -> None:
        """See the port."""
        self._look()
        self.before(batch)
        self._check_fence(batch.heads)
        self._check_advances(batch.advances)
        self._check_rows(batch)
        self._check_settled(batch.settled)
        self._do(batch)
        self.after(batch)

    async def append(self, batch: Batch) -> None:
        """See the port."""
        self._look()
        self.before(batch)
        self._check_fence(batch.heads)
        self._do(batch)
        for topic, part, tenant, entity, seq, upto in batch.sequences:
            self.kept[topic, part, tenant, entity] = (seq, upto)
        self.after(batch)

    def _check_fence(self, heads: Sequence[HeadMove]) -> None:
        for h in heads:
            lease = self.heads.get((h.topic, h.part))
            if lease is None or lease.next != h.start or lease.epoch != h.epoch:
                raise Fenced([(h.topic, h.part)])

    def _check_advances(self, advances: Sequence[Advance]) -> None:
        for a in advances:
            if self.checkpoints.get((a.consumer, a.topic, a.part), 0) != a.start:
                raise CheckpointMoved(f"{a.consumer}/{a.topic}/{a.part}")

    def _check_rows(self, batch: Batch) -> None:
        known = self.inbox.get(batch.service, {})
        if any(_inbox_name(e.tenant, e.part, e.key) in known for e in batch.entries):
            raise KeyKnown
        if any((batch.service, *name) in self.states for name in batch.absent):
            raise EntityExists
        for row in batch.rows:
            found = self.states.get((batch.service, row.tenant, row.id))
            if row.start == 0 and found is not None:
                raise EntityExists
            if row.start != 0 and (found is None or found[1].version != row.start):
                raise StateMoved

    def _do(self, batch: Batch) -> None:
        foreign = {x.record.tenant for x in batch.lines} | {r.tenant for r in batch.rows}
        assert foreign <= batch.tenants, "a row of a tenant that the batch does not name"
        self.writes += 1
        for h in batch.heads:
            lease = self.heads[h.topic, h.part]
            lease.next, lease.at = h.end, max(lease.at, h.at)
        for a in batch.advances:
            self.checkpoints[a.consumer, a.topic, a.part] = a.end
        inbox = self.inbox.setdefault(batch.service, {})
        for e in batch.entries:
            if e.reply is not None:
                inbox[_inbox_name(e.tenant, e.part, e.key)] = (e.key.hash, e.reply, e.at)
        for row in batch.rows:
            self.states[batch.service, row.tenant, row.id] = (row.part, row.snapshot)
        for line in batch.lines:
            lines = self.log.setdefault((line.record.topic, line.record.part), [])
            assert len(lines) == line.record.offset
            lines.append(line)
        self._change_letters(batch.letters, batch.settled)

    def _check_settled(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            is_done = self._mark(letter) in self.done
            if is_done or self.dead[name_of(letter)].status != "requested":
                raise CheckpointMoved("a letter was replayed by somebody else")

    @staticmethod
    def _mark(letter: DeadLetter) -> tuple[str, str, str]:
        return (letter.consumer, letter.record.tenant, letter.record.event_id)

    def _change_letters(self, new: Sequence[DeadLetter], settled: Sequence[DeadLetter]) -> None:
        for letter in settled:
            self.done.add(self._mark(letter))
            self._change(letter, APPLIED, status="replayed")
        for letter in new:
            if self.dead.setdefault(name_of(letter), letter) is letter:
                self._tell(letter, "", "")

    def _change(self, letter: DeadLetter, outcome: str, error: str = "", **changes: Any) -> None:
        name = name_of(letter)
        self.dead[name] = replace(self.dead[name], outcome=outcome, **changes)
        self._tell(self.dead[name], outcome, error)

    def _tell(self, letter: DeadLetter, outcome: str, error: str) -> None:
        name, is_told = name_of(letter), self._say and letter.record.topic != LETTER_TOPIC
        said = letter.said + 1 if is_told else 0
        self.dead[name] = replace(letter, said=said)
        lease = self.heads.setdefault((LETTER_TOPIC, 0), _Lease())
        now = self.clock.now()
        change = LetterChange(letter, said, now, outcome, letter.asked_by, error)
        count([change])
        if self._say is None or not is_told:
            return
        fact, lease.at = self._say(change), max(lease.at, now)
        record = Record(LETTER_TOPIC, 0, lease.next, lease.at, letter.record.tenant, fact.entity_id,
                        fact.sequence, fact.event_type, fact.event_id, fact.body)  # fmt: skip
        lease.next += 1
        self.log.setdefault((LETTER_TOPIC, 0), []).append(Line(record, None))
        self.tell([record])

    def tell(self, records: Sequence[Record]) -> None:
        """See the port."""
        self.ring.hand_over(records)

    # ---- leases

    async def ensure(self, topics: Sequence[str], parts: int) -> None:
        """See the port."""
        self._look()
        for topic in topics:
            for part in range(parts):
                self.heads.setdefault((topic, part), _Lease())

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
        self._look()
        leases = [self.heads[t, part] for t in topics]
        now = self.clock.now()
        if any(x.until >= now and not (succeed and x.owner == address) for x in leases):
            return []
        epoch = max(x.epoch for x in leases) + 1
        for lease in leases:
            lease.epoch, lease.owner, lease.instance = epoch, address, instance
            lease.until = now + lease_ms * 1000
        return [Head(t, part, x.next, x.epoch, x.at) for t, x in zip(topics, leases, strict=True)]

    def _mine(
        self, topics: Sequence[str], parts: Sequence[int], instance: str
    ) -> list[tuple[str, int, _Lease]]:
        pairs = [(t, p) for t in topics for p in parts]
        return [
            (t, p, self.heads[t, p])
            for t, p in pairs
            if (t, p) in self.heads and self.heads[t, p].instance == instance
        ]

    async def renew(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> set[int]:
        """See the port."""
        self._look()
        mine = self._mine(topics, parts, instance)
        for _, _, lease in mine:
            lease.until = self.clock.now() + lease_ms * 1000
        held = [p for _, p, _ in mine]
        return {p for p in held if held.count(p) == len(topics)}

    async def raise_epoch(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> list[Head]:
        """See the port."""
        self._look()
        heads = []
        for topic, part, lease in self._mine(topics, parts, instance):
            lease.epoch += 1
            lease.until = self.clock.now() + lease_ms * 1000
            heads.append(Head(topic, part, lease.next, lease.epoch, lease.at))
        return heads

    async def release(self, topics: Sequence[str], parts: Sequence[int], instance: str) -> None:
        """See the port."""
        self._look()
        for _, _, lease in self._mine(topics, parts, instance):
            lease.owner, lease.instance, lease.until = "", "", -1

    async def holders(self, topic: str) -> list[Holder]:
        """See the port."""
        self._look()
        now = self.clock.now()
        return [
            Holder(part, lease.owner, lease.until >= now)
            for (t, part), lease in sorted(self.heads.items())
            if t == topic
        ]

    async def announce(self, service: str, instance: str, address: str, ttl_ms: int) -> list[str]:
        """See the port."""
        self._look()
        now = self.clock.now()
        for key, (at, until) in list(self.copies.items()):
            same = key[0] == service and at == address
            if until < now or (same and key[1] != instance):
                del self.copies[key]
        if ttl_ms:
            self.copies[service, instance] = (address, now + ttl_ms * 1000)
        else:
            self.copies.pop((service, instance), None)
        return sorted(i for s, i in self.copies if s == service)

    # ---- what owners load

    async def live(self, service: str, part: int) -> list[tuple[str, str, Snapshot]]:
        """See the port."""
        self._look()
        return [
            (tenant, entity, snapshot)
            for (s, tenant, entity), (p, snapshot) in self.states.items()
            if s == service and p == part and snapshot.live
        ]

    async def find(
        self, service: str, keys: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str, Snapshot]]:
        """See the port."""
        self._look()
        found = [(k, self.states.get((service, *k))) for k in keys]
        return [(*k, row[1]) for k, row in found if row is not None]

    async def ordinals(self, service: str, part: int) -> dict[str, int]:
        """See the port."""
        self._look()
        largest: dict[str, int] = {}
        for (s, tenant, _), (p, snapshot) in self.states.items():
            if s == service and p == part and snapshot.ordinal > 0:
                largest[tenant] = max(largest.get(tenant, 0), snapshot.ordinal)
        return largest

    async def replies(
        self, service: str, keys: Sequence[tuple[str, int, Key]]
    ) -> dict[tuple[str, int, str, str, str], tuple[bytes, bytes]]:
        """See the port."""
        self._look()
        inbox = self.inbox.get(service, {})
        names = [_inbox_name(*k) for k in keys]
        return {n: inbox[n][:2] for n in names if n in inbox}

    async def prune_inbox(self, service: str, before: int, limit: int = 1000) -> int:
        """See the port."""
        self._look()
        inbox = self.inbox.get(service, {})
        old = [n for n, (_, _, at) in inbox.items() if at < before][:limit]
        for name in old:
            del inbox[name]
        return len(old)

    async def sequences(self, topic: str) -> list[tuple[int, str, str, int, int]]:
        """See the port."""
        self._look()
        return [
            (part, tenant, entity, seq, upto)
            for (t, part, tenant, entity), (seq, upto) in self.kept.items()
            if t == topic
        ]

    # ---- consumers

    async def positions(self, consumer: str) -> dict[tuple[str, int], int]:
        """See the port."""
        self._look()
        return {(t, p): o for (c, t, p), o in self.checkpoints.items() if c == consumer}

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
        """See the port. The session is None: effects of simulations live in memory."""
        self._look()
        self._check_advances(advances)
        self._check_settled(settled)
        yield None
        self._look()
        self._check_advances(advances)
        self._check_settled(settled)
        for a in advances:
            self.checkpoints[a.consumer, a.topic, a.part] = a.end
        self._change_letters(letters, settled)

    async def bury(self, letters: Sequence[DeadLetter], advances: Sequence[Advance]) -> None:
        """See the port."""
        async with self.effect("bus", (), advances, letters=letters):
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
        self._look()
        found = [
            x
            for x in self.dead.values()
            if consumer in (None, x.consumer)
            and tenant in (None, x.record.tenant)
            and status in (None, x.status)
        ]
        found.sort(key=lambda x: (x.consumer, x.record.topic, x.record.part, x.record.offset))
        return found[:limit]

    async def request_replay(self, letters: Sequence[DeadLetter], by: str = "") -> int:
        """See the port."""
        names = [name_of(x) for x in letters]
        waiting = [n for n in names if n in self.dead and self.dead[n].status == "waiting"]
        for name in waiting:
            self.dead[name] = replace(self.dead[name], status="requested", asked_by=by)
        return len(waiting)

    async def processed(self, consumer: str, letters: Sequence[DeadLetter]) -> set[tuple[str, str]]:
        """See the port."""
        self._look()
        marks = {self._mark(x) for x in letters if x.consumer == consumer} & self.done
        return {(tenant, event_id) for _, tenant, event_id in marks}

    async def told(self, letter: DeadLetter) -> list[Record]:
        """See the port."""
        if self._say is None:
            return []
        entity = self._say(LetterChange(letter, 1, 0)).entity_id
        lines = self.log.get((LETTER_TOPIC, 0), [])
        return [x.record for x in lines if x.record.entity == entity]

    async def settle(self, letters: Sequence[DeadLetter], *, error: str = "") -> None:
        """See the port."""
        for letter in letters:
            old = self.dead[name_of(letter)]
            if old.status != "requested":
                continue
            if not error:
                self._change(letter, DUPLICATE, status="replayed")
            else:
                tried = old.attempts + 1
                self._change(letter, FAILED, error, status="waiting", parked=False, attempts=tried)
                name = name_of(letter)
                self.dead[name] = replace(self.dead[name], error=error)

    async def close(self) -> None:
        """Nothing is held."""
