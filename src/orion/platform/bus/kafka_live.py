"""Following topics as they grow: one consumer and one thread per process, which fill the ring.

A partition is begun a little before its end, so that its log position is known. From there each
record must be the next one: a repeat is dropped, a gap stops the partition and is told. Batches
that the event loop has not taken yet are few: then the thread waits, and Kafka keeps the rest.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka  # pyright: ignore[reportMissingImports]

from orion.platform import telemetry
from orion.platform.bus.abandoned import Abandoned
from orion.platform.bus.kafka_ends import Ends
from orion.platform.bus.kafka_past import GAPS, REPEATS, Head, Places, reader_options
from orion.platform.bus.kafka_record import Order, record_of
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.errors import Unavailable

ck: Any = confluent_kafka

BATCH = 500
POLL_S = 0.05
GATHER_S = 0.002  # what comes so soon after the first goes with it
FLYING = 4  # batches on their way to the event loop
BACK = 64  # Kafka offsets before the end where a partition is begun
ASK_S = 2.0
ANSWER_S = 5.0
AGAIN_S = 0.5
SILENCE_S = 5.0
PLACE_EVERY = 64
_BROKEN = telemetry.gauge("bus_broken", "1: stopped at a gap", ("topic", "part"))


@dataclass
class _Part:
    """A partition that is followed."""

    topic: Topic
    number: int
    low: int
    start: int
    place: int  # in Kafka: up to here everything is seen
    order: Order = field(default_factory=Order)
    is_broken: bool = False


@dataclass
class _Look:
    """Somebody wants to know how far a topic goes: not before all that is there now is seen."""

    topic: str
    done: asyncio.Future[None]
    targets: dict[int, int] | None = None


class Live:
    """`start` in the event loop that is to get the records; `look` waits for a topic's end."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Mapping[str, Topic],
        places: Places,
        deliver: Callable[[list[Record]], None],
        abandoned: Abandoned | None = None,
    ) -> None:
        self._settings, self._topics, self._places = settings, topics, places
        self._deliver, self._abandoned = deliver, abandoned or Abandoned()
        self._ends = Ends(settings)
        self._orders: deque[_Look] = deque()
        self._looks: list[_Look] = []
        self._parts: dict[tuple[str, int], _Part] = {}  # by Kafka's name
        self._room = threading.Semaphore(FLYING)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: dict[str, asyncio.Future[None]] = {}
        self.broken: set[Head] = set()

    # ---- in the event loop

    def follow(self, topic: str) -> asyncio.Future[None]:
        """Follows a topic from now on; done when its end is known."""
        asked = self._asked.get(topic)
        if asked is None or (asked.done() and (asked.cancelled() or asked.exception())):
            asked = self._asked[topic] = self._ask(topic)
        return asked

    def _ask(self, topic: str) -> asyncio.Future[None]:
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, name="kafka-live", daemon=True)
            self._thread.start()
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda f: f.cancelled() or f.exception())  # nobody need look
        self._orders.append(_Look(topic, future))
        return future

    async def look(self, topic: str) -> None:
        """Until everything that is on the topic now is known here. Raises Unavailable."""
        self.follow(topic)
        asked = self._ask(topic)
        try:
            await self.wait(asked)
        finally:
            asked.cancel()

    async def wait(self, asked: asyncio.Future[None]) -> None:
        """Raises Unavailable when it takes too long."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await asyncio.shield(asked)
        except TimeoutError:
            raise Unavailable("Kafka does not answer") from None

    async def close(self) -> None:
        """Ends the thread."""
        self._stopping.set()
        thread = self._thread
        if thread is not None:
            while thread.is_alive():  # noqa: ASYNC110 (its last batch may need this loop)
                await asyncio.sleep(0.005)
        self._ends.close()
        for look in (*self._orders, *self._looks):
            look.done.cancel()

    def _take(self, batch: list[Record], broken: set[Head], done: list[_Look]) -> None:
        self._room.release()
        self.broken = broken
        if batch:
            self._deliver(batch)
        for look in done:
            if not look.done.done():
                look.done.set_result(None)

    # ---- in the thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            consumer = ck.Consumer(
                {
                    **reader_options(self._settings, "live"),
                    "queued.max.messages.kbytes": 16_384,
                    "error_cb": _told,
                }
            )
            try:
                self._resume(consumer)
                while not self._stopping.is_set():
                    self._round(consumer)
            except Exception:
                telemetry.log.exception("bus.live_failed")
                self._stopping.wait(AGAIN_S)
            finally:
                with suppress(Exception):
                    consumer.close()

    def _resume(self, consumer: Any) -> None:
        if self._parts:
            consumer.assign(
                [
                    # A negative place means something else to the library.
                    ck.TopicPartition(n, p, part.place if part.place >= 0 else part.low)
                    for (n, p), part in self._parts.items()
                ]
            )

    def _round(self, consumer: Any) -> None:
        while self._orders:
            self._looks.append(self._orders.popleft())
        for look in self._looks:
            if look.targets is None and not look.done.done():
                look.targets = self._targets(consumer, look)
                if look.targets is None:
                    break  # Kafka is away: what is there goes on meanwhile
        batch: list[Record] = []
        # `consume` waits for a full batch or the end of its time, so it is not asked for the first.
        first = consumer.poll(POLL_S)
        more = () if first is None else (first, *consumer.consume(BATCH - 1, GATHER_S))
        for message in more:
            self._see(consumer, message, batch)
        done = [x for x in self._looks if x.targets is not None and self._is_seen(x)]
        self._looks = [x for x in self._looks if x not in done and not x.done.done()]
        if batch or done:
            self._post(batch, done)

    def _post(self, batch: list[Record], done: list[_Look]) -> None:
        while not self._room.acquire(timeout=0.1):
            if self._stopping.is_set():
                return
        broken = {(p.topic.key, p.number) for p in self._parts.values() if p.is_broken}
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._take, batch, broken, done)

    def _targets(self, consumer: Any, look: _Look) -> dict[int, int] | None:
        """How far each partition goes now; begins those that are new. None: not known yet."""
        spec = self._topics[look.topic]
        name = spec.name(self._settings.env)
        targets: dict[int, int] = {}
        new: list[_Part] = []
        try:
            ends = self._ends.both(name, range(spec.partitions), ASK_S)
            for number, (low, high) in ends.items():
                targets[number] = high
                if (name, number) not in self._parts:
                    start = max(low, high - BACK)
                    new.append(_Part(spec, number, low, start, start))
        except ck.KafkaException as error:
            telemetry.log.warning("bus.kafka_away", topic=look.topic, error=str(error))
            self._stopping.wait(POLL_S)
            return None
        if new:
            for part in new:
                self._parts[name, part.number] = part
            consumer.incremental_assign([ck.TopicPartition(name, p.number, p.start) for p in new])
        return targets

    def _is_seen(self, look: _Look) -> bool:
        name = self._topics[look.topic].name(self._settings.env)
        assert look.targets is not None
        return all(self._parts[name, n].place >= end for n, end in look.targets.items())

    def _see(self, consumer: Any, message: Any, batch: list[Record]) -> None:
        error = message.error()
        if error is not None:
            if error.code() == ck.KafkaError._PARTITION_EOF:
                self._ended(consumer, message)
            else:
                _told(error)
            return
        part = self._parts[message.topic(), message.partition()]
        try:
            record, lost = record_of(message, part.topic.key)
        except ValueError as wrong:
            telemetry.log.error("bus.foreign_record", topic=part.topic.key, error=str(wrong))
            return
        part.place = message.offset() + 1
        match part.order.look(record.offset, lost):
            case Order.TAKE:
                batch.append(self._abandoned.of(record))
                if record.offset % PLACE_EVERY == 0:
                    self._places.note(part.topic.key, part.number, record.offset, message.offset())
                if part.is_broken:
                    self._mend(part)
            case Order.REPEAT:
                REPEATS.labels(part.topic.key).inc()
            case _:
                self._break(part, record)

    def _ended(self, consumer: Any, message: Any) -> None:
        part = self._parts[message.topic(), message.partition()]
        if part.order.next is None and part.start > part.low:
            # Nothing but markers so near the end: begun earlier.
            part.start = max(part.low, part.start - 8 * max(part.place - part.start, BACK))
            consumer.seek(ck.TopicPartition(message.topic(), part.number, part.start))
            return
        part.place = max(part.place, message.offset())

    def _break(self, part: _Part, record: Record) -> None:
        if part.is_broken:
            return
        part.is_broken = True
        GAPS.labels(part.topic.key).inc()
        _BROKEN.labels(part.topic.key, str(part.number)).set(1)
        telemetry.log.error(
            "bus.gap", topic=part.topic.key, part=part.number, offset=part.order.next,
            found=record.offset,
        )  # fmt: skip

    def _mend(self, part: _Part) -> None:
        part.is_broken = False
        _BROKEN.labels(part.topic.key, str(part.number)).set(0)
        telemetry.log.warning("bus.gap_closed", topic=part.topic.key, part=part.number)


class _Told:
    """What the library says of brokers that do not answer, now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, error: Any) -> None:
        now = time.monotonic()
        if now - self._last > SILENCE_S:
            self._last = now
            telemetry.log.warning("bus.kafka_says", error=str(error))


_told = _Told()
