"""Fixtures of the services' tests: a real PostgreSQL with all migrations, and the adapters that the
hall would pick.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from tests.postgres import Server, TestDatabase
from tests.services.machine import Machine


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL server for the session."""
    server = Server()
    server.initialise()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    """A database of this module's own."""
    async with postgres.database() as made:
        yield made


@pytest.fixture(scope="module")
async def machine(db: TestDatabase) -> AsyncIterator[Machine]:
    """Store, bus and database over it."""
    ring = Ring()
    made = Machine(
        db=db,
        ring=ring,
        store=PostgresStore(db.writer, ring),
        bus=PostgresBus(db.writer, ring=ring),
        database=PostgresDatabase(db.reader, db.writer),
    )
    yield made
    await made.database.close()
    await made.bus.close()
    await made.store.close()
