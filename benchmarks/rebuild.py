"""How fast is a read model made anew, from the log, from Kafka and from the archive?

A log of RFQs' events is written at once (each a real event in its envelope, spread over the
partitions), relayed to Kafka and archived to files by the programs that do it in production. Then
the RFQ blotter is made from each in turn: swapped in from the log, compared with that from the
others. A run in which one differs has failed. Kafka and the archive need the packages of the
cluster profile; `--sources log` does without.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from benchmarks.harness import Benchmark, Option, Outcome, Sheet, main
from orion.core.ids import derived
from orion.core.rfq import events
from orion.platform import telemetry
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.bus.topics import Topic
from orion.platform.clock import SystemClock
from orion.platform.rebuild import Rebuilt, compare, rebuild
from orion.platform.store.postgres import PostgresStore
from orion.services.rfq.blotter import RfqBlotter
from orion.wire.envelope import encode
from tests.core.rfq_world import T0
from tests.postgres import Server, TestDatabase
from tests.wire.samples import sample

TOPICS = {name: Topic(name, 8, owner="rfq") for name in ("rfq.lifecycle", "rfq.quotes")}
LIFE = (
    ("rfq.lifecycle", events.RFQCreated), ("rfq.lifecycle", events.RFQSent),
    ("rfq.quotes", events.QuoteReceived), ("rfq.lifecycle", events.RFQQuoting),
    ("rfq.quotes", events.QuoteReceived), ("rfq.quotes", events.QuoteReceived),
    ("rfq.lifecycle", events.QuoteAccepted), ("rfq.lifecycle", events.RFQTraded),
)  # fmt: skip
CHUNK = 1_000  # lives in one COPY
RFQ, QUOTE = derived(7, "RfqId"), derived(7, "QuoteId")
COLUMNS = ("topic", "part", "offs", "period", "at", "tenant", "entity", "seq", "type",
           "event_id", "body")  # fmt: skip
Head = tuple[str, int]
Row = tuple[str, int, int, Any, int, str, str, int, str, str, bytes]


def templates() -> list[tuple[str, type, int, bytes]]:
    """Each event of a life as bytes, with the ids of the samples in it."""
    made, counts = [], {"rfq.lifecycle": 0}
    for topic, kind in LIFE:
        is_quote = topic == "rfq.quotes"
        seq = 1 if is_quote else counts[topic] + 1
        counts["rfq.lifecycle"] += not is_quote
        body = encode(
            sample(kind, full=True), tenant="alpha", entity_id=QUOTE if is_quote else RFQ,
            sequence=seq, at=1_770_000_000_000_000, producer="rfq", correlation_id=RFQ,
            causation_id="", event_id_="@@event@@",
        )  # fmt: skip
        # A sample's whole numbers are all the same, too great for some columns.
        made.append((topic, kind, seq, body.replace(str(T0 + 123).encode(), b"30")))
    return made


def lives(
    first: int, count: int, ends: dict[Head, int], period: Any, partitions: int = 8
) -> Iterator[Row]:
    """The records of so many RFQs; moves `ends`. They are of today: Kafka deletes old ones."""
    at = round(period.timestamp()) * 1_000_000
    made = templates()
    for n in range(first, first + count):
        slot = n % partitions
        rfq = derived(slot, "bench", str(n))
        for place, (topic, kind, seq, body) in enumerate(made):
            quote = derived(slot, "bench", str(n), str(place))
            mine = body.replace(RFQ.encode(), rfq.encode()).replace(QUOTE.encode(), quote.encode())
            name = f"{rfq}{place}"
            offset = ends.get((topic, slot), 0)
            ends[topic, slot] = offset + 1
            entity = quote if topic == "rfq.quotes" else rfq
            yield (
                topic, slot, offset, period, at + n, "alpha", entity, seq,
                kind.__name__, name, mine.replace(b"@@event@@", name.encode()),
            )  # fmt: skip


async def copy_lives(sql: Any, count: int, partitions: int = 8) -> tuple[dict[Head, int], int]:
    """The records of so many events in the log, which its heads do not tell yet: (the partitions'
    ends, the last instant). `sql` is the administrator's: rows are copied past their policies.
    """
    period = await sql.fetchval(
        "select date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'"
    )
    ends: dict[Head, int] = {}
    for first in range(0, count // len(LIFE), CHUNK):
        size = min(CHUNK, count // len(LIFE) - first)
        rows = list(lives(first, size, ends, period, partitions))
        await sql.copy_records_to_table("log", schema_name="bus", records=rows, columns=COLUMNS)
    await sql.execute("analyze bus.log")
    return ends, round(period.timestamp()) * 1_000_000 + count


async def fill(db: TestDatabase, count: int) -> None:
    """The log as owners would have left it, and a read model that has all of it before it."""
    sql = await asyncpg.connect(db.admin)
    ends, at = await copy_lives(sql, count)
    for (topic, part), end in ends.items():
        await sql.execute(
            "insert into bus.head (topic, part, next, at) values ($1, $2, $3, $4)"
            " on conflict (topic, part) do update set next = excluded.next, at = excluded.at",
            topic, part, end, at,
        )  # fmt: skip
        await sql.execute(
            "insert into bus.ckpt (consumer, topic, part, offs, done) values ($1, $2, $3, $4, $4)",
            RfqBlotter.name, topic, part, end,
        )  # fmt: skip
    await sql.close()


@asynccontextmanager
async def kafka(stack: AsyncExitStack) -> AsyncIterator[KafkaSettings]:
    """A broker of its own with the topics."""
    servers: Any = importlib.import_module("orion.app.servers.kafka")
    free = importlib.import_module("orion.app.servers.process").free_ports
    port, controller = free(2)
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="orion-bench-", ignore_cleanup_errors=True)
    )
    server = servers.KafkaServer(Path(folder), port=port, controller_port=controller)
    await server.start()
    try:
        settings = KafkaSettings(server.bootstrap, env="bench")
        importlib.import_module("orion.app.topics").apply(settings, TOPICS)
        yield settings
    finally:
        await server.stop()


async def relayed(db: TestDatabase, settings: KafkaSettings, count: int) -> float:
    """All of it on Kafka; how many seconds that took."""
    work: Any = importlib.import_module("orion.platform.relay")
    marks: Any = importlib.import_module("orion.platform.relay_marks")
    ring = Ring()
    store = PostgresStore(db.writer, ring)
    log = PostgresBus(db.writer, ring=ring, topics=TOPICS)
    kept = marks.RelayMarks(db.writer)
    relay = work.Relay(
        log=log, marks=kept, leases=store, settings=settings, clock=SystemClock(),
        address="bench", topics=TOPICS,
    )  # fmt: skip
    begun, task = time.perf_counter(), asyncio.create_task(relay.run())
    while sum(relay.positions.values()) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    seconds = time.perf_counter() - begun
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for one in (kept, log, store):
        await one.close()
    return seconds


async def archived(bus: Any, blob: Any) -> float:
    """All of it archived; how many seconds that took."""
    work: Any = importlib.import_module("orion.platform.archive")
    archiver = work.Archiver(
        bus, blob, SystemClock(), env="bench", topics=tuple(TOPICS), specs=TOPICS
    )
    begun = time.perf_counter()
    while await archiver.step(flush=True):
        pass
    return time.perf_counter() - begun


class Run:
    """What was measured so far."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}
        self.failed: list[str] = []
        self.rows: list[tuple[object, ...]] = []

    def note(self, what: str, count: int, seconds: float) -> None:
        """A part and its rate."""
        self.numbers[f"{what}_events_per_second"] = round(count / seconds, 1)
        self.rows.append((what, count, round(seconds, 2), round(count / seconds)))
        print(f"{what}: {count} in {seconds:.1f} s, {count / seconds:.0f} a second", flush=True)

    def rebuilt(self, what: str, done: Rebuilt, *, is_first: bool = False) -> None:
        """A rebuild; all but the first must give what is there."""
        self.note(f"rebuild_{what}", done.records, done.seconds)
        if not (is_first or done.is_equal):
            self.failed.append(f"{what}: live {done.live}, rebuilt {done.rebuilt}")


