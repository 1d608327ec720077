"""Bad days, for real: copies and PostgreSQL killed under load, a copy stopped and deposed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.errors import Coded
from orion.platform.store.postgres import PostgresStore
from orion.platform.transact import Key, Limits, Owner
from orion.platform.verify import verify
from tests.platform.conftest import Place, prepare, running
from tests.platform.toy import TOPICS, Add, ToyAggregate, entity
from tests.postgres import Server

ROOT = Path(__file__).resolve().parents[2]
NAMES = [entity(f"bad{i}") for i in range(30)]


class Copy:
    """A copy in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.totals: dict[str, int] = {}
        self.errors: dict[str, str] = {}
        self.owns = -1
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout
        while line := (await self.process.stdout.readline()).decode().split():
            if line[0] == "ok":
                self.totals[line[1]] = int(line[2])
            elif line[0] == "err":
                self.errors[line[1]] = " ".join(line[2:])
            elif line[0] == "owns":
                self.owns = int(line[1])

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line.encode() + b"\n")

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    async def until_owns(self, count: int) -> None:
        async with asyncio.timeout(30):
            while self.owns != count:
                self.tell("owns")
                await asyncio.sleep(0.02)

    async def ended(self) -> None:
        await self.process.wait()
        await self._reader


@asynccontextmanager
async def a_copy(dsn: str, address: str) -> AsyncIterator[Copy]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.platform.copy", dsn, address, cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    copy = Copy(process)
    try:
        yield copy
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await copy.ended()


async def totals(dsn: str) -> tuple[dict[str, int], Counter[str]]:
    """(version by entity, events by entity) as they lie in the database."""
    sql = await asyncpg.connect(dsn)
    versions = {r[0]: r[1] for r in await sql.fetch("select id, version from toy.state")}
    events = Counter(r[0] for r in await sql.fetch("select entity from bus.log"))
    await sql.close()
    return versions, events


async def is_sound(dsn: str) -> None:
    report = await verify(dsn, services=["toy"], specs=TOPICS)
    assert report.violations == [] and report.ok


def writer_dsn(pg: Place) -> str:
    return pg.store._dsn


async def test_kill_9_of_the_owner_under_load_loses_and_doubles_nothing(pg: Place) -> None:
    dsn = writer_dsn(pg)
    acknowledged: dict[str, str] = {}
    asked: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        # One after the other: two that come up together share the partitions between them.
        owner = await stack.enter_async_context(a_copy(dsn, "first"))
        await owner.until_owns(8)
        standby = await stack.enter_async_context(a_copy(dsn, "standby"))
        await standby.until_owns(0)
        for i in range(3_000):
            asked[f"k{i}"] = NAMES[i % 30]
            owner.tell(f"add {NAMES[i % 30]} k{i}")
            if i % 100 == 0:
                await asyncio.sleep(0.002)
        async with asyncio.timeout(30):
            while len(owner.totals) < 500:
                await asyncio.sleep(0.001)
        owner.signal(signal.SIGKILL)
        await owner.ended()
        acknowledged = {k: asked[k] for k in owner.totals}
        await standby.until_owns(8)
        # The client asks again with the same keys, as it must when it does not know.
        for key, name in asked.items():
            standby.tell(f"add {name} {key}")
        async with asyncio.timeout(60):
            while len(standby.totals) + len(standby.errors) < len(asked):
                await asyncio.sleep(0.01)
        assert standby.errors == {}
    versions, events = await totals(pg.dsn)
    assert len(acknowledged) >= 500
    assert sum(versions.values()) == len(asked) == sum(events.values())
    assert versions == dict(Counter(asked.values()))
    # The answer to a repeated command is the one that was given first.
    assert all(standby.totals[k] == t for k, t in owner.totals.items())
    await is_sound(pg.dsn)


