"""The publisher of a topic whose events have no aggregate behind them (ticks, market status,
sessions, reference data).

Fenced, numbered and batched like an owner's writes. It counts each entity's sequence; what it has
accepted it writes, in order, or it stops being the owner: so the log has no gap and an entity's
sequence has none either.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orion.platform import telemetry
from orion.platform.bus.abandoned import kept
from orion.platform.bus.port import Bus, Record, partition_of
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.clock import Clock
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.lease import FIRST, LEASE_MS, RENEW_MS, Part, Tenure
from orion.platform.store.port import (
    Batch,
    DiskFull,
    Fenced,
    HeadMove,
    Line,
    OutcomeUnknown,
    Refused,
    Store,
)
from orion.platform.transact_words import Fact

KEEP_EVERY_S = 1.0
_PUBLISHED = telemetry.counter("published_total", "Events published", ("topic",))


@dataclass(frozen=True)
class PublisherLimits:
    """The named bounds of a publisher."""

    batch: int = 1_000
    pace_ms: float = 2.0
    waiting: int = (
        20_000  # accepted and not yet durable; beyond it `offer` says no and `publish` waits
    )
    timeout_s: float = 5.0
    lease_ms: int = LEASE_MS
    renew_ms: int = RENEW_MS


_Waiting = tuple[int, str, str, Fact, "asyncio.Future[None] | None"]


class Publisher:
    """Owns the partitions of one topic. `run` must be running."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        topic: str,
        *,
        log: Bus,
        address: str,
        limits: PublisherLimits | None = None,
        spec: Topic | None = None,
        beside: Publisher | None = None,
    ) -> None:
        self._store, self._log, self._clock = store, log, clock
        self.topic = topic
        self._spec = spec or catalogue()[topic]
        self._limits = limits or PublisherLimits()
        self._open: dict[int, Part] = {}
        self._waiting: deque[_Waiting] = deque()
        self._flying: list[_Waiting] = []
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._parts: dict[str, int] = {}
        self._last: dict[tuple[str, str], int] = {}
        self._dirty: set[tuple[str, str]] = set()
        self._kept = 0.0
        self._began = 0.0
        self._callbacks: list[Callable[[Sequence[Record]], None]] = []
        self._count = _PUBLISHED.labels(topic)
        # One copy publishes the whole topic: its feeds are not shared either. `beside` another
        # publisher, it is the same copy for both topics.
        self.tenure = Tenure(
            f"publish {topic}", (topic,), self._spec.partitions, store, clock, address,
            took=self._took, lost=self._lost, drain=self._drain, share=False,
            may=lambda: beside is None or beside.ready() is None,
            lease_ms=self._limits.lease_ms, renew_ms=self._limits.renew_ms,
        )  # fmt: skip

    # ---- what services call

    def ready(self) -> str | None:
        """None when all partitions are owned here; else the reason why nothing can be published."""
        if len(self._open) == self._spec.partitions:
            return None
        return (
            f"{self.topic}: {len(self._open)} of {self._spec.partitions} partitions are owned here"
        )

    def is_elsewhere(self) -> bool:
        """True when another copy publishes, and this one stands by."""
        return self.ready() is not None and self.tenure.is_owned

    @property
    def leader(self) -> str:
        """The address of the copy that publishes, as last seen; empty: this one, or nobody."""
        return self.tenure.elsewhere.get(FIRST, "")

    def sequence(self, tenant: str, entity: str) -> int:
        """The sequence that the entity's next fact must carry. Raises NotOwner."""
        if self._part(entity) not in self._open:
            raise self._not_owner(self._part(entity))
        return self._last.get((tenant, entity), 0) + 1

    def offer(self, tenant: str, entity: str, *facts: Fact) -> bool:
        """Accepts facts without waiting until they are durable. False (and nothing taken) when too
        many wait. Raises NotOwner.
        """
        if len(self._waiting) + len(facts) > self._limits.waiting:
            return False
        self._accept(tenant, entity, facts, None)
        return True

    async def publish(self, tenant: str, entity: str, *facts: Fact) -> None:
        """Returns when the facts are durable. Raises NotOwner, and SYS-902 when that takes too long
        (they may still come).
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._accept(tenant, entity, facts, done)
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                await done
        except TimeoutError:
            raise Unavailable(code="SYS-902") from None

    async def room(self) -> None:
        """Waits until `offer` would accept again."""
        while len(self._waiting) >= self._limits.waiting:
            self._room.clear()
            await self._room.wait()

    @property
    def is_idle(self) -> bool:
        """Everything accepted so far is durable, or given up with the ownership."""
        return not (self._waiting or self._flying)

    async def flush(self) -> None:
        """Waits until it is idle. For ends and tests."""
        while not self.is_idle:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def leave(self) -> None:
        """Gives the topic away and returns when another copy has it."""
        await self.tenure.withdraw()

    def on_commit(self, callback: Callable[[Sequence[Record]], None]) -> None:
        """Calls back with the records of each write, in order."""
        self._callbacks.append(callback)

    async def run(self) -> None:
        """Owns and writes until cancelled."""
        await self.tenure.ensure()
        writing = asyncio.create_task(self._write_for_ever(), name=f"publish.{self.topic}")
        tenure = asyncio.create_task(self.tenure.run(), name=f"publish.{self.topic}.tenure")
        try:
            done, _ = await asyncio.wait([writing, tenure], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tenure.cancel()
            await asyncio.gather(tenure, return_exceptions=True)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    # ---- inside

    def _part(self, entity: str) -> int:
        part = self._parts.get(entity)
        if part is None:
            part = self._parts[entity] = partition_of(entity, self._spec.partitions)
        return part

    def _not_owner(self, part: int) -> NotOwner:
        return NotOwner(self.topic, part, self.tenure.elsewhere.get(part) or None)

    def _accept(
        self, tenant: str, entity: str, facts: Sequence[Fact], done: asyncio.Future[None] | None
    ) -> None:
        part = self._part(entity)
        if part not in self._open:
            raise self._not_owner(part)
        name = (tenant, entity)
        last = self._last.get(name, 0)
        for number, fact in enumerate(facts, last + 1):
            if fact.sequence != number or fact.entity_id != entity or fact.topic != self.topic:
                raise ValueError(
                    f"{fact.topic} {fact.entity_id} {fact.sequence}: expected {number}"
                )
        for fact in facts:
            self._waiting.append((part, tenant, entity, fact, None))
        if done is not None and facts:
            part, tenant, entity, fact, _ = self._waiting.pop()
            self._waiting.append((part, tenant, entity, fact, done))
        elif done is not None:
            done.set_result(None)
        self._last[name] = last + len(facts)
        self._work.set()

    async def _took(self, part: Part) -> None:
        """Counts where it stood: the counters kept, and the log after them."""
        number, upto = part.number, 0
        self._forget(number)
        for kept_part, tenant, entity, seq, kept_upto in await self._store.sequences(self.topic):
            if kept_part == number:
                self._last[tenant, entity] = seq
                upto = max(upto, kept_upto)
        while records := await self._log.read(self.topic, number, upto):
            for record in kept(records):
                self._last[record.tenant, record.entity] = record.seq
                self._dirty.add((record.tenant, record.entity))
            upto = records[-1].offset + 1
        self._open[number] = part

    def _forget(self, number: int) -> None:
        for name in [n for n in self._last if self._part(n[1]) == number]:
            del self._last[name]
            self._dirty.discard(name)

    def _lost(self, number: int) -> None:
        self._open.pop(number, None)
        kept: deque[_Waiting] = deque()
        for waiting in self._waiting:
            if waiting[0] != number:
                kept.append(waiting)
            elif waiting[4] is not None and not waiting[4].done():
                waiting[4].set_exception(self._not_owner(number))
        self._waiting = kept
        self._forget(number)

    async def _drain(self, number: int) -> None:
        for _ in range(1_000):
            if not any(w[0] == number for w in (*self._waiting, *self._flying)):
                return
            await asyncio.sleep(0.002)

    async def _write_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting:
                self._work.clear()
                await self._work.wait()
            left = self._began + self._limits.pace_ms / 1000 - loop.time()
            if left > 0.0003 and len(self._waiting) < self._limits.batch:
                await asyncio.sleep(left)
            self._began = loop.time()
            count = min(len(self._waiting), self._limits.batch)
            self._flying = [self._waiting.popleft() for _ in range(count)]
            self._room.set()
            try:
                await self._write(self._flying)
            finally:
                self._flying = []

    async def _write(self, facts: list[_Waiting]) -> None:
        while facts := self._owned(facts):
            batch, records = self._batch(facts)
            try:
                await self._store.append(batch)
            except Fenced as error:
                for number in {p for _, p in error.heads} or {h.part for h in batch.heads}:
                    self.tenure.depose(number)
            except OutcomeUnknown:
                if await self._committed(batch):
                    return self._commit(facts, batch, records)
            except (DiskFull, Unavailable) as error:
                telemetry.log.warning("publish.waits", topic=self.topic, error=str(error))
                await asyncio.sleep(0.25)
            except Refused as error:
                return await self._refused(facts, error)
            else:
                return self._commit(facts, batch, records)
        return None

    def _owned(self, facts: list[_Waiting]) -> list[_Waiting]:
        for part, _, _, _, done in facts:
            if part not in self._open and done is not None and not done.done():
                done.set_exception(self._not_owner(part))
        return [f for f in facts if f[0] in self._open]

    async def _committed(self, batch: Batch) -> bool:
        numbers = sorted({h.part for h in batch.heads})
        try:
            found = await self.tenure.reprove(numbers)
        except Fenced:
            return False
        return all(found[h.topic, h.part] == h.end for h in batch.heads)

    async def _refused(self, facts: list[_Waiting], error: Refused) -> None:
        if len(facts) > 1:
            for fact in facts:
                await self._write([fact])
            return
        telemetry.log.error(
            "publish.poison", topic=self.topic, entity=facts[0][2], error=str(error)
        )
        done = facts[0][4]
        if done is not None and not done.done():
            done.set_exception(Coded("SYS-900"))

    def _batch(self, facts: list[_Waiting]) -> tuple[Batch, list[Record]]:
        now, topic = self._clock.now(), self.topic
        ends: dict[int, int] = {}
        ats: dict[int, int] = {}
        records: list[Record] = []
        for number, tenant, entity, fact, _ in facts:
            offset = ends.get(number)
            if offset is None:
                part = self._open[number]
                offset, ats[number] = part.next[topic], max(now, part.at)
            ends[number] = offset + 1
            records.append(
                Record(topic, number, offset, ats[number], tenant, entity, fact.sequence,
                       fact.event_type, fact.event_id, fact.body)
            )  # fmt: skip
        heads = [
            HeadMove(topic, n, self._open[n].next[topic], end, self._open[n].epoch, ats[n])
            for n, end in sorted(ends.items())
        ]
        batch = Batch(
            self.tenure.service, {r.tenant for r in records}, heads, hourly=self._spec.hourly
        )
        batch.lines = [Line(r, None) for r in records]
        self._keep(batch, records, ends)
        return batch, records

    def _keep(self, batch: Batch, records: list[Record], ends: dict[int, int]) -> None:
        """Now and then the counters go with a batch, so that a start has little to read."""
        now = asyncio.get_running_loop().time()
        self._dirty.update((r.tenant, r.entity) for r in records)
        if now - self._kept < KEEP_EVERY_S:
            return
        self._kept = now
        sent = {(r.tenant, r.entity): r.seq for r in records}
        for tenant, entity in self._dirty:
            number = self._part(entity)
            if number not in ends:
                continue
            seq = sent.get((tenant, entity)) or self._written(tenant, entity)
            batch.tenants.add(tenant)
            batch.sequences.append((self.topic, number, tenant, entity, seq, ends[number]))

    def _written(self, tenant: str, entity: str) -> int:
        waiting = sum(1 for w in self._waiting if w[1] == tenant and w[2] == entity)
        return self._last[tenant, entity] - waiting

    def _commit(self, facts: list[_Waiting], batch: Batch, records: list[Record]) -> None:
        for head in batch.heads:
            if part := self._open.get(head.part):
                part.next[self.topic], part.at = head.end, head.at
        self._dirty -= {(s[2], s[3]) for s in batch.sequences}
        self._store.tell(records)
        self._count.inc(len(records))
        for callback in self._callbacks:
            try:
                callback(records)
            except Exception:
                telemetry.log.exception("publish.callback", topic=self.topic)
        for *_, done in facts:
            if done is not None and not done.done():
                done.set_result(None)