async def others(run: Run, db: TestDatabase, options: argparse.Namespace, count: int) -> None:
    """From Kafka, and from an archive that was made from Kafka."""
    async with AsyncExitStack() as stack:
        settings = await stack.enter_async_context(kafka(stack))
        run.note("relay", count, await relayed(db, settings, count))
        buses: Any = importlib.import_module("orion.platform.bus.kafka")
        bus = buses.KafkaBus(settings, topics=TOPICS)
        stack.push_async_callback(bus.close)
        run.rebuilt("kafka", await compare(RfqBlotter(), db.owner, TOPICS, source=bus))
        if options.sources != "all":
            return
        blob = await _blob(stack)
        run.note("archive", count, await archived(bus, blob))
        reading: Any = importlib.import_module("orion.platform.archive_read")
        both: Any = importlib.import_module("orion.platform.archive_bus")
        reader = reading.ArchiveReader(blob, env="bench", specs=TOPICS)
        source = both.ArchivedBus(reader, bus)
        run.rebuilt("archive", await compare(RfqBlotter(), db.owner, TOPICS, source=source))


async def _blob(stack: AsyncExitStack) -> Any:
    """A bucket of a real S3 server."""
    seaweed: Any = importlib.import_module("orion.app.servers.seaweed")
    s3: Any = importlib.import_module("orion.platform.blob.s3")
    config: Any = importlib.import_module("orion.platform.config")
    folder = stack.enter_context(
        tempfile.TemporaryDirectory(prefix="orion-bench-", ignore_cleanup_errors=True)
    )
    server = seaweed.SeaweedServer(Path(folder), seaweed.SeaweedPorts.unused())
    await server.start()
    stack.push_async_callback(server.stop)
    platform = config.PlatformConfig(
        blob_url=f"s3://{server.bucket}/bench",
        blob_endpoint=server.endpoint,
        blob_credentials_file=str(server.credentials_file),
    )
    return await stack.enter_async_context(s3.S3Blob.open(platform))


async def measure(options: argparse.Namespace) -> Outcome:
    """All of it."""
    telemetry.configure("bench", "error")
    run, server = Run(), Server()
    count = options.events // len(LIFE) * len(LIFE)
    server.initialise()
    server.start()
    try:
        async with server.database() as db:
            begun = time.perf_counter()
            await fill(db, count)
            run.note("fill", count, time.perf_counter() - begun)
            first = await rebuild(RfqBlotter(), db.owner, TOPICS)
            run.rebuilt("log", first, is_first=True)
            if options.sources == "log":
                run.rebuilt("log_again", await compare(RfqBlotter(), db.owner, TOPICS))
            else:
                await others(run, db, options, count)
    finally:
        server.stop()
    sheet = Sheet("Rebuilding the RFQ blotter", ("what", "events", "s", "events/s"), run.rows)
    return Outcome(run.numbers, [sheet], [], run.failed)


BENCHMARK = Benchmark(
    "rebuild",
    "a read model made anew from the log, from Kafka and from the archive on S3",
    __doc__ or "",
    (
        Option("events", 1_000_000, "events in the log", 1_000, 20_000_000),
        Option("sources", "log", "from where", choices=("log", "kafka", "all")),
    ),
    ("rebuild_log_events_per_second",),
    lambda options: uvloop.run(measure(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
