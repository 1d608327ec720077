"""The owner of a service's partitions: one writer task, live state in memory, everything durable in
grouped, fenced writes.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from orion.platform import telemetry
from orion.platform.bus.abandoned import kept
from orion.platform.bus.port import Bus, Record, partition_of
from orion.platform.clock import Clock
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.ids import new_uuid
from orion.platform.lease import LEASE_MS, RENEW_MS, Part, Tenure
from orion.platform.store.port import Store
from orion.platform.transact_fold import Cell, Fold, Memory, Name
from orion.platform.transact_hear import Hearing
from orion.platform.transact_queue import Item, Lanes
from orion.platform.transact_words import Aggregate, Commit, Follow, Key
from orion.platform.transact_write import Writing

S = TypeVar("S")
_COMMANDS = telemetry.counter("commands_total", "Commands by outcome", ("service", "outcome"))
_LATENCY = telemetry.histogram("command_seconds", "From submit to the durable answer", ("service",))


@dataclass(frozen=True)
class Limits:
    """The named bounds of an owner."""

    batch: int = 200  # commands in one write
    pace_ms: float = 2.0  # between the beginnings of two writes, when little is to be written
    pace_per_command_ms: float = 0.25  # more for each command of the last write: busy, few and full
    longest_pace_ms: float = 6.0
    waiting_per_tenant: int = 5_000  # beyond it: SYS-904
    timeout_s: float = 5.0  # nobody waits longer for a command: SYS-902
    ended: int = 10_000  # ended aggregates kept in memory
    keys: int = 20_000  # replies kept in memory (all are in the inbox)
    heard: int = 1_000  # records of a followed partition that may wait
    warm_s: int = 120  # how far back rate windows are warmed
    inbox_days: int = 7
    lease_ms: int = LEASE_MS
    renew_ms: int = RENEW_MS


class Owner(Generic[S]):
    """Owns what partitions of the service it can get, decides their commands, and writes. `run`
    must be running. It hears other services on the `bus`, and reads its own topics in the `log`,
    which is never behind itself.
    """

    def __init__(
        self,
        aggregate: Aggregate[S],
        store: Store,
        bus: Bus,
        clock: Clock,
        *,
        partitions: int,
        address: str,
        log: Bus | None = None,
        limits: Limits | None = None,
        share: bool = True,
        may: Callable[[], bool] = lambda: True,
        version: str = "1",
    ) -> None:
        self.aggregate = aggregate
        self.store = store
        self.bus, self._log = bus, log or bus
        self.clock = clock
        self.partitions = partitions
        self.limits = limits or Limits()
        self.version = version
        self.memory = Memory(self.limits.ended)
        self.open: dict[int, Part] = {}
        self.lanes = Lanes()
        self.flying: list[Item] = []
        self.keys: OrderedDict[tuple[str, int, str, str, str], tuple[bytes, bytes]] = OrderedDict()
        self.in_flight: dict[tuple[str, int, str, str, str], bytes] = {}
        self.callbacks: list[Callable[[Commit[S]], None]] = []
        self.takings: list[Callable[[int], None]] = []
        self.hearing = Hearing(self)
        self.work = asyncio.Event()
        self._timers: list[tuple[int, str, str]] = []
        self._tick = asyncio.Event()
        self._closing: set[int] = set()
        self._running = False
        self.tenure = Tenure(
            aggregate.service, aggregate.topics, partitions, store, clock, address,
            took=self._took, lost=self._lost, drain=self._drain, share=share, may=may,
            lease_ms=self.limits.lease_ms, renew_ms=self.limits.renew_ms,
        )  # fmt: skip
        self.writing = Writing(self)
        self._done = _COMMANDS.labels(aggregate.service, "answered")
        self._failed = _COMMANDS.labels(aggregate.service, "failed")
        self._latency = _LATENCY.labels(aggregate.service)

    # ---- what services call

    async def run(self) -> None:
        """Takes partitions and works until cancelled; then hands over what it owns."""
        await self.tenure.ensure()
        self._running = True
        # The lease keeper ends first: it drains through a writer that still works.
        others = [
            asyncio.create_task(task(), name=f"{self.aggregate.service}.{task.__name__}")
            for task in (self.writing.run, self._watch_time, self._sweep, self._prune)
        ]
        tenure = asyncio.create_task(self.tenure.run(), name=f"{self.aggregate.service}.tenure")
        try:
            done, _ = await asyncio.wait([tenure, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tenure.cancel()
            await asyncio.gather(tenure, return_exceptions=True)
            self._running = False
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self.hearing.stop()
            for part in list(self.open):
                self._lost(part)

    async def submit(
        self,
        tenant: str,
        entity: str,
        command: Any,
        key: Key | None = None,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Decides the command and returns the aggregate's reply when it is durable. Idempotent with
        a key.

        Raises NotOwner, and Coded: API-102, API-103, SYS-900, SYS-902, SYS-903, SYS-904.
        """
        return await self.begin(tenant, entity, command, key, timeout_s=timeout_s)

    def begin(
        self,
        tenant: str,
        entity: str,
        command: Any,
        key: Key | None = None,
        *,
        timeout_s: float | None = None,
    ) -> asyncio.Future[Any]:
        """`submit` without the wait, for those who bring many: the future of the reply. The order
        of the calls is the order of the decisions on an entity. Raises what it can say at once.
        """
        part = self._part_for_write(entity)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        if key is not None and (known := self._known(tenant, part, key)) is not None:
            answer.set_result(known[0])
            return answer
        if self.lanes.length(tenant) >= self.limits.waiting_per_tenant:
            raise Coded("SYS-904", retry_after_s=1.0)
        began = loop.time()
        overdue = began + (self.limits.timeout_s if timeout_s is None else timeout_s)
        item = Item(tenant, entity, part, command, key, answer, began, overdue)
        if key is not None:
            self.in_flight[tenant, part, key.subject, key.operation, key.key] = key.hash
        self.lanes.put(tenant, item)
        self.work.set()
        return answer

    def at_hand(self, tenant: str, entity: str) -> S | None:
        """What is committed, if it is in memory here and surely the last word; else ask `state`."""
        part = partition_of(entity, self.partitions)
        if part not in self.open or not self.tenure.is_proven(part):
            return None
        cell = self.memory.get((tenant, entity))
        return cell.state if cell else None

    async def state(self, tenant: str, entity: str) -> S | None:
        """What is committed: read your write. Raises NotOwner when this copy cannot know,
        Unavailable.
        """
        part = partition_of(entity, self.partitions)
        if part not in self.open or not self.tenure.is_proven(part):
            raise NotOwner(self.aggregate.service, part, self.tenure.elsewhere.get(part) or None)
        cell = self.memory.get((tenant, entity))
        if cell is None:
            await self.fetch([(tenant, entity)])
            cell = self.memory.get((tenant, entity))
        return cell.state if cell else None

    def part_of(self, entity: str) -> int:
        """The partition of an entity."""
        return partition_of(entity, self.partitions)

    def demand(self, entity: str) -> None:
        """Raises NotOwner where commands on this entity are another copy's to decide."""
        self._part_for_write(entity)

    def owns(self, entity: str) -> bool:
        """Whether the entity's partition is owned here now."""
        return self.part_of(entity) in self.open

    def live(self) -> Iterator[tuple[str, str, S]]:
        """(tenant, entity, state) of all live aggregates of the partitions owned here."""
        for (tenant, entity), cell in list(self.memory.live.items()):
            yield tenant, entity, cell.state

    def on_commit(self, callback: Callable[[Commit[S]], None]) -> Callable[[], None]:
        """Calls back after each write, in order. It must be quick and must not raise. Returns the
        way to stop it.
        """
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    async def leave(self) -> None:
        """Hands over all partitions and returns when other copies have them. Commands are told
        meanwhile who has theirs now.
        """
        await self.tenure.withdraw()

    def on_taken(self, callback: Callable[[int], None]) -> None:
        """Calls back with each partition that is owned here from now on. What its owner before told
        last may not have been heard.
        """
        self.takings.append(callback)

    def follow(
        self,
        topic: str,
        group: str,
        to_command: Callable[[Record], Any],
        types: frozenset[str] | None = None,
    ) -> None:
        """Hears another service's topic (of these types); its position is written with what it
        caused. Call before `run`.
        """
        self.hearing.follow(Follow(topic, group, to_command, types))

    def ready(self) -> str | None:
        """None when the first look around is over and every partition is owned by somebody; else
        the reason.
        """
        if not self.tenure.settled.is_set():
            return f"{self.aggregate.service}: partitions are being taken"
        nobody = [
            n
            for n in range(self.partitions)
            if n not in self.open and not self.tenure.elsewhere.get(n)
        ]
        return f"{self.aggregate.service}: partitions {nobody} have no owner" if nobody else None

    # ---- what its parts call

    async def fetch(self, names: Sequence[Name]) -> None:
        """Loads aggregates into memory, where they exist and their partition is ours."""
        for tenant, entity, snapshot in await self.store.find(self.aggregate.service, names):
            part = partition_of(entity, self.partitions)
            if part in self.open and self.memory.get((tenant, entity)) is None:
                self._remember(tenant, entity, part, snapshot)

    def _remember(self, tenant: str, entity: str, part: int, snapshot: Any) -> None:
        if snapshot.schema > self.aggregate.schema:
            raise Unavailable(f"{entity} was written by a newer version")
        state = self.aggregate.load(snapshot)
        cell = Cell(state, snapshot.version, part, snapshot.live, snapshot.deadline)
        self.memory.set((tenant, entity), cell)
        self.arm(tenant, entity, cell)

    def arm(self, tenant: str, entity: str, cell: Cell) -> None:
        """Sets the timer of a deadline. Late or doubled timers do no harm: they are checked when
        they ring.
        """
        if cell.deadline is not None and cell.live:
            is_next = not self._timers or cell.deadline < self._timers[0][0]
            heapq.heappush(self._timers, (cell.deadline, tenant, entity))
            if is_next:  # otherwise who watches the time wakes up early enough
                self._tick.set()

    def merge(self, fold: Fold) -> None:
        """After the commit: memory, timers, replies, readers, and only then the answers."""
        fold.merge()
        for (tenant, entity), cell in fold.cells.items():
            self.arm(tenant, entity, cell)
        for entry in fold.batch.entries:
            if entry.reply is not None:
                k = entry.key
                name = (entry.tenant, entry.part, k.subject, k.operation, k.key)
                self.remember_reply(name, k.hash, entry.reply)
        self.hearing.merge(fold)
        if fold.records:
            self.store.tell(fold.records)
        if self.callbacks and fold.cells:
            commit = Commit(
                tuple((t, e, cell.state) for (t, e), cell in fold.cells.items()),
                tuple(fold.records),
            )
            for callback in list(self.callbacks):
                try:
                    callback(commit)
                except Exception:
                    telemetry.log.exception("owner.callback", service=self.aggregate.service)

    def remember_reply(
        self, name: tuple[str, int, str, str, str], digest: bytes, reply: bytes
    ) -> None:
        """Keeps a stored reply at hand."""
        self.keys[name] = (digest, reply)
        if len(self.keys) > self.limits.keys:
            self.keys.popitem(last=False)

    def answer(self, item: Item, outcome: Any) -> None:
        """Gives the caller his reply or error, if he still waits."""
        if item.key is not None:
            k = item.key
            self.in_flight.pop((item.tenant, item.part, k.subject, k.operation, k.key), None)
        answer = item.answer
        if item.due is not None:
            self._ring_again(item)
        if answer is None:
            if isinstance(outcome, Exception) and not isinstance(outcome, NotOwner):
                telemetry.log.error(
                    "owner.unasked_failed", service=self.aggregate.service, entity=item.entity,
                    error=str(outcome),
                )  # fmt: skip
        elif answer.done():
            return
        elif isinstance(outcome, Exception):
            answer.set_exception(self._presentable(item, outcome))
            self._failed.inc()
        else:
            answer.set_result(outcome)
            self._done.inc()
            self._latency.observe(answer.get_loop().time() - item.began)

    def _presentable(self, item: Item, error: Exception) -> Exception:
        if isinstance(error, (Coded, NotOwner)):
            return error
        name = new_uuid()
        telemetry.log.error(
            "owner.poison", service=self.aggregate.service, error_id=name, tenant=item.tenant,
            entity=item.entity, command=type(item.command).__name__, exc_info=error,
        )  # fmt: skip
        _COMMANDS.labels(self.aggregate.service, "poison").inc()
        return Coded("SYS-900", f"error {name}", extra={"errorId": name})

    # ---- inside

    def _part_for_write(self, entity: str) -> int:
        part = partition_of(entity, self.partitions)
        if part not in self.open or part in self._closing:
            raise NotOwner(self.aggregate.service, part, self.tenure.elsewhere.get(part) or None)
        return part

    def _known(self, tenant: str, part: int, key: Key) -> tuple[Any] | None:
        name = (tenant, part, key.subject, key.operation, key.key)
        stored = self.keys.get(name)
        if stored is not None:
            if stored[0] != key.hash:
                raise Coded("API-102")
            return (self.aggregate.reply(stored[1]),)
        running = self.in_flight.get(name)
        if running is not None:
            raise Coded("API-103" if running == key.hash else "API-102")
        return None

    async def _took(self, part: Part) -> None:
        service, number = self.aggregate.service, part.number
        self.memory.drop(number)
        rows = await self.store.live(service, number)
        for tenant, entity, snapshot in rows:
            self._remember(tenant, entity, number, snapshot)
        for tenant, ordinal in (await self.store.ordinals(service, number)).items():
            self.memory.ordinals[tenant, number] = ordinal
        await self._warm(number)
        await self.hearing.begin(number)
        self.open[number] = part
        for callback in self.takings:
            callback(number)

    async def _warm(self, number: int) -> None:
        records: list[Record] = []
        since = self.clock.now() - self.limits.warm_s * 1_000_000
        for topic in self.aggregate.topics:
            offset = await self._log.offset_at(topic, number, since)
            while batch := await self._log.read(topic, number, offset):
                records += kept(batch)
                offset = batch[-1].offset + 1
        records.sort(key=lambda r: r.at)
        self.aggregate.warm(number, records)

    def _lost(self, number: int) -> None:
        self.open.pop(number, None)
        self._closing.discard(number)
        self.hearing.end(number)
        self.memory.drop(number)
        for name in [n for n in self.keys if n[1] == number]:
            del self.keys[name]
        for item in self.lanes.remove(number):
            where = self.tenure.elsewhere.get(number) or None
            self.answer(item, NotOwner(self.aggregate.service, number, where))

    async def _drain(self, number: int) -> None:
        self._closing.add(number)
        self.hearing.end(number)
        for _ in range(1_000):  # bounded: what is left is refused
            waiting = any(i.part == number for lane in self.lanes.heads() for i in lane)
            if not waiting and not any(i.part == number for i in self.flying):
                return
            await asyncio.sleep(0.002)

    async def _watch_time(self) -> None:
        while True:
            self._tick.clear()
            self._ring()
            if not self._timers:
                await self._tick.wait()
                continue
            # Short steps: the clock may be set, and a sleep is not bound to it.
            left = (self._timers[0][0] - self.clock.now()) / 1e6
            # Not wait_for: on Python 3.11 it can swallow a cancellation that comes with the
            # wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(max(left, 0.001), 0.05)):
                    await self._tick.wait()

    def _ring(self) -> None:
        now = self.clock.now()
        while self._timers and self._timers[0][0] <= now:
            due, tenant, entity = heapq.heappop(self._timers)
            cell = self.memory.live.get((tenant, entity))
            if cell is None or cell.deadline != due or cell.part in self._closing:
                continue
            command = self.aggregate.on_deadline(cell.state, due)
            self.lanes.put("time", Item(tenant, entity, cell.part, command, due=due))
            self.work.set()

    def _ring_again(self, item: Item) -> None:
        """A deadline that still stands after its command (a full disk, a bug) rings again, but not
        in a hot loop.
        """
        cell = self.memory.live.get((item.tenant, item.entity))
        if cell is not None and cell.deadline == item.due:
            asyncio.get_running_loop().call_later(0.5, self.arm, item.tenant, item.entity, cell)

    async def _sweep(self) -> None:
        """Nobody waits for ever: what is overdue is answered SYS-902 (and, if still queued, never
        decided).
        """
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.1)
            now = loop.time()
            for lane in self.lanes.heads():
                for item in lane:
                    if not self._give_up(item, now):
                        break
            for item in self.flying:
                self._give_up(item, now)

    def _give_up(self, item: Item, now: float) -> bool:
        if item.answer is None or item.overdue > now:
            return False
        if not item.answer.done():
            item.answer.set_exception(Unavailable(code="SYS-902"))
            self._failed.inc()
        return True

    async def _prune(self) -> None:
        """Forgets replies after a week, a thousand at a time."""
        while True:
            await asyncio.sleep(60)
            before = self.clock.now() - self.limits.inbox_days * 86_400_000_000
            with suppress(Unavailable):
                while await self.store.prune_inbox(self.aggregate.service, before) >= 1_000:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
