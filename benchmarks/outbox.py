"""What lies between the log in PostgreSQL and those who hear Kafka, and what does it cost?

The real relay, each copy a process of its own, on a real PostgreSQL and a real Kafka.

Latency: events written by a publisher at each of the `--rates`, open-loop; from the moment the
writer knows that the log has one, to the broker's acknowledgement (of the relay's transaction), and
until a consumer (which keeps its position in PostgreSQL, as all do) has it in its hands.

Burst: `--burst` events are in the log at once; how far relay and read model (the RFQ blotter, which
writes rows) lag behind over time, when each has drained, what an event costs each process.

Matrix (`--matrix 1`): the same burst over 1, 2, 4 and 8 partitions and 1 and 2 copies of the relay,
alone, then the reader alone on what Kafka holds: what each partition and process more buys.

A run is void when its own schedule lags more than 3 ms (p99); what was lost or doubled fails it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import json
import secrets
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import uvloop
from hdrh.histogram import HdrHistogram

from benchmarks.harness import (
    CHECKOUT,
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
from benchmarks.outbox_order import KEYS, Order, topics
from benchmarks.rebuild import RFQ, Head, copy_lives, templates
from orion.core.ids import derived
from orion.platform import telemetry
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.publish import Publisher
from orion.platform.store.postgres import PostgresStore
from orion.platform.transact_words import Fact
from tests.postgres import Server, TestDatabase

SIDE = (sys.executable, "-m", "benchmarks.outbox_side")
TOPIC = KEYS[0]
PARTITIONS, RELAYS = (1, 2, 4, 8), (1, 2)
READY_S, DRAIN_S, WARM = 60, 900, 50
LOOKS = 10  # rows of the table of lag


@dataclass
class Side:
    """A process beside us, and what it has said."""

    process: Process
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    counts: list[tuple[int, int]] = field(default_factory=list)  # (when, how far)
    moments: list[tuple[str, int, int, int]] = field(default_factory=list)
    cpu: float = 0.0
    wrong: str = ""

    @property
    def count(self) -> int:
        """How far it was when it last said so."""
        return self.counts[-1][1] if self.counts else 0

    async def hear(self) -> None:
        """Notes what it says, until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            said = json.loads(line)
            self.cpu = said.get("cpu", self.cpu)
            self.wrong = said.get("wrong", self.wrong)
            if "count" in said:
                self.counts.append((said["at"], said["count"]))
            if "moments" in said:
                self.moments = [tuple(m) for m in said["moments"]]
            if "ready" in said:
                self.ready.set()


@dataclass
class Ground:
    """A database, a broker, and an environment on it that nobody else uses."""

    server: Server
    kafka: Any
    db: TestDatabase
    partitions: int
    env: str = field(default_factory=lambda: f"b{secrets.token_hex(4)}")

    def begin(self) -> None:
        """Makes the topics."""
        settings = KafkaSettings(self.kafka.bootstrap, env=self.env)
        importlib.import_module("orion.app.topics").apply(settings, topics(self.partitions))

    @contextlib.asynccontextmanager
    async def side(self, what: str, number: int = 1) -> AsyncIterator[Side]:
        """A process that does this, ready; gone after the block, with all that it said."""
        order = Order(
            what, self.db.writer, self.kafka.bootstrap, self.env, self.partitions,
            f"{what}.{number}",
        )  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            *SIDE, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE, limit=2**28
        )
        side = Side(process)
        hearing = asyncio.create_task(side.hear())
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(vars(order)).encode() + b"\n")
            await process.stdin.drain()
            async with asyncio.timeout(READY_S):
                await side.ready.wait()
            yield side
        finally:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(20):
                    await asyncio.gather(hearing, process.wait())
            if process.returncode is None:
                process.kill()

    def servers(self) -> tuple[float, float]:
        """CPU seconds so far of PostgreSQL and of Kafka."""
        assert self.server.process is not None
        postgres, spent = psutil.Process(self.server.process.pid), 0.0
        for one in (postgres, *postgres.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                spent += sum(one.cpu_times()[:2])
        return spent, sum(psutil.Process(self.kafka.process.pid).cpu_times()[:2])


@dataclass
class Found:
    """What was measured so far."""

    numbers: dict[str, float] = field(default_factory=dict)
    sheets: list[Sheet] = field(default_factory=list)
    histograms: dict[str, HdrHistogram] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)

    def ended(self, side: Side, what: str) -> None:
        """A process that ended by itself did not do its work."""
        if side.wrong and side.wrong != "''":
            self.failed.append(f"{what}: {side.wrong}")


