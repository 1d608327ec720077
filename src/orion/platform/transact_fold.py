"""Folding: many commands over an overlay of memory become one batch: one row per entity, one event
each, gap-free offsets.

Nothing here touches memory itself; what was folded is merged after the commit, or dropped.
"""

from __future__ import annotations

import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orion.platform.bus.abandoned import is_kept
from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage, NotOwner
from orion.platform.lease import Part
from orion.platform.store.port import Advance, Batch, DeadLetter, Entry, HeadMove, Line, Row
from orion.platform.transact_queue import Item
from orion.platform.transact_words import Aggregate, Context, Decided, Fact, Snapshot

Name = tuple[str, str]  # (tenant, entity)


class Broken(Exception):
    """The aggregate broke the agreement; the commands of this entity cannot be written."""


@dataclass(slots=True)
class Cell:
    """An aggregate in memory."""

    state: Any
    version: int
    part: int
    live: bool
    deadline: int | None


@dataclass
class Memory:
    """The states of the partitions that are ours: live ones all, ended ones the last used."""

    ended_limit: int
    live: dict[Name, Cell] = field(default_factory=dict)
    ended: OrderedDict[Name, Cell] = field(default_factory=OrderedDict)
    ordinals: dict[tuple[str, int], int] = field(default_factory=dict)  # by (tenant, part)

    def get(self, name: Name) -> Cell | None:
        """The cell, if it is in memory."""
        cell = self.live.get(name)
        if cell is None:
            cell = self.ended.get(name)
            if cell is not None:
                self.ended.move_to_end(name)
        return cell

    def set(self, name: Name, cell: Cell) -> None:
        """Keeps the cell where it belongs; ended ones leave when there are too many."""
        if cell.live:
            self.live[name] = cell
            self.ended.pop(name, None)
            return
        self.live.pop(name, None)
        self.ended[name] = cell
        self.ended.move_to_end(name)
        if len(self.ended) > self.ended_limit:
            self.ended.popitem(last=False)

    def drop(self, part: int) -> None:
        """Forgets a partition."""
        for cells in (self.live, self.ended):
            for name in [n for n, c in cells.items() if c.part == part]:
                del cells[name]
        for key in [k for k in self.ordinals if k[1] == part]:
            del self.ordinals[key]


@dataclass(slots=True)
class _Changed:
    state: Any
    start: int
    version: int
    part: int
    items: list[Item]


