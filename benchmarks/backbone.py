"""What does the backbone alone cost? Commands through an owner, events through a publisher and a
projection, on a real PostgreSQL.

Run: .venv/bin/python -m benchmarks.backbone [--rate 2000] [--seconds 10] Open loop: commands come
by a fixed schedule, latency counts from the intended instant. Prints µs of CPU per command.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil
import uvloop

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


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie, in ms."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] * 1000


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

    def per(self, count: int) -> str:
        """µs each, Python + PostgreSQL."""
        now = self._now()
        mine, theirs = (1e6 * (n - s) / max(count, 1) for n, s in zip(now, self.start, strict=True))
        return f"{mine:.0f} + {theirs:.0f} µs (Python + PostgreSQL) each"


async def open_loop(
    rate: int, seconds: float, one: Callable[[int], Awaitable[None]]
) -> tuple[list[float], float]:
    """Starts `one(i)` by schedule; (latencies in seconds, p99 of the schedule's own lag in ms)."""
    loop = asyncio.get_running_loop()
    begin = loop.time() + 0.1
    latencies: list[float] = []
    lags: list[float] = []
    refused: Counter[str] = Counter()
    tasks: set[asyncio.Task[None]] = set()

    async def timed(i: int, due: float) -> None:
        try:
            await one(i)
        except Coded as error:
            refused[error.code] += 1
        else:
            latencies.append(loop.time() - due)

    total = int(rate * seconds)
    i = 0
    while i < total:
        now = loop.time()
        while i < total and (due := begin + i / rate) <= now:
            lags.append(now - due)
            task = loop.create_task(timed(i, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            i += 1
        await asyncio.sleep(0.001)
    while tasks:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    if refused:
        print(f"FAILED: refused {dict(refused)}")
    return latencies, percentile(lags, 0.99)


async def ready(*parts: object) -> None:
    """Waits until all own what they need."""
    while any(p.ready() for p in parts):  # type: ignore[attr-defined]  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def commands(
    server: Server, db: TestDatabase, rate: int, seconds: float, *, with_projection: bool
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
    run = time.monotonic_ns()

    async def one(i: int) -> None:
        name = entity(f"{run}-{i // 8}")
        await owner.submit("alpha", name, Add(name), Key("s", "add", f"{run}-{i}", b"0" * 16))

    await open_loop(rate, 1, one)
    run += 1
    cpu = Cpu(server)
    latencies, lag = await open_loop(rate, seconds, one)
    note = " VOID: the generator was late" if lag > 3 else ""
    what = "with projection" if with_projection else "alone"
    print(
        f"commands {what:16} {rate:6}/s: p50 {percentile(latencies, 0.5):.1f}"
        f" p99 {percentile(latencies, 0.99):.1f}"
        f" max {max(latencies) * 1000:.1f} ms, {cpu.per(len(latencies))},"
        f" schedule lag p99 {lag:.1f} ms{note}"
    )
    await stop(tasks, bus, store)


async def ticks(server: Server, db: TestDatabase, rate: int, seconds: float) -> None:
    """Ticks at a rate, offered without waiting."""
    ring = Ring()
    store, bus = PostgresStore(db.writer, ring), PostgresBus(db.writer, ring=ring, topics=TOPICS)
    publisher = Publisher(
        store, SystemClock(), "toy.ticks", bus=bus, address="bench", spec=TOPICS["toy.ticks"]
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
    print(f"ticks {rate:6}/s: {sent} published in {loop.time() - begin:.1f} s, {cpu.per(sent)}")
    await stop(tasks, bus, store)


async def stop(tasks: list[asyncio.Task[None]], bus: PostgresBus, store: PostgresStore) -> None:
    """Ends what runs."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await bus.close()
    await store.close()


async def main() -> None:
    """All of it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=int, default=0)
    arguments.add_argument("--seconds", type=float, default=10)
    options = arguments.parse_args()
    telemetry.configure("bench", "error")
    print(
        f"{platform.platform()}, {os.cpu_count()} cores,"
        f" load {os.getloadavg()[0]:.1f} before the start"
    )
    server = Server()
    server.initialise()
    server.start()
    try:
        async with server.database("0001") as db:
            await prepare(db)
            for rate in [options.rate] if options.rate else [500, 2_000, 5_000]:
                await commands(server, db, rate, options.seconds, with_projection=False)
            await commands(server, db, options.rate or 2_000, options.seconds, with_projection=True)
            await ticks(server, db, 5_000, options.seconds)
            report = await verify(db.owner, services=["toy"], specs=TOPICS)
            print(
                f"verified: {report.checks[0].counted} records, {len(report.violations)} violations"
            )
    finally:
        server.stop()


if __name__ == "__main__":
    uvloop.run(main())