# ---- latency


@contextlib.asynccontextmanager
async def publisher(ground: Ground) -> AsyncIterator[Publisher]:
    """Who writes to the log, in this process."""
    ring, spec = Ring(), topics(ground.partitions)
    store = PostgresStore(ground.db.writer, ring)
    log = PostgresBus(ground.db.writer, ring=ring, topics=spec)
    made = Publisher(store, SystemClock(), TOPIC, log=log, address="bench", spec=spec[TOPIC])
    running = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(READY_S):
            while made.ready() is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await log.close()
        await store.close()


def written(count: int) -> list[Fact]:
    """Whole events, each of an RFQ of its own."""
    _, kind, _, body = templates()[0]
    made: list[Fact] = []
    for n in range(count):
        entity = derived(n % 65_536, "outbox", str(n))
        event = f"{entity}0"
        mine = body.replace(RFQ.encode(), entity.encode()).replace(b"@@event@@", event.encode())
        made.append(Fact(TOPIC, entity, 1, kind.__name__, event, mine))
    return made


async def latency(
    ground: Ground, rate: float, seconds: float, warm_up: float, found: Found
) -> None:
    """From the log's commit to Kafka's word and to a consumer."""
    committed: dict[tuple[int, int], int] = {}

    def note(records: Sequence[Record]) -> None:
        now = time.monotonic_ns()
        committed.update(((r.part, r.offset), now) for r in records)

    warm = max(WARM, round(rate * warm_up))
    facts = written(warm + round(rate * seconds))
    async with (
        ground.side("relay") as relay,
        ground.side("plain") as reader,
        publisher(ground) as writer,
    ):
        # Producers and consumers are made when there is something; a young broker compiles itself.
        await offered(writer, facts[:warm], rate)
        await drained(reader, warm)
        writer.on_commit(note)
        before, idle = ground.servers(), [relay.cpu, reader.cpu]
        lag = await offered(writer, facts[warm:], rate)
        await drained(reader, len(facts))
        after = ground.servers()
        spent = {
            "PostgreSQL": after[0] - before[0],
            "Kafka": after[1] - before[1],
            "relay": relay.cpu - idle[0],
            "reader": reader.cpu - idle[1],
        }
    found.ended(relay, "relay")
    found.ended(reader, "reader")
    steps = {
        "acknowledged": told(committed, relay),
        "in a consumer's hands": told(committed, reader),
    }
    for step, times in steps.items():
        if times.get_total_count() != len(committed):
            found.failed.append(f"{step}: {times.get_total_count()} of {len(committed)}")
        short = "ack" if step == "acknowledged" else "heard"
        found.numbers |= {
            f"{short}_{key}_ms_at_{rate:g}": milliseconds(times)[key]
            for key in ("p50", "p99", "max")
        }
        found.histograms[f"{step} at {rate:g}/s"] = times
    found.histograms[f"schedule lag at {rate:g}/s"] = lag
    since = min(committed.values())
    transactions = sum(1 for *_, at in relay.moments if at >= since)
    found.numbers[f"events_per_transaction_at_{rate:g}"] = round(len(committed) / transactions, 2)
    found.sheets.append(
        Sheet(
            f"CPU at {rate:g}/s: {len(committed)} events, {transactions} transactions of Kafka",
            ("process", "µs per event", "µs per transaction"),
            [
                (name, round(x / len(committed) * 1e6), round(x / transactions * 1e6))
                for name, x in spent.items()
            ],
        )
    )
    late = milliseconds(lag)["p99"]
    if late > MAX_LAG_MS:
        found.void.append(f"own schedule lag p99 {late} ms at {rate:g}/s, limit {MAX_LAG_MS:g} ms")


