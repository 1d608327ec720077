"""What does the backbone alone cost? Commands through an owner, events through a publisher and a
projection, on a real PostgreSQL.

Open loop: commands come by a fixed schedule, latency counts from the intended instant. A run whose
own schedule lags more than 3 ms (p99) is void; one in which a command was refused or `verify` finds
something has failed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil
import uvloop
from hdrh.histogram import HdrHistogram

from benchmarks.harness import (
    MAX_LAG_MS,
    Benchmark,
    Option,
    Outcome,
    Sheet,
    histogram,
    main,
    milliseconds,
    percentile_sheet,
)
from orion.platform import telemetry
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.consume import Consumer
from orion.platform.errors import Coded
from orion.platform.project_run import projector
from orion.platform.publish import Publisher
from orion.platform.store.postgres import PostgresStore
from orion.platform.transact import Fact, Key, Owner
from orion.platform.verify import verify
from tests.platform.conftest import prepare
from tests.platform.toy import TOPICS, Add, Totals, ToyAggregate, entity
from tests.postgres import Server, TestDatabase


@dataclass
class Run:
    """What was measured so far. Histograms in microseconds."""

    times: dict[str, HdrHistogram] = field(default_factory=dict)
    bills: list[tuple[str, float, float]] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def note(self, what: str, cpu: Cpu, count: int) -> None:
        """The bill of a part: µs each in Python and in PostgreSQL."""
        mine, theirs = cpu.per(count)
        self.bills.append((what, mine, theirs))


class Cpu:
    """CPU seconds of this process and of the server's."""

    def __init__(self, server: Server) -> None:
        assert server.process
        self._server = psutil.Process(server.process.pid)
        self._gone = 0.0
        self.start = self._now()

    def _now(self) -> tuple[float, float]:
        times = os.times()
        total = 0.0
        for process in [self._server, *self._server.children()]:
            with suppress(psutil.Error):
                used = process.cpu_times()
                total += used.user + used.system
        return times.user + times.system, total

    def per(self, count: int) -> tuple[float, float]:
        """µs each, (Python, PostgreSQL)."""
        mine, theirs = (n - s for n, s in zip(self._now(), self.start, strict=True))
        return round(1e6 * mine / max(count, 1), 1), round(1e6 * theirs / max(count, 1), 1)


@dataclass
class Answers:
    """How an open loop went."""

    latency: HdrHistogram = field(default_factory=histogram)
    lag: HdrHistogram = field(default_factory=histogram)
    refused: Counter[str] = field(default_factory=Counter)
    done: int = 0


def _micros(seconds: float) -> int:
    return max(1, int(seconds * 1e6))


