"""What an owner hears from other services' topics: the position moves in the same write as what the
record caused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orion.platform import telemetry
from orion.platform.bus.abandoned import is_kept
from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage, NotOwner, Unavailable
from orion.platform.store.letters import OPEN
from orion.platform.store.port import Advance, CheckpointMoved, DeadLetter
from orion.platform.transact_fold import Fold, Name
from orion.platform.transact_queue import Item
from orion.platform.transact_words import Follow

if TYPE_CHECKING:
    from orion.platform.transact_owner import Owner

LOOK_FOR_REPLAYS_S = 1.0
SETTLE_S = 1.0  # a position that moves without effects is written after so long
_HEARD = telemetry.counter("followed_total", "Records heard by owners", ("service", "topic"))


class Hearing:
    """The followed topics of an owner: one reader per followed partition that it owns."""

    def __init__(self, owner: Owner[Any]) -> None:
        self._owner = owner
        self._follows: list[Follow] = []
        self._readers: dict[tuple[str, str, int], asyncio.Task[None]] = {}
        self._cursor: dict[tuple[str, str, int], int] = {}  # the next record to read
        # The position once all that is queued is written; from there to the cursor nothing was of
        # concern. `_passed`: the last such record, and when the first one was passed.
        self._mark: dict[tuple[str, str, int], int] = {}
        self._passed: dict[tuple[str, str, int], tuple[Record, float]] = {}
        self.parked: dict[tuple[str, int], set[Name]] = {}

    def follow(self, follow: Follow) -> None:
        """Adds a topic."""
        self._follows.append(follow)

    async def begin(self, number: int) -> None:
        """The partition was taken: go on where the checkpoints say."""
        for follow in self._follows:
            positions = await self._owner.store.positions(follow.group)
            key = (follow.group, follow.topic, number)
            self._stand(key, positions.get((follow.topic, number), 0))
            await self._load_parked(follow.group, number)
            self._readers[key] = asyncio.create_task(
                self._read(follow, number), name=f"follow.{follow.group}.{number}"
            )

    async def _load_parked(self, group: str, number: int) -> None:
        letters = await self._owner.store.letters(consumer=group, limit=100_000)
        waiting = [x.record for x in letters if x.status != "replayed"]
        OPEN.labels(group).set(len(waiting))
        self.parked[group, number] = {(r.tenant, r.entity) for r in waiting if r.part == number}

    def end(self, number: int) -> None:
        """The partition is gone."""
        for key in [k for k in self._readers if k[2] == number]:
            self._readers.pop(key).cancel()

    def stop(self) -> None:
        """All are gone."""
        for reader in self._readers.values():
            reader.cancel()
        self._readers.clear()

    def again(self, items: Sequence[Item]) -> None:
        """Records that were not written are read again from the checkpoint."""
        for item in items:
            if item.record is not None:
                key = (item.group, item.record.topic, item.record.part)
                self._rewind(key, item.start)

    def _stand(self, key: tuple[str, str, int], offset: int) -> None:
        self._cursor[key] = self._mark[key] = offset
        self._passed.pop(key, None)

    def _rewind(self, key: tuple[str, str, int], offset: int) -> None:
        owner = self._owner
        self._stand(key, min(offset, self._mark.get(key, offset)))
        owner.lanes.drop(("follow", *key))  # what is queued behind would leave a gap

    async def realign(self, items: Sequence[Item]) -> Sequence[Item]:
        """Somebody else moved a position: drop the records, look again where we are."""
        heard = [i for i in items if i.record is not None]
        for group in {i.group for i in heard}:
            positions = await self._owner.store.positions(group)
            for item in heard:
                if item.group == group and item.record is not None:
                    key = (group, item.record.topic, item.record.part)
                    self._rewind(key, item.start)
                    self._stand(key, positions.get((item.record.topic, item.record.part), 0))
        for item in items:
            if item.letter is not None:
                self._owner.answer(item, CheckpointMoved("look at the letters again"))
        return [i for i in items if i.record is None and i.letter is None]

    def merge(self, fold: Fold) -> None:
        """After the commit: entities with a new dead letter are parked."""
        for group, names in fold.buried.items():
            self.parked.setdefault(group, set()).update(names)

    async def bury(self, item: Item, error: Exception) -> None:
        """A record whose effect the database refuses becomes a dead letter."""
        record = item.record
        assert record is not None
        letter = DeadLetter(
            item.group,
            record,
            f"{type(error).__name__}: {error}",
            "",
            self._owner.version,
            1,
            False,
            service=self._owner.tenure.service,
        )
        advance = Advance(item.group, record.topic, record.part, item.start, record.offset + 1)
        try:
            await self._owner.store.bury([letter], [advance])
        except (CheckpointMoved, Unavailable):
            return self.again([item])
        self.parked.setdefault((item.group, record.part), set()).add((record.tenant, record.entity))
        telemetry.log.error("follow.dead_letter", group=item.group, entity=record.entity)
        return None

    async def _read(self, follow: Follow, number: int) -> None:
        """Reads one partition for ever. Nothing may end it silently: an owner that stopped hearing
        looks healthy."""
        loop = asyncio.get_running_loop()
        looked = 0.0
        while True:
            try:
                parked = self.parked.get((follow.group, number))
                if parked and loop.time() - looked > LOOK_FOR_REPLAYS_S:
                    looked = loop.time()
                    await self._replay(follow, number)
                await self._queue(follow, number)
            except Unavailable:
                await asyncio.sleep(0.25)
            except Exception:
                telemetry.log.exception("follow.failed", group=follow.group, part=number)
                await asyncio.sleep(1.0)

    async def _queue(self, follow: Follow, number: int) -> None:
        """Puts what is new into the owner's lanes, in order, bounded. What is of no concern is
        passed over: its position moves with the next that is, or with time.
        """
        owner = self._owner
        key = (follow.group, follow.topic, number)
        self._settle(follow, key)
        if not await owner.bus.wait(follow.topic, number, self._cursor[key], SETTLE_S):
            return
        lane, heard = ("follow", *key), _HEARD.labels(owner.aggregate.service, follow.topic)
        for record in await owner.bus.read(follow.topic, number, self._cursor[key]):
            while owner.lanes.length(lane) >= owner.limits.heard:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            if record.offset != self._cursor[key]:
                return  # rewound meanwhile
            self._cursor[key] = record.offset + 1
            is_ours = follow.types is None or record.type in follow.types
            if not (is_ours and is_kept(record)):
                first = self._passed.get(key)
                since = first[1] if first else asyncio.get_running_loop().time()
                self._passed[key] = record, since
            else:
                self._put(follow, key, record)
            heard.inc()

    def _put(self, follow: Follow, key: tuple[str, str, int], record: Record) -> None:
        owner = self._owner
        item = Item(
            record.tenant, "", record.part, follow.to_command, group=follow.group, record=record,
            start=self._mark[key],
        )  # fmt: skip
        self._mark[key] = record.offset + 1
        self._passed.pop(key, None)
        owner.lanes.put(("follow", *key), item)
        owner.work.set()

    def _settle(self, follow: Follow, key: tuple[str, str, int]) -> None:
        passed = self._passed.get(key)
        if passed and asyncio.get_running_loop().time() - passed[1] >= SETTLE_S:
            self._put(follow, key, passed[0])

    async def _replay(self, follow: Follow, number: int) -> None:
        """Letters that an operator asked for again: in order, as commands of their own, through the
        same decisions.
        """
        owner = self._owner
        letters = [
            x
            for x in await owner.store.letters(consumer=follow.group, limit=100_000)
            if x.record.part == number and x.record.topic == follow.topic and x.status != "replayed"
        ]
        stuck: set[Name] = set()
        wanted = [x for x in letters if x.status == "requested"]
        known = await owner.store.processed(follow.group, wanted)
        for letter in letters:
            name = (letter.record.tenant, letter.record.entity)
            if name in stuck or letter.status != "requested":
                stuck.add(name)  # an earlier letter was not asked for: later ones would overtake it
                continue
            if (letter.record.tenant, letter.record.event_id) in known:
                await owner.store.settle([letter])  # its effect is there: not a second time
                continue
            try:
                await self._again(follow, letter, number)
            except (CheckpointMoved, NotOwner, Unavailable):
                break  # not the letter's fault: another look, another try
            except InvalidMessage as error:
                stuck.add(name)
                await owner.store.settle([letter], error=str(error))
            except Exception as error:
                stuck.add(name)
                await owner.store.settle([letter], error=f"{type(error).__name__}: {error}")
        await self._load_parked(follow.group, number)

    async def _again(self, follow: Follow, letter: DeadLetter, number: int) -> None:
        """The letter as a command; what it causes, its mark in the inbox and what is said of it are
        one write.
        """
        heard = follow.to_command(letter.record)
        if heard is None:  # of no concern to this version
            tenants = [letter.record.tenant]
            async with self._owner.store.effect(
                self._owner.aggregate.service, tenants, (), settled=[letter]
            ):
                return
        await self._submit(letter, number, heard)

    async def _submit(self, letter: DeadLetter, number: int, heard: tuple[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        owner = self._owner
        answer: asyncio.Future[Any] = loop.create_future()
        item = Item(
            letter.record.tenant, heard[0], number, heard[1], answer=answer, letter=letter,
            overdue=loop.time() + owner.limits.timeout_s,
        )  # fmt: skip
        owner.lanes.put(letter.record.tenant, item)
        owner.work.set()
        await answer
