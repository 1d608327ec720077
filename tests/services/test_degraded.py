"""What the platform does without for a while is said, and nobody waits for it."""

from __future__ import annotations

from orion.platform.auth import ServiceTokens
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import SystemClock
from orion.platform.rpc import Directory
from orion.services.bff_workstation.readiness import Readiness
from tests.services.edge_world import SERVICE_KEY, hear, running


async def test_a_lost_cache_is_said_and_is_no_reason_to_wait() -> None:
    cache, tokens = MemoryCache(), ServiceTokens(SERVICE_KEY, "bff_workstation", SystemClock())
    ready = Readiness(Directory({}, tokens), (), 1.0, cache=cache)
    assert (await ready.missing(), await ready.degraded()) == ([], [])
    cache.fail(True)
    assert (await ready.missing(), await ready.degraded()) == ([], ["cache"])
    cache.fail(False)
    assert await ready.degraded() == []


async def test_screens_are_told_of_a_lost_cache_and_that_it_is_back() -> None:
    cache = MemoryCache(is_shared=True)
    async with running(heartbeat_s=0.5, cache=cache) as world, world.connect(world.token()) as ws:
        assert "cache" not in (await hear(ws, "heartbeat"))["items"][0]["degraded"]
        for is_lost in (True, False):
            cache.fail(is_lost)
            while ("cache" in (await hear(ws, "heartbeat"))["items"][0]["degraded"]) != is_lost:
                pass