async def test_a_copy_that_was_stopped_and_deposed_writes_nothing(pg: Place) -> None:
    dsn = writer_dsn(pg)
    async with a_copy(dsn, "first") as first:
        await first.until_owns(8)
        first.tell(f"add {NAMES[0]} before")
        async with asyncio.timeout(20):
            while "before" not in first.totals:
                await asyncio.sleep(0.01)
        async with a_copy(dsn, "second") as second:
            await second.until_owns(0)
            first.signal(signal.SIGSTOP)
            for i in range(20):
                first.tell(
                    f"add {NAMES[i]} late{i}"
                )  # it finds these when it wakes up, thinking it is the owner
            await second.until_owns(8)
            second.tell(f"add {NAMES[0]} after")
            async with asyncio.timeout(20):
                while "after" not in second.totals:
                    await asyncio.sleep(0.01)
            first.signal(signal.SIGCONT)
            async with asyncio.timeout(20):
                while len(first.errors) + len(first.totals) < 21:
                    await asyncio.sleep(0.01)
            await first.until_owns(0)
            assert first.totals == {"before": 1} and second.totals == {"after": 2}
            assert all("NotOwner" in e for e in first.errors.values())
    versions, _ = await totals(pg.dsn)
    assert versions == {NAMES[0]: 2}
    await is_sound(pg.dsn)


@pytest.fixture
async def fragile() -> AsyncIterator[Server]:
    """A server of its own, to be killed."""
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()


async def test_postgres_killed_under_load_loses_and_doubles_nothing(fragile: Server) -> None:
    async with fragile.database("0001", "0008", "0009") as db:
        await prepare(db)
        ring = Ring()
        store, bus = (
            PostgresStore(db.writer, ring),
            PostgresBus(db.writer, ring=ring, topics=TOPICS),
        )
        owner = Owner(
            ToyAggregate(),
            store,
            bus,
            SystemClock(),
            partitions=8,
            address="o",
            limits=Limits(timeout_s=60),
        )
        seen: dict[str, list[int]] = defaultdict(list)
        acked: Counter[str] = Counter()
        stop = False

        async def watch() -> None:
            async for batch in bus.tail(["toy.events"]):
                for r in batch:
                    seen[r.entity].append(r.seq)

        async def client(name: str) -> None:
            number = 0
            while not stop:
                number += 1
                key = Key("s", "add", f"{name}{number}", b"h")
                while True:
                    try:
                        await owner.submit("alpha", name, Add(name), key)
                        break
                    except Coded:
                        await asyncio.sleep(0.05)
                acked[name] += 1

        async with running(owner):
            watching = asyncio.create_task(watch())
            clients = [asyncio.create_task(client(n)) for n in NAMES]
            for kill in range(3):
                before = acked.total()
                async with asyncio.timeout(30):
                    while acked.total() < before + 500:
                        await asyncio.sleep(0.01)
                fragile.kill()
                await asyncio.sleep(0.2 * kill)
                fragile.start()
            before = acked.total()
            async with asyncio.timeout(30):
                while acked.total() < before + 500:
                    await asyncio.sleep(0.01)
            stop = True
            await asyncio.gather(*clients)
            versions, events = await totals(db.owner)
            assert versions == dict(acked) == dict(events)
            async with asyncio.timeout(20):
                while sum(map(len, seen.values())) < acked.total():
                    await asyncio.sleep(0.01)
            assert all(s == list(range(1, len(s) + 1)) for s in seen.values())
            watching.cancel()
        await is_sound(db.owner)
        await bus.close()
        await store.close()


async def test_a_lost_connection_in_the_middle_of_a_commit_is_settled(pg: Place) -> None:
    """The batch was committed, but the answer was lost: the writer finds out and answers once."""

    class Cut(PostgresStore):
        cuts = 0

        async def put(self, batch) -> None:
            await super().put(batch)
            if batch.rows and self.cuts < 5:
                self.cuts += 1
                self._drop(batch.service)
                from orion.platform.store.port import OutcomeUnknown

                raise OutcomeUnknown("cut by the test")

    store = Cut(writer_dsn(pg), pg.bus.ring)
    owner = Owner(ToyAggregate(), store, pg.bus, SystemClock(), partitions=8, address="o")
    async with running(owner):
        replies = await asyncio.gather(
            *(owner.submit("alpha", n, Add(n), Key("s", "a", n, b"h")) for n in NAMES * 1)
        )
        assert {r["total"] for r in replies} == {1}
        for _ in range(6):
            await owner.submit("alpha", NAMES[0], Add(NAMES[0]))
    assert store.cuts == 5
    versions, events = await totals(pg.dsn)
    assert versions[NAMES[0]] == 7 and versions == dict(events)
    await is_sound(pg.dsn)
    await store.close()
