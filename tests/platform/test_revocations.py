"""How a process learns what is revoked: by a stream, by a board, and what it does before either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orion.platform import revocations as module
from orion.platform.cache.memory import MemoryCache
from orion.platform.errors import Unavailable
from orion.platform.revocation_board import BoardReader, BoardWriter
from orion.platform.revocations import Revocations, Revoked, follow, follow_board
from tests.platform.board_case import ENDED, BoardCase
from tests.platform.cache_case import MAX_KEYS

NOW = 1_770_000_000_000_000
MINUTE = 60_000_000


class TestMemoryBoard(BoardCase):
    """The shared case."""

    @pytest.fixture
    def cache(self) -> MemoryCache:
        return MemoryCache(max_keys=MAX_KEYS, is_shared=True)


class Line:
    """A stream that says what it is told to."""

    def __init__(self) -> None:
        self.opened = 0
        self.says: asyncio.Queue[Sequence[Revoked] | None] = asyncio.Queue()

    async def watch(self) -> AsyncIterator[Sequence[Revoked]]:
        self.opened += 1
        while (batch := await self.says.get()) is not None:
            yield batch
        raise OSError("the line is down")


@asynccontextmanager
async def running(*tasks: Any) -> AsyncIterator[None]:
    made = [asyncio.create_task(task) for task in tasks]
    try:
        yield
    finally:
        for task in made:
            task.cancel()
        await asyncio.gather(*made, return_exceptions=True)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_nothing_is_known_until_the_stream_has_told_what_is_in_force() -> None:
    known, line = Revocations(), Line()
    assert known.is_known, "who follows nobody waits for nothing"
    known.await_first()
    async with running(follow(known, line.watch, lambda: 100)):
        await until(lambda: line.opened)
        waiting = asyncio.create_task(known.known())
        await asyncio.sleep(0)
        assert not known.is_known and not waiting.done()
        line.says.put_nowait([ENDED])
        await waiting
        assert known.is_known and known.covers("s-1", "", 0)


async def test_a_request_waits_a_little_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    known = Revocations()
    known.await_first()
    with pytest.raises(Unavailable):
        await known.known()


async def test_a_lost_stream_is_opened_again_and_nothing_is_forgotten() -> None:
    known, line = Revocations(), Line()
    async with running(follow(known, line.watch, lambda: 100)):
        line.says.put_nowait([ENDED])
        await until(lambda: known.is_connected)
        line.says.put_nowait(None)
        await until(lambda: line.opened == 2)
        assert not known.is_connected and known.is_known and known.covers("s-1", "", 0)
        line.says.put_nowait([])
        await until(lambda: known.is_connected)


async def test_a_stream_that_gave_signs_of_life_and_falls_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    known, line = Revocations(), Line()
    async with running(follow(known, line.watch, lambda: NOW)):
        line.says.put_nowait([ENDED])  # no sign of life yet: this one may be quiet for long
        await until(lambda: known.is_connected)
        await asyncio.sleep(0.2)
        assert line.opened == 1
        line.says.put_nowait([])
        await until(lambda: line.opened >= 2)


async def test_the_board_is_read_only_while_the_stream_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BOARD_LOOK_S", 0.01)
    known, line, cache = Revocations(), Line(), MemoryCache(is_shared=True)
    reads = 0

    async def read() -> Any:
        nonlocal reads
        reads += 1
        return await BoardReader(cache).read()

    tasks = follow(known, line.watch, lambda: NOW), follow_board(known, read, lambda: NOW)
    async with running(*tasks):
        await until(lambda: reads > 2)
        line.says.put_nowait([])
        await until(lambda: known.is_connected)
        await asyncio.sleep(0.03)
        before = reads
        await asyncio.sleep(0.1)
        assert reads == before
        await BoardWriter(cache).write({1: ENDED}, NOW)
        line.says.put_nowait(None)
        await until(lambda: known.covers("s-1", "", 0))


@pytest.mark.parametrize(("age", "is_enough"), [(0, True), (MINUTE, True), (MINUTE + 1, False),
                                               (-MINUTE - 1, False)])  # fmt: skip
async def test_a_process_that_knows_nothing_takes_a_board_that_is_not_old(
    age: int, is_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BOARD_LOOK_S", 0.01)
    known, cache = Revocations(), MemoryCache(is_shared=True)
    known.await_first()
    await BoardWriter(cache).write({1: ENDED}, NOW - age)
    async with running(follow_board(known, BoardReader(cache).read, lambda: NOW)):
        await until(lambda: known.covers("s-1", "", 0))  # taken in any case: it only takes away
        await asyncio.sleep(0.05)
        assert known.is_known is is_enough