async def offered(writer: Publisher, facts: Sequence[Fact], rate: float) -> HdrHistogram:
    """All of them on schedule; how late that was. Returns when they are in the log."""
    lag, start = histogram(), time.perf_counter() + 0.1
    for n, one in enumerate(facts):
        due = start + n / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        lag.record_value(max(1, int((time.perf_counter() - due) * 1e6)))
        await writer.room()
        writer.offer("alpha", one.entity_id, one)
    await writer.flush()
    return lag


def told(committed: dict[tuple[int, int], int], side: Side) -> HdrHistogram:
    """How long after its commit each record was known there; each counts once."""
    times, begun = histogram(), dict[int, int]()
    for topic, part, end, at in side.moments:
        if topic != TOPIC:
            continue
        for offset in range(begun.get(part, 0), end):
            if (since := committed.get((part, offset))) is not None:
                times.record_value(max(1, (at - since) // 1_000))
        begun[part] = max(end, begun.get(part, 0))
    return times


async def drained(side: Side, count: int) -> float:
    """When (monotonic, ns) it had so many. Raises SystemExit when it ends, or takes too long."""
    deadline = time.monotonic() + DRAIN_S
    while side.count < count:
        if side.process.returncode is not None or time.monotonic() > deadline:
            raise SystemExit(f"a process did {side.count} of {count}: {side.wrong}")
        await asyncio.sleep(0.02)
    return side.counts[-1][0]


# ---- a burst


async def release(ground: Ground, ends: dict[Head, int], at: int) -> int:
    """The records that lie in the log are told: all at once. When."""
    sql = await asyncpg.connect(ground.db.admin)
    async with sql.transaction():
        for (topic, part), end in ends.items():
            await sql.execute(
                "insert into bus.head (topic, part, next, at) values ($1, $2, $3, $4)"
                " on conflict (topic, part) do update set next = excluded.next, at = excluded.at",
                topic, part, end, at,
            )  # fmt: skip
            await sql.execute("select pg_notify('orion_bus', $1)", f"{topic},{part},{end}")
    await sql.close()
    return time.monotonic_ns()


async def hide(ground: Ground) -> None:
    """As before the burst, and nothing relayed: for another environment of Kafka."""
    sql = await asyncpg.connect(ground.db.admin)
    await sql.execute("update bus.head set next = 0")
    await sql.execute("truncate bus.relayed")
    await sql.close()


async def all_drained(ground: Ground, sides: Sequence[Side], count: int, began: int) -> int:
    """How long (ns) copies that share the work took for all of it. Their marks say that it is all:
    a partition that changes hands would count twice for a moment.
    """
    deadline = time.monotonic() + DRAIN_S
    sql = await asyncpg.connect(ground.db.admin)
    while sum(side.count for side in sides) < count or await _marked(sql) < count:
        if any(s.process.returncode is not None for s in sides) or time.monotonic() > deadline:
            raise SystemExit(f"relays did {[s.count for s in sides]} of {count}")
        await asyncio.sleep(0.02)
    await sql.close()
    return max(s.counts[-1][0] for s in sides if s.counts) - began


async def _marked(sql: Any) -> int:
    return await sql.fetchval("select coalesce(sum(offs), 0)::bigint from bus.relayed")


@contextlib.asynccontextmanager
async def relays(ground: Ground, copies: int) -> AsyncIterator[list[Side]]:
    """So many relays that have shared the partitions."""
    async with contextlib.AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(ground.side("relay", n)) for n in range(copies)]
        if copies > 1:
            await shared(ground, copies)
        yield sides


async def shared(ground: Ground, copies: int) -> None:
    """Until each copy has its share."""
    sql = await asyncpg.connect(ground.db.admin)
    most = -(-ground.partitions // copies)
    async with asyncio.timeout(READY_S):
        while True:
            rows = await sql.fetch(
                "select owner, count(*) as n from bus.head where topic = 'relay'"
                " and lease_until >= clock_timestamp() group by owner"
            )
            if sum(r["n"] for r in rows) == ground.partitions and max(r["n"] for r in rows) == most:
                break
            await asyncio.sleep(0.05)
    await sql.close()


async def burst(ground: Ground, options: argparse.Namespace, found: Found) -> None:
    """Relay and read model at once, as on a platform: lag over time."""
    ends, at = await _filled(ground, options.burst)
    count = sum(ends.values())
    async with relays(ground, options.relays) as copies, ground.side("blotter") as reader:
        before = ground.servers()
        idle = [s.cpu for s in (*copies, reader)]
        began = await release(ground, ends, at)
        relayed = await all_drained(ground, copies, count, began)
        applied = await drained(reader, count) - began
        after = ground.servers()
        spent = {
            "PostgreSQL": after[0] - before[0],
            "Kafka": after[1] - before[1],
            "relay": sum(s.cpu - was for s, was in zip(copies, idle, strict=False)),
            "read model": reader.cpu - idle[-1],
        }
    for side in (*copies, reader):
        found.ended(side, "burst")
    await _whole(ground, count, found)
    seconds = {"relay": relayed / 1e9, "read model": applied / 1e9}
    found.numbers |= {
        f"drain_{name.replace(' ', '_')}_s": round(took, 2) for name, took in seconds.items()
    }
    found.numbers |= {
        f"{name.replace(' ', '_')}_events_per_second": round(count / took)
        for name, took in seconds.items()
    }
    found.sheets += [
        Sheet(
            f"Lag after {count:,} events at once: {ground.partitions} partitions, "
            f"{options.relays} of the relay",
            ("s after", "not yet on Kafka", "not yet in the read model"),
            [
                (
                    round(x, 1),
                    count - at_time(copies, began, x),
                    count - at_time([reader], began, x),
                )
                for x in (applied / 1e9 * n / LOOKS for n in range(LOOKS + 1))
            ],
        ),
        Sheet(
            "CPU of the burst",
            ("process", "µs per event", "cores"),
            [
                (name, round(s / count * 1e6, 1), round(s / seconds["read model"], 2))
                for name, s in spent.items()
            ],
        ),
    ]
    found.raw["burst_cpu_seconds"] = spent


def at_time(sides: Sequence[Side], began: int, seconds: float) -> int:
    """How far these were together so long after the burst."""
    moment = began + int(seconds * 1e9)
    return sum(max((n for when, n in s.counts if when <= moment), default=0) for s in sides)


async def _filled(ground: Ground, count: int) -> tuple[dict[Head, int], int]:
    sql = await asyncpg.connect(ground.db.admin)
    try:
        return await copy_lives(sql, count, ground.partitions)
    finally:
        await sql.close()


async def _whole(ground: Ground, count: int, found: Found) -> None:
    """The relay's marks and the read model say that nothing is left out."""
    sql = await asyncpg.connect(ground.db.admin)
    marks = await _marked(sql)
    rows = await sql.fetchval("select count(*) from rfq.rm_rfq_blotter")
    asked = await sql.fetchval("select count(distinct entity) from bus.log where topic = $1", TOPIC)
    await sql.close()
    if marks != count:
        found.failed.append(f"the relay's marks say {marks} of {count}")
    if rows != asked:
        found.failed.append(f"the read model has {rows} RFQs of {asked}")


# ---- the matrix


async def matrix(server: Server, kafka: Any, options: argparse.Namespace, found: Found) -> None:
    """The burst over so many partitions, by so many copies, each part alone."""
    rows: list[Sequence[object]] = []
    first: dict[str, float] = {}
    for partitions in PARTITIONS:
        async with server.database() as db:
            ground = Ground(server, kafka, db, partitions)
            ends, at = await _filled(ground, options.burst)
            for copies in RELAYS:
                ground = Ground(server, kafka, db, partitions)
                ground.begin()
                await hide(ground)
                took, paid = await _relay_alone(ground, copies, ends, at, found)
                rate = first.setdefault("relay", sum(ends.values()) / took)
                mine = sum(ends.values()) / took
                found.numbers[f"relay_{partitions}p_{copies}r_events_per_second"] = round(mine)
                rows.append((partitions, f"{copies} relay", round(took, 2), round(mine),
                             f"{mine / rate:.2f}", round(paid, 1)))  # fmt: skip
            took, paid = await _reader_alone(ground, sum(ends.values()), found)
            mine = sum(ends.values()) / took
            rate = first.setdefault("reader", mine)
            found.numbers[f"reader_{partitions}p_events_per_second"] = round(mine)
            rows.append((partitions, "1 read model", round(took, 2), round(mine),
                         f"{mine / rate:.2f}", round(paid, 1)))  # fmt: skip
    found.sheets.append(
        Sheet(
            f"What partitions and processes buy: {options.burst:,} events, each row alone",
            ("partitions", "who", "s", "events/s", "× first", "its µs per event"),
            rows,
        )
    )


async def _relay_alone(
    ground: Ground, copies: int, ends: dict[Head, int], at: int, found: Found
) -> tuple[float, float]:
    count = sum(ends.values())
    async with relays(ground, copies) as sides:
        idle = [s.cpu for s in sides]
        began = await release(ground, ends, at)
        took = await all_drained(ground, sides, count, began) / 1e9
        paid = sum(s.cpu - was for s, was in zip(sides, idle, strict=True)) / count * 1e6
    for side in sides:
        found.ended(side, "relay")
    return took, paid


async def _reader_alone(ground: Ground, count: int, found: Found) -> tuple[float, float]:
    began = time.monotonic_ns()
    async with ground.side("blotter") as reader:
        first = reader.counts[0] if reader.counts else (began, 0)
        took = (await drained(reader, count) - first[0]) / 1e9
        paid = reader.cpu / max(1, count - first[1]) * 1e6
    found.ended(reader, "reader")
    await _whole(ground, count, found)
    return took, paid


async def measure(options: argparse.Namespace) -> Outcome:
    """All of it."""
    if importlib.util.find_spec("confluent_kafka") is None:
        raise SystemExit("Kafka's client is not installed. Run `./orion setup --cluster` once.")
    telemetry.configure("bench", "error")
    servers: Any = importlib.import_module("orion.app.servers.kafka")
    free = importlib.import_module("orion.app.servers.process").free_ports
    port, controller = free(2)
    server, found = Server(), Found()
    server.initialise()
    server.start()
    with tempfile.TemporaryDirectory(prefix="orion-bench-", ignore_cleanup_errors=True) as folder:
        kafka = servers.KafkaServer(Path(folder), port=port, controller_port=controller)
        try:
            await kafka.start()
            await _measure(server, kafka, options, found)
        finally:
            await kafka.stop()
            server.stop()
    times = found.histograms
    sheets = [percentile_sheet("From the log's commit", times)] if times else []
    numbers = Sheet("Numbers", ("what", "value"), list(found.numbers.items()))
    return Outcome(
        found.numbers, [*sheets, *found.sheets, numbers], found.void, found.failed, found.raw, times
    )


async def _measure(server: Server, kafka: Any, options: argparse.Namespace, found: Found) -> None:
    for rate in options.rates.split():
        async with server.database() as db:
            ground = Ground(server, kafka, db, options.partitions)
            ground.begin()
            await latency(ground, float(rate), options.seconds, options.warm_up, found)
    if options.burst:
        async with server.database() as db:
            ground = Ground(server, kafka, db, options.partitions)
            ground.begin()
            await burst(ground, options, found)
    if options.burst and options.matrix:
        await matrix(server, kafka, options, found)


BENCHMARK = Benchmark(
    "outbox",
    "log to Kafka to a consumer: latency, a burst and its end, what partitions and relays buy",
    __doc__ or "",
    (
        Option("rates", "50 500", "events a second, each in turn; empty: no latency"),
        Option("seconds", 10.0, "how long each is measured", 1, 600),
        Option("warm_up", 10.0, "how long the same runs before", 0, 600),
        Option("burst", 100_000, "events at once; 0: none", 0, 5_000_000),
        Option("partitions", 8, "of each topic", 1, 64),
        Option("relays", 1, "copies of the relay", 1, 4),
        Option("matrix", 0, "1: also 1, 2, 4, 8 partitions by 1 and 2 relays", 0, 1),
    ),
    ("drain_relay_s", "drain_read_model_s", "relay_events_per_second"),
    lambda options: uvloop.run(measure(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
