"""Reading what lies further back than the ring: a few readers, each on one partition at a time.

A log position is found in Kafka by what was seen before, else by halving. A reader that goes on
where it stopped asks for nothing. All of it blocks: it runs in threads of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

import confluent_kafka  # pyright: ignore[reportMissingImports]

from orion.platform import telemetry
from orion.platform.bus.abandoned import Abandoned
from orion.platform.bus.kafka_ends import ANSWER_S, Ends
from orion.platform.bus.kafka_record import Order, record_of
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.errors import Unavailable

ck: Any = confluent_kafka
T = TypeVar("T")
Head = tuple[str, int]

READERS = 4
POLL_S = 0.1
NEAR = 512  # Kafka offsets that are rather read than halved
PLACES = 4_096
GAPS = telemetry.counter("bus_gaps_total", "Records of the log missing on Kafka", ("topic",))
REPEATS = telemetry.counter("bus_repeats_total", "Records that came again", ("topic",))


def reader_options(settings: KafkaSettings, name: str) -> dict[str, Any]:
    """Of every consumer of ours: committed records only, positions kept by us."""
    return {
        **settings.client(name),
        "group.id": f"orion-{settings.env}",  # the library asks for one; nothing joins it
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.error.backoff.ms": 50,
        "fetch.wait.max.ms": 100,
        "fetch.queue.backoff.ms": 10,  # the library's own second is for who is never in a hurry
    }


class Places:
    """Where log positions lie in Kafka, as far as somebody has seen: hints."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exact: OrderedDict[tuple[str, int, int], int] = OrderedDict()

    def note(self, topic: str, part: int, offset: int, place: int) -> None:
        """The record at `offset` lies at `place` or after it."""
        with self._lock:
            self._exact[topic, part, offset] = place
            if len(self._exact) > PLACES:
                self._exact.popitem(last=False)

    def forget(self, topic: str, part: int, offset: int) -> None:
        """It is not there."""
        with self._lock:
            self._exact.pop((topic, part, offset), None)

    def find(self, topic: str, part: int, offset: int) -> int | None:
        """Where it begins, if that is known."""
        with self._lock:
            return self._exact.get((topic, part, offset))


