"""What the cache saves when browsers are recognised: two doors, many sessions, each asking twice a
second, now at one door, now at the other. `python -m benchmarks.session_lookups [SESSIONS]`.

The same requests with the cache and without, in turns; CPU of this process (which is both doors),
of PostgreSQL and of the Redis, and PostgreSQL's transactions, per request. What it costs to ask
what has ended is in it. Time is played: the doors' clock moves half a second between rounds.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from joserfc.jwk import ECKey

from orion.app.servers.process import free_ports
from orion.app.servers.valkey import ValkeyServer
from orion.platform.auth import StaticKeys, Verifier
from orion.platform.cache.aside import Aside
from orion.platform.cache.redis import RedisCache
from orion.platform.clock import ManualClock, SystemClock
from orion.platform.config import PlatformConfig
from orion.platform.store.database import PostgresDatabase
from orion.services.bff_workstation.sessions import Sessions, fingerprint
from orion.services.bff_workstation.sessions_ended import LOOK_S, EndedSessions
from orion.services.bff_workstation.sessions_store import (
    CACHE_S,
    Session,
    SessionStore,
    TokenSet,
    Vault,
)
from tests.forged import Forger
from tests.postgres import Server

PAIRS, ROUNDS, STEP_US = 3, 24, 500_000
ISSUER = "http://localhost:8080/oidc"
SECOND = 1_000_000


@dataclass
class World:
    """What both doors stand on."""

    server: Server
    redis: ValkeyServer
    database: PostgresDatabase
    clock: ManualClock
    verifier: Verifier
    cookies: list[str]

    def cpu(self) -> tuple[float, float, float]:
        """Seconds of this process, of PostgreSQL, of the Redis."""
        mine = time.process_time()
        theirs = 0.0
        for child in psutil.Process().children(recursive=True):
            if child.pid != self.redis.process.pid and "postgres" in child.name():
                theirs += sum(child.cpu_times()[:2])
        return mine, theirs, sum(psutil.Process(self.redis.process.pid).cpu_times()[:2])

    async def transactions(self) -> int:
        """Committed so far."""
        async with self.database.write("bff_workstation", []) as sql:
            await sql.execute("select pg_stat_clear_snapshot()")
            await sql.execute("select pg_stat_force_next_flush()")
            return await sql.fetchval(
                "select xact_commit from pg_stat_database where datname = current_database()"
            )


@asynccontextmanager
async def doors(
    world: World, cache: RedisCache | None
) -> AsyncIterator[list[tuple[Sessions, Any]]]:
    """Two doors; without a cache each looks at the row after two seconds."""
    made: list[tuple[Sessions, Any]] = []
    nothing: Any = None
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            notes = Aside(cache, "bff.sessions", CACHE_S) if cache else None
            store = SessionStore(world.database, Vault(bytes(32)), notes)
            ended = EndedSessions(store.ended, SystemClock()) if cache else None
            sessions = Sessions(
                store, nothing, world.verifier, world.clock, cookie="c", origins=frozenset(),
                idle_s=3600, longest_s=28_800, ended=ended,
            )  # type: ignore[arg-type]  # fmt: skip
            watching = group.create_task(ended.run()) if ended else None
            made.append((sessions, watching))
        if cache:
            for sessions, _ in made:
                while not sessions._may_trust(b"nobody"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        yield made
        for _, watching in made:
            if watching is not None:
                watching.cancel()


async def run(world: World, cache: RedisCache | None) -> list[float]:
    """(own us, PostgreSQL's us, the Redis's us, transactions), each per request."""
    async with doors(world, cache) as pair:
        owed, asked = 0.0, 0
        await asyncio.sleep(1.1)  # PostgreSQL's backends tell their counts once a second
        before, count = world.cpu(), await world.transactions()
        for number in range(ROUNDS):
            for at, cookie in enumerate(world.cookies):
                await pair[(number + at) % 2][0].resolve(cookie)
                asked += 1
            world.clock.advance(STEP_US)
            owed += STEP_US / SECOND / LOOK_S
            while cache and owed >= 1:  # what the doors would have asked in the time played
                owed -= 1
                for sessions, _ in pair:
                    await sessions._store.ended()
        after = world.cpu()
        await asyncio.sleep(1.1)
        count = await world.transactions() - count
    spent = [(b - a) * SECOND / asked for a, b in zip(before, after, strict=True)]
    return [*spent, count / asked]


async def opened(stack: AsyncExitStack, folder: Path, sessions: int) -> World:
    """Servers, and the sessions in their table."""
    server = Server()
    server.initialise()
    server.start()
    stack.callback(server.stop)
    redis = ValkeyServer(folder / "redis", free_ports(1)[0])
    await redis.start()
    stack.push_async_callback(redis.stop)
    db = await stack.enter_async_context(server.database("0001", "0002", "0008", "0014", "0016"))
    database = PostgresDatabase(db.reader, db.writer)
    stack.push_async_callback(database.close)
    clock, key = ManualClock(SystemClock().now()), ECKey.generate_key("P-256", {"kid": "k1"})
    keys = StaticKeys({"keys": [key.as_dict(private=False)]})
    verifier = Verifier(keys, issuer=ISSUER, clock=clock, service_key=bytes(range(32)))
    forger = Forger(key, clock.now() // SECOND, ISSUER, bytes(range(32)))
    store, cookies = SessionStore(database, Vault(bytes(32))), []
    for number in range(sessions):
        cookie = f"alpha.{number:043d}"
        life = clock.now() + 3600 * SECOND
        access = forger.user(sid=f"s-{number}", exp=clock.now() // SECOND + 3600)
        await store.add(
            Session(
                "alpha", fingerprint(cookie), f"s-{number}", "u", "trader@alpha", clock.now(),
                clock.now(), life, TokenSet(access, "r" * 48, "i" * 700, life),
            )
        )  # fmt: skip
        cookies.append(cookie)
    return World(server, redis, database, clock, verifier, cookies)


async def main(sessions: int) -> None:
    """Prints least and ratio."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orion-bench-")))
        world = await opened(stack, folder, sessions)
        config = PlatformConfig(
            redis_url=world.redis.url, redis_password_file=str(world.redis.password_file)
        )
        cache = await stack.enter_async_context(RedisCache.open(config))
        rows: list[tuple[list[float], list[float]]] = []
        for _ in range(PAIRS):
            rows.append((await run(world, cache), await run(world, None)))
            world.clock.advance(20 * SECOND)
    print(f"{sessions} sessions, two doors, {ROUNDS} requests each; per request:")
    print(f"{'':14}{'own us':>10}{'postgres us':>13}{'redis us':>10}{'transactions':>14}")
    for name, at in (("with cache", 0), ("without", 1)):
        least = [min(pair[at][i] for pair in rows) for i in range(4)]
        print(f"{name:14}{least[0]:>10.1f}{least[1]:>13.1f}{least[2]:>10.1f}{least[3]:>14.4f}")
    for name, value in (
        ("CPU of all", lambda row: sum(row[:3])),
        ("transactions", lambda row: row[3]),
    ):
        ratios = sorted(value(w) / value(o) for w, o in rows)
        print(
            f"{name}: {median(ratios):.2f} of what it is without ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
