"""Browser sessions of two doors and the board of revocations on a real Redis that dies, stops and
comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

pytest.importorskip("redis")

from orion.app.servers.process import free_ports
from orion.app.servers.valkey import ValkeyServer
from orion.platform.cache.redis import RedisCache
from orion.platform.config import PlatformConfig
from tests.platform.board_case import BoardCase
from tests.platform.cache_case import MAX_KEYS
from tests.postgres import Server
from tests.services.identity_stack import Stack, running
from tests.services.sessions_case import (
    Cut,
    Held,
    SessionsCase,
    end,
    forget,
    known,
    row_of,
    status,
    told,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def redis(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ValkeyServer]:
    server = ValkeyServer(tmp_path_factory.mktemp("redis"), free_ports(1)[0])
    await server.start()
    yield server
    await server.stop()


def config(redis: ValkeyServer, env: str) -> PlatformConfig:
    return PlatformConfig(
        env=env,
        redis_url=redis.url,
        redis_password_file=str(redis.password_file),
        redis_timeout_ms=2_000,
    )


@pytest.fixture(scope="module")
async def clients(redis: ValkeyServer) -> AsyncIterator[list[RedisCache]]:
    """One for each door: each finds out for itself that the server is lost."""
    async with (
        RedisCache.open(config(redis, "doors")) as one,
        RedisCache.open(config(redis, "doors")) as other,
    ):
        yield [one, other]


@pytest.fixture(scope="module")
def ways(clients: list[RedisCache]) -> list[Cut]:
    return [Cut(client) for client in clients]


@pytest.fixture(scope="module")
async def doors(
    postgres: Server, ways: list[Cut], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    async with (
        postgres.database("0001", "0002", "0008", "0014", "0016") as db,
        running(db, tmp_path_factory.mktemp("c"), caches=ways) as stack,  # type: ignore[arg-type]
    ):
        yield stack


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Polls with a bound."""
    async with asyncio.timeout(60):
        while not await is_so():
            await asyncio.sleep(0.02)


class TestOverRedis(SessionsCase):
    """The shared case."""

    @pytest.fixture
    def stack(self, doors: Stack) -> Stack:
        return doors

    @pytest.fixture
    def caches(self, ways: list[Cut]) -> list[Cut]:
        return ways

    @pytest.fixture
    def held(self, clients: list[RedisCache]) -> Held:
        async def all_of_it() -> list[bytes]:
            client, found = clients[0]._redis, []
            async for key in client.scan_iter(match="*bff.sessions*"):
                found += [key, await client.get(key) or b""]
            return found

        return all_of_it


class TestRedisBoard(BoardCase):
    """The shared case."""

    @pytest.fixture
    async def cache(
        self, redis: ValkeyServer, request: pytest.FixtureRequest
    ) -> AsyncIterator[RedisCache]:
        async with RedisCache.open(config(redis, f"b{id(request)}")) as one:
            one._max_keys = MAX_KEYS
            yield one


async def _remembering(redis: ValkeyServer, client: RedisCache) -> None:
    await client._redis.save()  # to its folder, from where the next start reads it


@pytest.mark.parametrize("how", ["killed", "stopped", "back with its memory"])
async def test_a_session_goes_on_and_an_end_is_an_end_whatever_becomes_of_the_server(
    doors: Stack, ways: list[Cut], clients: list[RedisCache], redis: ValkeyServer, how: str
) -> None:
    stack = doors
    for way in ways:
        way.is_cut = False
    stays, leaves = stack.browser(), stack.browser()
    for browser in (stays, leaves):
        await browser.sign_in()
        await known(stack)
        assert [await status(browser, copy) for copy in (0, 1)] == [200, 200]
    session = await row_of(stack, leaves)
    if how == "back with its memory":
        await _remembering(redis, clients[0])
    await (redis.process.kill() if how != "stopped" else _now(redis.process.pause))
    try:
        for copy in (0, 1):
            forget(stack, copy)
            assert await status(stays, copy) == 200
        await end(stack, session)

        async def is_over() -> bool:
            assert await status(stays, 0) == 200 and await status(stays, 1) == 200
            return await status(leaves, 0) == 401 and await status(leaves, 1) == 401

        await until(is_over)
        await told(stack, session)
    finally:
        await (redis.start() if how != "stopped" else _now(redis.process.resume))

    async def is_back() -> bool:
        stack.clock.advance(1)
        assert await status(leaves, 0) == 401 and await status(leaves, 1) == 401
        forget(stack, 1)
        assert await status(stays, 1) == 200
        return not clients[1].is_lost

    await until(is_back)
    await known(stack)
    for copy in (0, 1):  # as after a restart of both, the cache being as it came back
        forget(stack, copy)
        assert (await status(leaves, copy), await status(stays, copy)) == (401, 200)


async def _now(do: Callable[[], None]) -> None:
    do()
