"""What users see while a real Redis goes away and comes back: the same, from the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("redis")

from orion.app.servers.process import free_ports
from orion.app.servers.valkey import ValkeyServer
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.cache.redis import RedisCache
from orion.platform.config import PlatformConfig
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.services.marketdata_projection import queries
from orion.wire.stubs import marketdata_pb2
from tests.postgres import Server
from tests.services.desk import opened
from tests.services.machine import Machine
from tests.services.market_stack import running
from tests.services.market_world import seeds

pytestmark = pytest.mark.cluster
ASK = marketdata_pb2.SnapshotRequest(instrument_ids=["EURUSD", "GBPUSD"])


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(tmp_path / "redis", free_ports(1)[0])
    await server.start()
    yield server
    await server.stop()


def config(redis: ValkeyServer) -> PlatformConfig:
    return PlatformConfig(
        env="test",
        redis_url=redis.url,
        redis_password_file=str(redis.password_file),
        redis_timeout_ms=500,
    )


async def until(is_so: Any) -> None:
    """Polls with a bound."""
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.02)


async def test_prices_go_on_and_say_where_they_come_from(
    postgres: Server, redis: ValkeyServer
) -> None:
    async with (
        postgres.database() as db,
        RedisCache.open(config(redis)) as cache,
        running(db, ingest={"rate": 100.0}, projection={"store_ms": 100}, cache=cache) as stack,
    ):
        me = stack.as_user()

        async def origin() -> str:
            answer = await stack.market.GetSnapshot(ASK, metadata=me)
            assert len(answer.ticks) == 2
            return answer.served_from

        async def saved() -> bool:
            return len(await queries.snapshot(stack.ports.database)) == len(seeds().instruments)

        async def is_cached() -> bool:
            return await origin() == "cache"

        await until(saved)
        await until(is_cached)
        for lose, bring_back in (
            (redis.process.kill, redis.start),
            (_soon(redis.process.pause), _soon(redis.process.resume)),
        ):
            await lose()
            for _ in range(50):
                assert await origin() in ("cache", "store")  # an answer each time

            async def is_stored() -> bool:
                return await origin() == "store"

            async def is_lost() -> bool:  # a busy machine may have seemed so before
                await origin()
                return cache.is_lost

            await until(is_stored)
            await until(is_lost)
            await bring_back()
            await until(is_cached)


async def test_lists_go_on_and_no_change_is_lost(
    postgres: Server, redis: ValkeyServer, tmp_path: Path
) -> None:
    async with postgres.database() as db, RedisCache.open(config(redis)) as cache:
        ring = Ring()
        machine = Machine(
            db=db,
            ring=ring,
            store=PostgresStore(db.writer, ring),
            bus=PostgresBus(db.writer, ring=ring),
            database=PostgresDatabase(db.reader, db.writer),
        )
        try:
            async with machine.database.write("workspace", ["alpha"]) as sql:
                await sql.execute(
                    "insert into workspace.welcomed values ('alpha', 'alpha-trader', 0)"
                )
            async with (
                opened(machine, tmp_path, ("workspace",), cache) as desk,
                desk.as_user("trader") as trader,
            ):

                async def names() -> list[str]:
                    answer = await trader.get("/api/v1/watchlists")
                    assert answer.status_code == 200, answer.text
                    return [w["name"] for w in answer.json()["items"]]

                async def make(name: str) -> None:
                    made = await trader.post(
                        "/api/v1/watchlists",
                        json={"name": name, "instrumentIds": ["EURUSD"], "pinned": []},
                        headers={"idempotency-key": f"a-list-called-{name}"},
                    )
                    assert made.status_code in (200, 201), made.text

                async def degraded() -> list[str]:
                    return (await trader.get("/readyz")).json()["degraded"]

                async def is_whole() -> bool:
                    return await degraded() == []

                await make("one")
                await until(is_whole)
                assert await names() == ["one"]
                await redis.process.kill()
                await make("two")
                assert await names() == ["one", "two"] and cache.is_lost
                assert await degraded() == ["cache"]
                await redis.start()
                await make("three")

                async def is_back() -> bool:
                    assert await names() == ["one", "two", "three"]
                    return not cache.is_lost

                await until(is_back)
                await until(is_whole)
                redis.process.pause()
                await make("four")
                assert await names() == ["one", "two", "three", "four"] and cache.is_lost
        finally:
            await machine.database.close()
            await machine.bus.close()
            await machine.store.close()


def _soon(do: Any) -> Any:
    async def done() -> None:
        do()

    return done
