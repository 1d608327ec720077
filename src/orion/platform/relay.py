"""The relay: publishes the log to Kafka, partition by partition, in order, and notes how far.

Owns: what lies on Kafka's topics, and the marks in bus.relayed. Does not own: the log, which it
only reads by offset, as any consumer does.

What holds: every record of the log is published, in the order of the log; some perhaps again (after
a crash between Kafka's acknowledgement and the mark), none left out. Copies share the partitions by
lease; producers of Kafka's own fence those that are late, but for prices (relay_line.py). Where the
log has a gap, or Kafka holds what the log does not, the partition stops and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from orion.platform import telemetry
from orion.platform.bus.kafka_past import Past
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Bus, Record
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.lease import LEASE_MS, RENEW_MS, Part, Tenure
from orion.platform.relay_line import FencedProducer, line_of
from orion.platform.relay_marks import Head, Mark, RelayMarks
from orion.platform.store.port import Leases

SILENCE_NS = 5_000_000_000
LEASE = "relay"  # the head whose leases share the partitions among copies
T = TypeVar("T")

_PUBLISHED = telemetry.counter("relay_published_total", "Records published to Kafka", ("topic",))
_LAG = telemetry.gauge("relay_lag", "Records of the log not yet on Kafka", ("topic",))
_LATENCY = telemetry.histogram(
    "relay_latency_seconds", "From the decision of the newest record to Kafka's word", ("topic",)
)
_STOPPED = telemetry.gauge("relay_stopped", "1: stopped, see the log", ("topic", "part"))
_FENCED = telemetry.counter("relay_fenced_total", "Another relay took a partition", ("topic",))


@dataclass(frozen=True)
class RelayLimits:
    """The named bounds of a relay."""

    batch: int = 1_000
    threads: int = 16  # transactions at once
    mark_s: float = 0.1
    wait_s: float = 1.0
    again_s: float = 0.25
    stopped_s: float = 5.0  # until it looks again
    lease_ms: int = LEASE_MS
    renew_ms: int = RENEW_MS


class Stopped(Exception):
    """The partition must not go on before somebody has looked at it."""


class Relay:
    """Relays its share of the partitions. `run` works until cancelled; several copies may run."""

    def __init__(
        self,
        *,
        log: Bus,
        marks: RelayMarks,
        leases: Leases,
        settings: KafkaSettings,
        clock: Clock,
        address: str,
        topics: Mapping[str, Topic] | None = None,
        limits: RelayLimits | None = None,
    ) -> None:
        self.topics = topics if topics is not None else catalogue()
        self.limits = limits or RelayLimits()
        self.log, self.marks, self.settings, self.clock = log, marks, settings, clock
        self.past = Past(settings, self.topics, readers=2)
        self.stopped: dict[Head, str] = {}
        self._told = 0
        self._count = max(t.partitions for t in self.topics.values())
        self._threads = ThreadPoolExecutor(self.limits.threads, thread_name_prefix="relay")
        self._running: dict[int, list[asyncio.Task[None]]] = {}
        self._dirty: dict[Head, Mark] = {}
        self._cursor: dict[Head, int] = {}
        self.tenure = Tenure(
            LEASE, (LEASE,), self._count, leases, clock, address,
            took=self._took, lost=self._lost, drain=self._drain,
            lease_ms=self.limits.lease_ms, renew_ms=self.limits.renew_ms,
        )  # fmt: skip

    def ready(self) -> str | None:
        """None, or why it does not do all of its work."""
        if not self.tenure.settled.is_set():
            return "relay: looking for its partitions"
        return next((f"relay: {t}/{p}: {why}" for (t, p), why in self.stopped.items()), None)

    @property
    def positions(self) -> Mapping[Head, int]:
        """The next offset to publish, of the partitions that are relayed here."""
        return self._cursor

    async def leave(self) -> None:
        """Gives its partitions away and returns when other copies have them."""
        await self.tenure.withdraw()

    async def run(self) -> None:
        """Relays until cancelled."""
        await self.tenure.ensure()
        self.past.abandoned = await self.marks.patiently_abandoned()
        keeping = asyncio.create_task(self._keep(), name="relay.marks")
        tenure = asyncio.create_task(self.tenure.run(), name="relay.tenure")
        try:
            done, _ = await asyncio.wait([keeping, tenure], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tenure.cancel()
            await asyncio.gather(tenure, return_exceptions=True)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await self.past.close()
            self._threads.shutdown(wait=False)

    # ---- the lease

    async def _took(self, part: Part) -> None:
        self._running[part.number] = [
            asyncio.create_task(self._relay(topic, part), name=f"relay {topic.key}/{part.number}")
            for topic in self.topics.values()
            if part.number < topic.partitions
        ]

    def _lost(self, number: int) -> None:
        for task in self._running.pop(number, ()):
            task.cancel()
        for head in [h for h in self._cursor if h[1] == number]:
            del self._cursor[head]
            self.stopped.pop(head, None)

    async def _drain(self, number: int) -> None:
        tasks = self._running.pop(number, [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._write()

    # ---- one partition

    async def _relay(self, topic: Topic, part: Part) -> None:
        """Never ends by itself: what goes wrong is told, and tried again."""
        head = (topic.key, part.number)
        while True:
            try:
                await self._publish_for_ever(topic, part)
            except Unavailable as error:
                self._waits(head, error)
                await asyncio.sleep(self.limits.again_s)
            except FencedProducer as error:
                _FENCED.labels(topic.key).inc()
                telemetry.log.warning("relay.fenced", topic=head[0], part=head[1], error=str(error))
                await asyncio.sleep(self.limits.lease_ms / 1000)  # by then the lease tells
            except Stopped as error:
                self._stop(head, str(error))
                await asyncio.sleep(self.limits.stopped_s)
            except Exception as error:
                telemetry.log.exception("relay.failed", topic=head[0], part=head[1])
                self._stop(head, repr(error))
                await asyncio.sleep(self.limits.stopped_s)

    def _waits(self, head: Head, error: Exception) -> None:
        now = self.clock.ticks()
        if now - self._told > SILENCE_NS:  # all partitions wait for the same thing
            self._told = now
            telemetry.log.warning("relay.waits", topic=head[0], part=head[1], error=str(error))

    def _stop(self, head: Head, why: str) -> None:
        if self.stopped.get(head) != why:
            telemetry.log.error("relay.stopped", topic=head[0], part=head[1], reason=why)
        self.stopped[head] = why
        _STOPPED.labels(head[0], str(head[1])).set(1)

    async def _publish_for_ever(self, topic: Topic, part: Part) -> None:
        key, number = head = (topic.key, part.number)
        mark = await self.marks.begin(key, number, part.epoch)
        cursor = self._cursor[head] = mark.offset
        await self.log.ends(key)
        is_compared = False
        # A producer is made when there is something to say; meanwhile one look whether Kafka has
        # what the log does not: a restored database is told of before anybody writes to it.
        while not await self.log.wait(key, number, cursor, self.limits.wait_s):
            if not is_compared:
                await self._where(topic, number, mark.offset)
                is_compared = True
        line = line_of(self.settings, topic, number)
        try:
            await self._call(line.open)
            cursor = self._cursor[head] = await self._where(topic, number, mark.offset)
            while True:
                if not await self.log.wait(key, number, cursor, self.limits.wait_s):
                    continue
                records = await self.log.read(key, number, cursor, self.limits.batch)
                if not records:
                    continue
                lost = await self._whole(topic, records, cursor)
                await self._call(lambda r=records, x=lost: line.publish(r, x))
                cursor = self._cursor[head] = records[-1].offset + 1
                self._published(head, records, Mark(cursor, part.epoch))
        finally:
            # After what is still under way there; nobody waits for it.
            self._threads.submit(line.close)

    async def _whole(self, topic: Topic, records: Sequence[Record], cursor: int) -> int | None:
        """Raises Stopped where the log has a gap; of a topic with a cap, tells what is lost."""
        first = records[0].offset
        if records[-1].offset - first + 1 != len(records):
            raise Stopped(f"the log has a gap after {first}")
        if first == cursor:
            return None
        kept, _ = await self.marks.bounds(topic.key, records[0].part)
        if topic.hourly and kept == first:
            telemetry.log.error(
                "relay.lost", topic=topic.key, part=records[0].part, offset=cursor, until=first
            )
            return cursor
        raise Stopped(f"the log has no record at {cursor}, the next is {first}")

    async def _where(self, topic: Topic, number: int, mark: int) -> int:
        """Where to go on: behind what Kafka has. Raises Stopped where the two do not agree."""
        last, ever = await self.past.last(topic.key, number)
        kept, end = await self.marks.bounds(topic.key, number)
        if last is None:
            if not ever and mark > kept:
                telemetry.log.error("relay.kafka_lost", topic=topic.key, part=number, mark=mark)
            return mark if ever else kept
        if last.offset >= end:
            raise Stopped(
                f"Kafka has {last.offset}, the log's next is {end}: was the database restored?"
                " `orion restored` tells what to do"
            )
        ours = await self.log.read(topic.key, number, last.offset, 1)
        if ours and ours[0].offset == last.offset and ours[0].event_id != last.event_id:
            raise Stopped(f"Kafka has another record at {last.offset} than the log")
        if last.offset + 1 < mark:
            telemetry.log.error(
                "relay.kafka_lost", topic=topic.key, part=number, mark=mark, last=last.offset
            )
        return last.offset + 1

    async def _call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # ---- marks

    def _published(self, head: Head, records: Sequence[Record], mark: Mark) -> None:
        self._dirty[head] = mark
        if self.stopped.pop(head, None) is not None:
            _STOPPED.labels(head[0], str(head[1])).set(0)
        _PUBLISHED.labels(head[0]).inc(len(records))
        _LATENCY.labels(head[0]).observe(max(self.clock.now() - records[-1].at, 0) / 1e6)
        telemetry.record_spans("relay", records)

    async def _keep(self) -> None:
        try:
            while True:
                await asyncio.sleep(self.limits.mark_s)
                await self._patiently(self._write)
                behind = self.log.behind(self._cursor)
                for key in self.topics:
                    _LAG.labels(key).set(sum(n for (t, _), n in behind.items() if t == key))
        finally:
            await self._patiently(self._write)

    async def _patiently(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Unavailable as error:
            telemetry.log.warning("relay.mark_waits", error=str(error))

    async def _write(self) -> None:
        if self._dirty:
            marks, self._dirty = self._dirty, {}
            try:
                await self.marks.write(marks)
            except BaseException:
                self._dirty = {**marks, **self._dirty}
                raise
