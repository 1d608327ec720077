"""One process beside the outbox: a relay, or a reader of what it relayed. `outbox` starts it.

It is told its order on its standard input (a line of JSON) and says on its standard output, a line
of JSON each, how far it is; when its input ends, so does it. Every moment is the machine's one
monotonic clock, so those of several processes can be compared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvloop

from benchmarks.outbox_order import KEYS, Order, topics
from orion.platform import telemetry
from orion.platform.bus.kafka import KafkaBus
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.consume import Consumer
from orion.platform.project_run import projector
from orion.platform.projector import LIMITS
from orion.platform.relay import Relay, RelayLimits
from orion.platform.relay_marks import Head, Mark, RelayMarks
from orion.platform.store.port import Sql
from orion.platform.store.postgres import PostgresStore
from orion.services.relay.config import Config
from orion.services.rfq.blotter import RfqBlotter

TELL_S = 0.1
PLAIN = "bench.plain"
Moments = list[tuple[str, int, int, int]]  # topic, partition, everything before it, when (ns)


@dataclass
class Work:
    """What runs, how far it is, and how it ends."""

    run: Callable[[], Any]
    count: Callable[[], int]
    is_ready: Callable[[], bool]
    moments: Moments
    close: Sequence[Any] = field(default_factory=list)


class Watched(Relay):
    """The relay, with the moment of each acknowledgement."""

    moments: Moments

    def _published(self, head: Head, records: Sequence[Record], mark: Mark) -> None:
        self.moments.append((*head, mark.offset, time.monotonic_ns()))
        super()._published(head, records, mark)


def relay(order: Order) -> Work:
    """As the service builds it."""
    ring, usual = Ring(), Config()
    store = PostgresStore(order.writer, ring)
    log = PostgresBus(order.writer, ring=ring, topics=topics(order.partitions))
    marks = RelayMarks(order.writer)
    made = Watched(
        log=log, marks=marks, leases=store, settings=KafkaSettings(order.bootstrap, order.env),
        clock=SystemClock(), address=order.name, topics=topics(order.partitions),
        limits=RelayLimits(batch=usual.batch, threads=usual.threads),
    )  # fmt: skip
    made.moments = []
    return Work(
        made.run,
        lambda: sum(made.positions.values()),
        made.tenure.settled.is_set,
        made.moments,
        [marks, log, store],
    )


def reader(order: Order) -> Work:
    """A consumer on Kafka whose position lies in PostgreSQL, in the transaction of its effect."""
    store = PostgresStore(order.writer, Ring())
    specs = topics(order.partitions)
    bus = KafkaBus(KafkaSettings(order.bootstrap, order.env), topics=specs)
    moments: Moments = []

    async def hear(records: Sequence[Record], _sql: Sql) -> None:
        now = time.monotonic_ns()
        moments.extend((r.topic, r.part, r.offset + 1, now) for r in records)

    made = (
        projector(RfqBlotter(), bus=bus, store=store, limits=LIMITS, specs=specs)
        if order.what == "blotter"
        else Consumer(PLAIN, "rfq", KEYS, hear, bus, store, specs=specs)
    )
    return Work(
        made.run,
        lambda: sum(made.positions.values()),
        lambda: bool(made.positions),
        moments,
        [bus, store],
    )


def say(told: Mapping[str, Any]) -> None:
    """One line to whoever asked."""
    print(json.dumps(told), flush=True)


async def report(work: Work) -> None:
    """Says how far it is, as long as that changes."""
    while not work.is_ready():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    say({"ready": True})
    last = -1
    while True:
        count = work.count()
        if count != last:
            last = count
            say({"count": count, "at": time.monotonic_ns(), "cpu": time.process_time()})
        await asyncio.sleep(TELL_S)


async def main() -> None:
    """Works until its input ends; then says the moments."""
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(asked), sys.stdin
    )
    order = Order(**json.loads(await asked.readline()))
    telemetry.configure(order.name, "error")
    work = relay(order) if order.what == "relay" else reader(order)
    running = asyncio.create_task(work.run())
    telling = asyncio.create_task(report(work))
    ended = asyncio.create_task(asked.readline())
    await asyncio.wait([running, telling, ended], return_when=asyncio.FIRST_COMPLETED)
    wrong = next((t.exception() for t in (running, telling) if t.done()), None)
    for task in (running, telling, ended):
        task.cancel()
    await asyncio.gather(running, telling, ended, return_exceptions=True)
    say({"moments": work.moments, "cpu": time.process_time(), "wrong": repr(wrong or "")})
    for one in work.close:
        with suppress(Exception):
            await one.close()


if __name__ == "__main__":
    uvloop.run(main())
