"""Browser sessions of two doors with a cache inside one process, and who looks what has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import ManualClock
from orion.services.bff_workstation.sessions_ended import EndedSessions
from tests.postgres import Server
from tests.services.identity_stack import Stack, running, until
from tests.services.sessions_case import Cut, Held, SessionsCase


@pytest.fixture(scope="module")
def memory() -> MemoryCache:
    return MemoryCache(is_shared=True)


@pytest.fixture(scope="module")
def ways(memory: MemoryCache) -> list[Cut]:
    return [Cut(memory), Cut(memory)]


@pytest.fixture(scope="module")
async def doors(
    postgres: Server, ways: list[Cut], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("c")
    async with (
        postgres.database("0001", "0002", "0008", "0014", "0016") as db,
        running(db, folder, caches=ways) as stack,  # type: ignore[arg-type]
    ):
        yield stack


class TestOverMemory(SessionsCase):
    """The shared case."""

    @pytest.fixture
    def stack(self, doors: Stack) -> Stack:
        return doors

    @pytest.fixture
    def caches(self, ways: list[Cut]) -> list[Cut]:
        return ways

    @pytest.fixture
    def held(self, memory: MemoryCache) -> Held:
        async def all_of_it() -> list[bytes]:
            return [
                x for (_, key), (value, _) in memory._notes.items() for x in (key.encode(), value)
            ]

        return all_of_it


# -- who looks


async def test_nothing_is_trusted_while_it_is_not_known_what_has_ended() -> None:
    clock, answers = ManualClock(), [frozenset({b"ended"})]
    is_lost = asyncio.Event()

    async def look() -> frozenset[bytes]:
        if is_lost.is_set():
            raise OSError("no database")
        return answers[0]

    watch = EndedSessions(look, clock)
    task = asyncio.create_task(watch.run())
    assert not watch.may_trust(b"one"), "not before the first look"
    await until(lambda: watch.may_trust(b"one"))
    assert not watch.may_trust(b"ended")
    is_lost.set()
    clock.advance(899_999)
    assert watch.may_trust(b"one")
    clock.advance(1)
    assert not watch.may_trust(b"one")
    is_lost.clear()
    answers[0] = frozenset({b"one"})
    await until(lambda: watch.may_trust(b"ended"))
    assert not watch.may_trust(b"one")
    task.cancel()


async def test_a_look_that_hangs_is_no_look() -> None:
    clock, hangs = ManualClock(), asyncio.Event()
    asked = 0

    async def look() -> frozenset[bytes]:
        nonlocal asked
        asked += 1
        if asked > 1:
            hangs.set()
            await asyncio.Event().wait()
        return frozenset()

    watch = EndedSessions(look, clock)
    watch.may_trust(b"one")
    task = asyncio.create_task(watch.run())
    await hangs.wait()
    assert watch.may_trust(b"one")
    clock.advance(900_000)
    assert not watch.may_trust(b"one")
    task.cancel()


async def test_nobody_looks_when_nobody_asks() -> None:
    clock, looks = ManualClock(), 0

    async def look() -> frozenset[bytes]:
        nonlocal looks
        looks += 1
        return frozenset()

    watch = EndedSessions(look, clock)
    task = asyncio.create_task(watch.run())
    for _ in range(5):
        await asyncio.sleep(0)
    assert looks == 0
    watch.may_trust(b"one")
    await until(lambda: looks > 0)
    task.cancel()
