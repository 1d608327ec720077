"""One partition's way to Kafka, in one of two ways. All of it blocks and runs in threads.

What must be there for good goes in transactions. Their id is the same for whoever relays the
partition, so the newest producer makes all older ones useless: one that was stopped and wakes up
late publishes nothing, not even one that belongs to another database.

Prices and whatever else is kept by the hour go without: a transaction for each tick costs the
broker more than the tick. One batch at a time is under way, so what a late producer still sends is
a repeat of what the newest one sends, and readers drop it by its offset.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import confluent_kafka  # pyright: ignore[reportMissingImports]

from orion.platform.bus.kafka_record import headers_of, key_of
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.errors import Unavailable

ck: Any = confluent_kafka
TRANSACTION_MS = 10_000  # a dead relay's open transaction hides what follows it no longer than this
COMMIT_S = 15.0
OPEN_S = 10.0


class FencedProducer(Exception):
    """Another relay publishes this partition now."""


def line_of(settings: KafkaSettings, topic: Topic, part: int) -> Line:
    """The way that the topic's records take."""
    return (HourlyLine if topic.hourly else Line)(settings, topic, part)


class Line:
    """Publishes one partition. Any failure ends it: make another and look where Kafka stands."""

    def __init__(self, settings: KafkaSettings, topic: Topic, part: int) -> None:
        self._topic, self._part = topic, part
        self._name = topic.name(settings.env)
        self._one_by_one = threading.Lock()  # whoever gives up on a call still waits for its end
        self._producer = ck.Producer(
            {
                **settings.client("relay"),
                "message.timeout.ms": TRANSACTION_MS,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 0,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 200,
                "error_cb": lambda _error: None,  # what matters comes out of the calls
                **self._options(settings),
            }
        )

    def _options(self, settings: KafkaSettings) -> dict[str, Any]:
        return {
            "transactional.id": f"{settings.env}.relay.{self._topic.key}.{self._part}",
            "transaction.timeout.ms": TRANSACTION_MS,
        }

    def open(self) -> None:
        """Takes the partition from all older producers and ends their transactions."""
        with self._one_by_one:
            self._call(lambda: self._producer.init_transactions(OPEN_S), OPEN_S)

    def publish(self, records: Sequence[Record], lost: int | None = None) -> None:
        """Returns when the broker has all of them, for good. Raises FencedProducer, Unavailable."""
        with self._one_by_one:
            self._publish(records, lost)

    def _publish(self, records: Sequence[Record], lost: int | None) -> None:
        self._call(self._producer.begin_transaction, 0)
        self._produce_all(records, lost)
        end = time.monotonic() + COMMIT_S
        self._call(
            lambda: self._producer.commit_transaction(max(end - time.monotonic(), 0.1)), COMMIT_S
        )

    def _produce_all(self, records: Sequence[Record], lost: int | None, told: Any = None) -> None:
        for record in records:
            self._produce(record, lost, told)
            lost = None

    def _produce(self, record: Record, lost: int | None, told: Any) -> None:
        while True:
            try:
                return self._producer.produce(
                    self._name,
                    value=record.body,
                    key=key_of(record, self._topic),
                    partition=self._part,
                    timestamp=record.at // 1_000,
                    headers=headers_of(record, lost),
                    on_delivery=told,
                )
            except BufferError:
                self._producer.poll(0.01)
            except ck.KafkaException as error:
                raise _named(error) from error

    def _call(self, work: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                return work()
            except ck.KafkaException as error:
                is_worth_it = error.args[0].retriable() and time.monotonic() < end
                if not is_worth_it:
                    raise _named(error) from error
                time.sleep(0.02)

    def close(self) -> None:
        """Lets go; what is on its way is aborted by whoever opens the partition next."""
        with self._one_by_one:
            for last in self._last():
                with suppress(Exception):
                    last()

    def _last(self) -> Sequence[Callable[[], Any]]:
        producer = self._producer
        return producer.purge, lambda: producer.abort_transaction(1.0), producer.close


class HourlyLine(Line):
    """Without transactions and without a fence."""

    def _options(self, settings: KafkaSettings) -> dict[str, Any]:
        # A message that is given up by itself would let those after it through, and leave a gap:
        # all of them are tried until `publish` gives up, and then none is sent any more.
        return {"message.timeout.ms": 0, "enable.gapless.guarantee": True}

    def open(self) -> None:
        """There is nobody to take it from."""

    def _publish(self, records: Sequence[Record], lost: int | None) -> None:
        errors: list[Any] = []

        def told(error: Any, _message: Any) -> None:
            if error is not None:
                errors.append(error)

        self._produce_all(records, lost, told)
        left = self._producer.flush(COMMIT_S)
        if errors:
            raise _named(ck.KafkaException(errors[0]))
        if left:
            raise Unavailable(f"Kafka has not answered for {left} records")

    def _last(self) -> Sequence[Callable[[], Any]]:
        return self._producer.purge, self._producer.close


def _named(error: Any) -> Exception:
    code = error.args[0].code()
    fenced = {
        ck.KafkaError._FENCED, ck.KafkaError.PRODUCER_FENCED, ck.KafkaError.INVALID_PRODUCER_EPOCH,
    }  # fmt: skip
    if code in fenced:
        return FencedProducer(str(error))
    return Unavailable(f"Kafka does not take records: {error}")
