"""The writer: takes waiting commands, folds, writes, and knows what to do about every way in which
a write can fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orion.platform import telemetry
from orion.platform.errors import Coded, Unavailable
from orion.platform.store.port import (
    CheckpointMoved,
    DiskFull,
    EntityExists,
    Fenced,
    KeyKnown,
    OutcomeUnknown,
    Refused,
    StateMoved,
)
from orion.platform.transact_fold import Broken, Fold
from orion.platform.transact_queue import Item
from orion.platform.transact_words import Decided

if TYPE_CHECKING:
    from orion.platform.transact_owner import Owner

TRIES = 8  # of one batch; then its commands go one by one
_BATCH = telemetry.histogram(
    "batch_commands",
    "Commands in one write",
    ("service",),
    (1, 2, 4, 8, 16, 32, 64, 128, 200),
)


class Writing:
    """The one writer task of an owner."""

    def __init__(self, owner: Owner[Any]) -> None:
        self._owner = owner
        self._began = 0.0
        self._last = 0  # commands in the last write
        self._sizes = _BATCH.labels(owner.aggregate.service)

    async def run(self) -> None:
        """Writes what waits, until cancelled."""
        owner = self._owner
        while True:
            if not owner.lanes.size:
                owner.work.clear()
                await owner.work.wait()
            await self._pace()
            items = [i for i in owner.lanes.take(owner.limits.batch) if not self._left(i)]
            if not items:
                continue
            owner.flying = items
            self._last = len(items)
            self._sizes.observe(len(items))
            try:
                await self._write(items)
            finally:
                owner.flying = []

    def _left(self, item: Item) -> bool:
        """A caller who stopped waiting before the decision: nothing is decided for him."""
        if item.answer is not None and item.answer.done():
            self._owner.answer(item, None)
            return True
        return False

    async def _pace(self) -> None:
        loop = asyncio.get_running_loop()
        owner = self._owner
        limits = owner.limits
        pace = min(limits.pace_ms + limits.pace_per_command_ms * self._last, limits.longest_pace_ms)
        left = self._began + pace / 1000 - loop.time()
        if left > 0.0003 and owner.lanes.size < limits.batch:
            await asyncio.sleep(left)
        self._began = loop.time()

    async def _write(self, items: Sequence[Item]) -> None:
        for _ in range(TRIES):
            fold = self._fold(items)
            try:
                batch = fold.finish()
                if batch.heads:
                    await self._owner.store.put(batch)
            except (Broken, Refused) as error:
                return await self._one_by_one(items, error)
            except DiskFull:
                return self._answer_all(items, Coded("SYS-903", retry_after_s=5.0))
            except Unavailable:
                await asyncio.sleep(0.1)  # nothing was sent
            except OutcomeUnknown:
                if await self._committed(fold):
                    return self._commit(fold)
            except (Fenced, KeyKnown, StateMoved, EntityExists, CheckpointMoved) as error:
                items = await self._mend(fold, items, error)
            else:
                return self._commit(fold)
            items = [i for i in items if not self._left(i)]
            if not items:
                return None
        return await self._one_by_one(items, Refused("the batch could not be written"))

    def _fold(self, items: Sequence[Item]) -> Fold:
        owner = self._owner
        fold = Fold(owner.aggregate, owner.memory, owner.open, owner.hearing.parked, owner.version)
        now = owner.clock.now()
        for item in items:
            fold.add(item, now)
        return fold

    def _commit(self, fold: Fold) -> None:
        owner = self._owner
        owner.merge(fold)
        for item, outcome in fold.outcomes:
            owner.answer(item, outcome.reply if isinstance(outcome, Decided) else outcome)

    def _answer_all(self, items: Sequence[Item], error: Exception) -> None:
        for item in items:
            self._owner.answer(item, error)
        self._owner.hearing.again(items)

    async def _one_by_one(self, items: Sequence[Item], error: Exception) -> None:
        """A poison command never stops an owner: the one that fails alone is the one that is
        refused.
        """
        owner = self._owner
        if len(items) > 1:
            for item in items:
                if not self._left(item):
                    await self._write([item])
            return
        item = items[0]
        if item.record is not None:
            await owner.hearing.bury(item, error)
        owner.answer(item, error)

    async def _mend(self, fold: Fold, items: Sequence[Item], error: Exception) -> Sequence[Item]:
        """Learns what the store knew better; the rest is folded again."""
        owner = self._owner
        try:
            match error:
                case Fenced():
                    for number in {part for _, part in error.heads} or set(fold.at):
                        owner.tenure.depose(number)
                case KeyKnown():
                    return await self._replay_known(items)
                case StateMoved():
                    # Memory was wrong about its own rows: a bug or a hand at the table. Load the
                    # partition's truth again.
                    telemetry.log.error("owner.state_moved", service=owner.aggregate.service)
                    names = [n for n, c in fold.changed.items() if c.start]
                    for name in names:
                        owner.memory.live.pop(name, None)
                        owner.memory.ended.pop(name, None)
                    await owner.fetch(names)
                case EntityExists():
                    new = [n for n, c in fold.changed.items() if not c.start]
                    await owner.fetch([*fold.batch.absent, *new])
                case CheckpointMoved():
                    return await owner.hearing.realign(items)
        except Unavailable:
            await asyncio.sleep(0.1)
        return items

    async def _replay_known(self, items: Sequence[Item]) -> Sequence[Item]:
        """Answers the commands whose keys the inbox knows; returns the others."""
        owner = self._owner
        keyed = [(i.tenant, i.part, i.key) for i in items if i.key is not None]
        known = await owner.store.replies(owner.aggregate.service, keyed)
        rest = []
        for item in items:
            k = item.key
            name = (item.tenant, item.part, k.subject, k.operation, k.key) if k else None
            if k is None or name is None or name not in known:
                rest.append(item)
                continue
            digest, reply = known[name]
            owner.remember_reply(name, digest, reply)
            same = digest == k.hash
            owner.answer(item, owner.aggregate.reply(reply) if same else Coded("API-102"))
        return rest

    async def _committed(self, fold: Fold) -> bool:
        """After a lost connection: the own epoch is raised first, then the heads tell whether the
        batch is in the log.
        """
        owner = self._owner
        try:
            found = await owner.tenure.reprove(sorted(fold.at))
        except Fenced:
            return False  # the lost partitions' commands are refused, the others are decided again
        moved = [h for h in fold.batch.heads if h.end > h.start]
        return bool(moved) and all(found[h.topic, h.part] == h.end for h in moved)