class Past:
    """Reads by log position. Raises Unavailable."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Mapping[str, Topic],
        places: Places | None = None,
        readers: int = READERS,
        abandoned: Abandoned | None = None,
    ) -> None:
        self._settings, self._topics = settings, topics
        self.places = places or Places()
        self.abandoned = abandoned or Abandoned()
        self._ends = Ends(settings)
        self._idle: list[_Reader] = []
        self._free = asyncio.Semaphore(readers)
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="kafka-past")
        self._closed = False

    async def read(self, topic: str, part: int, offset: int, limit: int, end: int) -> list[Record]:
        """In log order, without a gap, not beyond `end`, which is known to exist."""
        found = await self._with(
            lambda r: r.read(topic, part, offset, limit, end), (topic, part, offset)
        )
        return list(self.abandoned.of_all(found))

    async def offset_at(self, topic: str, part: int, at: int) -> int | None:
        """The first kept record that is not older; None when there is none."""
        return await self._with(lambda r: r.offset_at(topic, part, at))

    async def last(self, topic: str, part: int) -> tuple[Record | None, bool]:
        """The record with the highest log position, and whether the partition ever had one."""
        last, ever = await self._with(lambda r: r.last(topic, part))
        return last and self.abandoned.of(last), ever

    async def _with(
        self, work: Callable[[_Reader], T], place: tuple[str, int, int] | None = None
    ) -> T:
        async with self._free:
            reader = next((r for r in self._idle if r.place == place), None)
            if reader is None and self._idle:
                reader = self._idle[0]
            if reader is not None:
                self._idle.remove(reader)
            else:
                reader = _Reader(self._settings, self._topics, self.places, self._ends)
            loop = asyncio.get_running_loop()
            # One that failed, or that nobody waits for any more, is not used again.
            found = await loop.run_in_executor(self._threads, _named, work, reader)
            self._idle.append(reader)
            return found

    async def close(self) -> None:
        """Ends the readers."""
        for reader in self._idle:
            with suppress(Exception):
                await asyncio.get_running_loop().run_in_executor(self._threads, reader.close)
        self._idle.clear()
        self._ends.close()
        self._threads.shutdown(wait=False)


def _named(work: Callable[[_Reader], T], reader: _Reader) -> T:
    try:
        return work(reader)
    except BaseException as error:
        reader.close()
        if isinstance(error, ck.KafkaException):
            raise Unavailable(f"Kafka does not answer: {error}") from error
        raise


class _Reader:
    """One consumer, used by one thread at a time."""

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Mapping[str, Topic],
        places: Places,
        ends: Ends,
    ) -> None:
        self._settings, self._topics, self._places, self._asks = settings, topics, places, ends
        self._consumer = ck.Consumer(
            {
                **reader_options(settings, "past"),
                # What was asked for the partition before must not hold up the next one.
                "fetch.wait.max.ms": 5,
                "queued.min.messages": 1_000,
                "queued.max.messages.kbytes": 4_096,
                "max.partition.fetch.bytes": 512 * 1024,
            }
        )
        self.place: tuple[str, int, int] | None = None  # what comes next, without asking
        self._ended = False
        self._from_start = False  # the next message is the oldest that is kept
        self._behind = 0  # Kafka's place after the last record that was taken

    def read(self, topic: str, part: int, offset: int, limit: int, end: int) -> list[Record]:
        spec = self._topics[topic]
        order, self._ended = Order(offset), False
        self._from_start = False
        if self.place != (topic, part, offset):
            self._go(spec, part, self._find(spec, part, offset))
        found: list[Record] = []
        deadline = time.monotonic() + ANSWER_S
        while len(found) < limit and (order.next or 0) < end:
            for message in self._consumer.consume(limit - len(found), POLL_S):
                self._take(message, spec, order, found)
            if self._ended and (order.next or 0) < end and found:
                break
            if self._ended and not found:
                raise self._missing(spec, part, offset)
            if time.monotonic() > deadline:
                if not found:
                    raise Unavailable("Kafka does not answer")
                break
        self.place = (topic, part, order.next or 0)
        if found:
            self._places.note(*self.place, self._behind)
        return found

    def _take(self, message: Any, spec: Topic, order: Order, found: list[Record]) -> None:
        if self._is_end(message):
            return
        record, lost = record_of(message, spec.key)
        offset = order.next
        is_new = offset == 0 or spec.hourly
        if self._from_start and is_new and offset is not None and record.offset > offset:
            order.next = record.offset  # a new reader begins at what is kept
        self._from_start = False
        if order.look(record.offset, lost) == order.TAKE:
            found.append(record)
            self._behind = message.offset() + 1

    def _missing(self, spec: Topic, part: int, offset: int) -> Unavailable:
        self._places.forget(spec.key, part, offset)
        GAPS.labels(spec.key).inc()
        telemetry.log.error("bus.gap", topic=spec.key, part=part, offset=offset)
        return Unavailable(f"{spec.key}/{part}: Kafka does not have the record at {offset}")

    def offset_at(self, topic: str, part: int, at: int) -> int | None:
        spec = self._topics[topic]
        name = spec.name(self._settings.env)
        place = self._asks.at(name, part, max(at // 1000, 0))
        if place is None:
            return None
        self._go(spec, part, place)
        while (message := self._next()) is not None:
            record, _ = record_of(message, topic)
            if record.at >= at:
                self._places.note(topic, part, record.offset, message.offset())
                return record.offset
        return None

    def last(self, topic: str, part: int) -> tuple[Record | None, bool]:
        spec = self._topics[topic]
        low, high = self._ends(spec, part)
        back = 16
        while high > low:
            start = max(low, high - back)
            self._go(spec, part, start)
            best: Record | None = None
            while (message := self._next()) is not None:
                record, _ = record_of(message, topic)
                if best is None or record.offset > best.offset:
                    best = record
            if best is not None or start == low:
                return best, True
            back *= 8
        return None, high > 0

    # ---- where things are

    def _find(self, spec: Topic, part: int, offset: int) -> int:
        """A place in Kafka at or before the record, near it."""
        seen = self._places.find(spec.key, part, offset)
        if seen is not None:
            return seen
        low, high = self._ends(spec, part)
        start = low
        while high - low > NEAR:
            middle = (low + high) // 2
            self._go(spec, part, middle)
            message = self._next()
            found = record_of(message, spec.key)[0].offset if message is not None else None
            if found == offset and message is not None:
                return message.offset()
            if found is not None and message is not None and found < offset:
                low = message.offset() + 1
            else:
                high = middle
        self._from_start = low == start
        return low

    def _ends(self, spec: Topic, part: int) -> tuple[int, int]:
        return self._asks.both(spec.name(self._settings.env), (part,))[part]

    def _go(self, spec: Topic, part: int, place: int) -> None:
        self.place, self._ended = None, False
        self._consumer.assign([ck.TopicPartition(spec.name(self._settings.env), part, place)])

    def _next(self) -> Any:
        """The next message, or None at the end."""
        deadline = time.monotonic() + ANSWER_S
        while time.monotonic() < deadline:
            for message in self._consumer.consume(1, POLL_S):
                return None if self._is_end(message) else message
        raise Unavailable("Kafka does not answer")

    def _is_end(self, message: Any) -> bool:
        error = message.error()
        if error is None:
            self._ended = False
            return False
        if error.code() == ck.KafkaError._PARTITION_EOF:
            self._ended = True
            return True
        raise ck.KafkaException(error)

    def close(self) -> None:
        with suppress(Exception):
            self._consumer.close()