async def open_loop(rate: int, seconds: float, one: Callable[[int], Awaitable[None]]) -> Answers:
    """Starts `one(i)` by schedule and waits for all."""
    loop = asyncio.get_running_loop()
    begin, answers = loop.time() + 0.1, Answers()
    tasks: set[asyncio.Task[None]] = set()

    async def timed(i: int, due: float) -> None:
        try:
            await one(i)
        except Coded as error:
            answers.refused[error.code] += 1
        else:
            answers.done += 1
            answers.latency.record_value(_micros(loop.time() - due))

    total = int(rate * seconds)
    i = 0
    while i < total:
        now = loop.time()
        while i < total and (due := begin + i / rate) <= now:
            answers.lag.record_value(_micros(now - due))
            task = loop.create_task(timed(i, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            i += 1
        await asyncio.sleep(0.001)
    while tasks:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    return answers


async def ready(*parts: object) -> None:
    """Waits until all own what they need."""
    while any(p.ready() for p in parts):  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def commands(
    run: Run, server: Server, db: TestDatabase, rate: int, seconds: float, *, with_projection: bool
) -> None:
    """Commands at a rate; each with a key; aggregates of eight commands."""
    ring = Ring()
    store, bus = PostgresStore(db.writer, ring), PostgresBus(db.writer, ring=ring, topics=TOPICS)
    owner = Owner(ToyAggregate(), store, bus, SystemClock(), partitions=8, address="bench")
    tasks = [asyncio.create_task(owner.run())]
    consumer: Consumer | None = None
    if with_projection:
        consumer = projector(Totals(), bus=bus, store=store, specs=TOPICS)
        tasks.append(asyncio.create_task(consumer.run()))
    await ready(owner)
    batch = time.monotonic_ns()

    async def one(i: int) -> None:
        name = entity(f"{batch}-{i // 8}")
        await owner.submit("alpha", name, Add(name), Key("s", "add", f"{batch}-{i}", b"0" * 16))

    await open_loop(rate, 1, one)
    batch += 1
    cpu = Cpu(server)
    answers = await open_loop(rate, seconds, one)
    what = f"{rate} commands/s" + (" with a projection" if with_projection else "")
    run.note(what, cpu, answers.done)
    run.times[what], run.times[f"schedule lag, {what}"] = answers.latency, answers.lag
    lag, p99 = milliseconds(answers.lag)["p99"], milliseconds(answers.latency)["p99"]
    run.numbers["commands_p99_ms"] = max(run.numbers.get("commands_p99_ms", 0.0), p99)
    if lag > MAX_LAG_MS:
        run.void.append(f"{what}: own schedule lag p99 {lag} ms, limit {MAX_LAG_MS:g} ms")
    if answers.refused:
        run.failed.append(f"{what}: refused {dict(answers.refused)}")
    await stop(tasks, bus, store)


async def ticks(run: Run, server: Server, db: TestDatabase, rate: int, seconds: float) -> None:
    """Ticks at a rate, offered without waiting."""
    ring = Ring()
    store, bus = PostgresStore(db.writer, ring), PostgresBus(db.writer, ring=ring, topics=TOPICS)
    publisher = Publisher(
        store, SystemClock(), "toy.ticks", log=bus, address="bench", spec=TOPICS["toy.ticks"]
    )
    tasks = [asyncio.create_task(publisher.run())]
    await ready(publisher)
    names = [f"PAIR{i:02}" for i in range(32)]
    body = b'{"eventId":"' + b"x" * 400 + b'"}'
    loop = asyncio.get_running_loop()
    cpu, begin, sent, total = Cpu(server), loop.time(), 0, int(rate * seconds)
    while sent < total:
        while sent < min(total, int((loop.time() - begin) * rate)):
            name = names[sent % 32]
            seq = publisher.sequence("shared", name)
            assert publisher.offer(
                "shared", name, Fact("toy.ticks", name, seq, "Ticked", f"{name}:{seq}", body)
            )
            sent += 1
        await asyncio.sleep(0.002)
    await publisher.flush()
    run.note(f"{rate} ticks/s", cpu, sent)
    run.numbers["ticks_per_second"] = round(sent / (loop.time() - begin), 1)
    await stop(tasks, bus, store)


async def stop(tasks: list[asyncio.Task[None]], bus: PostgresBus, store: PostgresStore) -> None:
    """Ends what runs."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.close()
    await store.close()


async def measure(options: argparse.Namespace) -> Outcome:
    """All of it."""
    telemetry.configure("bench", "error")
    run, server = Run(), Server()
    rate, seconds = options.rate, options.seconds
    server.initialise()
    server.start()
    try:
        async with server.database("0001", "0008") as db:
            await prepare(db)
            await commands(run, server, db, rate, seconds, with_projection=False)
            await commands(run, server, db, rate, seconds, with_projection=True)
            await ticks(run, server, db, options.ticks, seconds)
            checked = await verify(db.owner, services=["toy"], specs=TOPICS)
    finally:
        server.stop()
    run.failed += [f"verify: {violation}" for violation in checked.violations]
    run.numbers["records_verified"] = float(checked.checks[0].counted)
    sheets = [
        percentile_sheet("From the intended moment", run.times),
        Sheet("CPU, µs each", ("what", "Python", "PostgreSQL"), run.bills),
        Sheet("Numbers", ("what", "value"), list(run.numbers.items())),
    ]
    return Outcome(run.numbers, sheets, run.void, run.failed, {"cpu_us": run.bills}, run.times)


BENCHMARK = Benchmark(
    "backbone",
    "the owner alone: commands, a projection and ticks on a real PostgreSQL",
    __doc__ or "",
    (
        Option("rate", 2_000, "commands a second", 1, 20_000),
        Option("ticks", 5_000, "ticks a second", 1, 50_000),
        Option("seconds", 10.0, "how long each part is measured", 1, 600),
    ),
    ("commands_p99_ms", "ticks_per_second"),
    lambda options: uvloop.run(measure(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
