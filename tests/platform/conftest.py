# ruff: noqa: E501 (statements of SQL keep their lines)
"""Fixtures of the machinery's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from orion.platform.bus.memory import MemoryBus
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.store.memory import MemoryStore
from orion.platform.store.postgres import PostgresStore
from tests.platform import toy
from tests.postgres import Server, TestDatabase


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for the session."""
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def toy_template(postgres: Server) -> AsyncIterator[TestDatabase]:
    """A database with the toy service's tables, for a module."""
    async with postgres.database("0001", "0008", "0009", "0015", "0017") as db:
        await prepare(db)
        yield db


async def prepare(db: TestDatabase) -> None:
    """The toy services' tables and read models."""
    sql = await asyncpg.connect(db.owner)
    await sql.execute("set client_min_messages = warning")
    await sql.execute("select platform.owner_tables('toy'); select platform.owner_tables('hears')")
    await sql.execute(toy.READ_MODELS)
    await sql.close()


class Place:
    """A store and its bus; `again()` gives a second pair, as another process would have."""

    def __init__(self, kind: str, store: Any, bus: Any, again: Callable[[], Any], dsn: str) -> None:
        self.kind, self.store, self.bus, self.again, self.dsn = kind, store, bus, again, dsn


async def wipe(dsn: str) -> None:
    """An empty log, as owner."""
    sql = await asyncpg.connect(dsn)
    await sql.execute(
        "truncate bus.log, bus.log_hourly, bus.head, bus.relayed, bus.abandoned, bus.ckpt, bus.copies, bus.dead_letters, bus.processed_events, bus.sequences,"
        " toy.state, toy.inbox, hears.state, hears.inbox, toy.rm_totals, toy.rm_notes"
    )
    await sql.close()


@pytest.fixture(params=["memory", "postgres"])
async def place(request: pytest.FixtureRequest, toy_template: TestDatabase) -> AsyncIterator[Place]:
    """Each adapter in turn: the same test case over all of them."""
    if request.param == "memory":
        store = MemoryStore(SystemClock(), say=toy.say)
        bus = MemoryBus(store, toy.TOPICS)
        yield Place("memory", store, bus, lambda: (store, bus), "")
        return
    await wipe(toy_template.owner)
    async with _pairs(toy_template.writer) as again:
        store, bus = again()
        yield Place("postgres", store, bus, again, toy_template.owner)


@pytest.fixture
async def pg(toy_template: TestDatabase) -> AsyncIterator[Place]:
    """PostgreSQL alone."""
    await wipe(toy_template.owner)
    async with _pairs(toy_template.writer) as again:
        store, bus = again()
        yield Place("postgres", store, bus, again, toy_template.owner)


@asynccontextmanager
async def _pairs(dsn: str) -> AsyncIterator[Callable[[], Any]]:
    made: list[Any] = []

    def again() -> Any:
        ring = Ring()
        pair = (PostgresStore(dsn, ring, say=toy.say), PostgresBus(dsn, ring=ring, topics=toy.TOPICS))
        made.extend(pair)
        return pair

    yield again
    for one in made:
        await one.close()


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Polls a condition with a bound."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(*parts: Any) -> AsyncIterator[None]:
    """Runs owners, publishers, consumers for the length of the block; what fails in them fails the
    test.
    """
    tasks = [asyncio.create_task(p.run()) for p in parts]
    try:
        for part in parts:
            if hasattr(part, "ready"):
                async with asyncio.timeout(20):
                    while part.ready() is not None:
                        for task in tasks:
                            if task.done():
                                task.result()
                        await asyncio.sleep(0.005)
        yield
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
