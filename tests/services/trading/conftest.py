"""Fixtures of the trading services' tests: a clock that moves when told, and the ground to stand
on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orion.platform.bus.memory import MemoryBus
from orion.platform.bus.postgres import PostgresBus
from orion.platform.clock import ManualClock
from orion.platform.store.memory import MemoryStore
from orion.platform.store.postgres import PostgresStore
from tests.core.rfq_world import T0
from tests.postgres import Server


@pytest.fixture
def clock() -> ManualClock:
    """A clock that moves when told."""
    return ManualClock(T0)


@pytest.fixture(params=["memory", "postgres"])
async def ground(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[Any]:
    """(store, or what makes one; bus): the same tests over memory and over a real PostgreSQL."""
    if request.param == "memory":
        store: Any = MemoryStore(clock)
        yield store, MemoryBus(store)
        return
    server: Server = request.getfixturevalue("postgres")
    async with server.database("0001", "0002", "0003", "0004", "0005", "0008") as db:
        made: list[PostgresStore] = []
        bus = PostgresBus(db.writer)

        def store_of() -> PostgresStore:
            made.append(PostgresStore(db.writer))
            return made[-1]

        yield store_of, bus
        await bus.close()
        for each in made:
            await each.close()
