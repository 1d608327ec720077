"""The cache inside one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import ManualClock
from orion.platform.errors import Unavailable
from tests.platform.cache_case import MAX_KEYS, CacheCase


class TestMemoryCache(CacheCase):
    """The shared case, with a clock that moves when told."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def cache(self, clock: ManualClock) -> MemoryCache:
        return MemoryCache(max_keys=MAX_KEYS, clock=clock)

    @pytest.fixture
    def later(self, clock: ManualClock) -> Callable[[Any], Awaitable[None]]:
        async def wait(ended: Callable[[], Awaitable[bool]]) -> None:
            clock.advance(999_999)
            assert not await ended()
            clock.advance(1)
            assert await ended()

        return wait

    async def test_the_oldest_notes_make_room(self, cache: MemoryCache) -> None:
        for i in range(MAX_KEYS + 3):
            await cache.note("seats", {f"k{i}": b"1"}, 600)
        names = [f"k{i}" for i in range(MAX_KEYS + 3)]
        assert list(await cache.noted("seats", names)) == names[3:]

    async def test_a_lost_cache_refuses_everything_and_comes_back_empty(
        self, cache: MemoryCache
    ) -> None:
        await cache.put("prices", {"a": b"1"})
        await cache.note("seats", {"a": b"1"}, 600)
        cache.fail(True)
        for call in (
            cache.put("prices", {"a": b"1"}),
            cache.get("prices", ["a"]),
            cache.all("prices"),
            cache.clear("prices"),
            cache.note("seats", {"a": b"1"}, 60),
            cache.noted("seats", ["a"]),
            cache.forget("seats", ["a"]),
        ):
            with pytest.raises(Unavailable):
                await call
        cache.fail(False)
        assert await cache.all("prices") == {} and await cache.noted("seats", ["a"]) == {}