class Fold:
    """One batch in the making. `outcomes`: a Decided, or an exception, for each item in order."""

    def __init__(
        self,
        aggregate: Aggregate[Any],
        memory: Memory,
        parts: Mapping[int, Part],
        parked: Mapping[tuple[str, int], set[Name]],
        version: str,
    ) -> None:
        self._aggregate = aggregate
        self._memory = memory
        self._parts = parts
        self._parked = parked
        self._version = version
        self.batch = Batch(aggregate.service)
        self.outcomes: list[tuple[Item, Any]] = []
        self.changed: dict[Name, _Changed] = {}
        self.cells: dict[Name, Cell] = {}
        self.records: list[Record] = []
        self.next: dict[tuple[str, int], int] = {}
        self.at: dict[int, int] = {}
        self.ordinals: dict[tuple[str, int], int] = {}
        self.buried: dict[tuple[str, int], set[Name]] = {}
        self._advanced: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._absent: set[Name] = set()

    def add(self, item: Item, now: int) -> None:
        """Decides one command over what the earlier ones of the batch decided."""
        part = self._parts.get(item.part)
        if part is None:
            self.outcomes.append((item, NotOwner(self._aggregate.service, item.part, None)))
            return
        at = self.at[item.part] = max(now, self.at.get(item.part, part.at))
        try:
            command = item.command
            if item.record is not None:
                command = self._hear(item)
                if command is None:
                    self.outcomes.append((item, None))
                    return
            self._decide(item, command, part, at)
        except Exception as error:
            if item.record is not None:
                self._bury(item, error)
            self.outcomes.append((item, error))

    def _hear(self, item: Item) -> Any:
        """Takes note of the position of a record of another topic; None when there is nothing to
        decide.
        """
        record = item.record
        assert record is not None
        key = (item.group, record.topic, record.part)
        start = self._advanced[key][0] if key in self._advanced else item.start
        self._advanced[key] = (start, record.offset + 1)
        group = (item.group, record.part)
        name = (record.tenant, record.entity)
        if name in self._parked.get(group, ()) or name in self.buried.get(group, ()):
            self._bury(item, None)
            return None
        heard = item.command(record) if is_kept(record) else None
        if heard is None:
            return None
        item.entity = heard[0]
        return heard[1]

    def _bury(self, item: Item, error: Exception | None) -> None:
        assert item.record is not None
        record = item.record
        self.batch.tenants.add(record.tenant)
        names = self.buried.setdefault((item.group, record.part), set())
        names.add((record.tenant, record.entity))
        reason = "an earlier event of this entity is a dead letter" if error is None else str(error)
        kind = (
            ""
            if error is None or isinstance(error, InvalidMessage)
            else f"{type(error).__name__}: "
        )
        trace = "" if error is None else "".join(traceback.format_exception(error, limit=-6))
        self.batch.letters.append(
            DeadLetter(
                item.group, item.record, kind + reason, trace, self._version, 1, error is None
            )
        )

    def _decide(self, item: Item, command: Any, part: Part, at: int) -> None:
        name = (item.tenant, item.entity)
        changed = self.changed.get(name)
        cell = self._memory.get(name) if changed is None else None
        state = changed.state if changed else cell.state if cell else None
        if item.due is not None and not self._still_due(item, changed, cell):
            self.outcomes.append((item, None))
            return
        tenant_part = (item.tenant, item.part)
        ordinal = 1 + self.ordinals.get(tenant_part, self._memory.ordinals.get(tenant_part, 0))
        context = Context(at, item.tenant, item.part, ordinal)
        decided: Decided[Any] = self._aggregate.decide(state, command, context)
        if (decided.state is None) != (not decided.facts):
            raise Broken(
                f"{type(command).__name__}: a new state needs facts, and facts a new state"
            )
        for fact in decided.facts:
            if fact.topic not in part.heads:
                raise Broken(f"{self._aggregate.service} does not write {fact.topic}")
        self.batch.tenants.add(item.tenant)
        if decided.state is None:
            if state is None:
                self._absent.add(name)
        else:
            if changed is None:
                start = cell.version if cell else 0
                changed = self.changed[name] = _Changed(None, start, start, item.part, [])
                if cell is None:
                    self.ordinals[tenant_part] = ordinal
            changed.state = decided.state
            changed.version += len(decided.facts)
            changed.items.append(item)
            for fact in decided.facts:
                self._log(item, fact, part, at)
        if item.key is not None:
            self.batch.entries.append(Entry(item.tenant, item.part, item.key, decided.stored, at))
        if item.letter is not None:
            self.batch.settled.append(item.letter)
        self.outcomes.append((item, decided))

    def _still_due(self, item: Item, changed: _Changed | None, cell: Cell | None) -> bool:
        if changed is not None:
            return self._aggregate.dump(changed.state).deadline == item.due
        return cell is not None and cell.deadline == item.due

    def _log(self, item: Item, fact: Fact, part: Part, at: int) -> None:
        head = (fact.topic, item.part)
        offset = self.next.get(head)
        if offset is None:
            offset = part.next[fact.topic]
        self.next[head] = offset + 1
        record = Record(
            fact.topic, item.part, offset, at, item.tenant, fact.entity_id, fact.sequence,
            fact.event_type, fact.event_id, fact.body,
        )  # fmt: skip
        self.records.append(record)
        self.batch.lines.append(
            Line(record, None if fact.entity_id == item.entity else item.entity)
        )

    def finish(self) -> Batch:
        """The batch. Raises Broken when a state's revision does not count its facts."""
        batch = self.batch
        for name, changed in self.changed.items():
            snapshot = self._aggregate.dump(changed.state)
            if snapshot.version != changed.version:
                raise Broken(
                    f"{name[1]}: revision {snapshot.version} after {changed.version} facts"
                )
            batch.rows.append(Row(name[0], name[1], changed.part, changed.start, snapshot))
            self.cells[name] = Cell(
                changed.state, snapshot.version, changed.part, snapshot.live, snapshot.deadline
            )
            self._count(name[0], changed.part, snapshot)
        batch.absent = [name for name in self._absent if name not in self.changed]
        batch.advances = [
            Advance(group, topic, part, start, end)
            for (group, topic, part), (start, end) in self._advanced.items()
        ]
        batch.heads = self._heads()
        return batch

    def _count(self, tenant: str, part: int, snapshot: Snapshot) -> None:
        key = (tenant, part)
        self.ordinals[key] = max(snapshot.ordinal, self.ordinals.get(key, 0))

    def _heads(self) -> list[HeadMove]:
        moves = []
        for number, at in self.at.items():
            part = self._parts[number]
            moved = [t for t in part.next if (t, number) in self.next]
            for topic in moved or sorted(part.next)[:1]:  # refusals alone check the fence too
                start = part.next[topic]
                end = self.next.get((topic, number), start)
                moves.append(HeadMove(topic, number, start, end, part.epoch, at))
        moves.sort(key=lambda m: (m.topic, m.part))
        return moves

    def merge(self) -> None:
        """After the commit: memory becomes what the batch said."""
        for name, cell in self.cells.items():
            if cell.part in self._parts:
                self._memory.set(name, cell)
        for key, ordinal in self.ordinals.items():
            if key[1] in self._parts:
                self._memory.ordinals[key] = max(ordinal, self._memory.ordinals.get(key, 0))
        for (topic, number), end in self.next.items():
            if part := self._parts.get(number):
                part.next[topic] = end
        for number, at in self.at.items():
            if part := self._parts.get(number):
                part.at = at
