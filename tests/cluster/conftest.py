"""One real Kafka for the session, topics of their own for each test."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.clock import SystemClock
from orion.platform.store.postgres import PostgresStore
from tests.platform import toy
from tests.platform.conftest import Place, postgres, prepare, wipe
from tests.postgres import Server, TestDatabase

if TYPE_CHECKING:
    from orion.app.servers.kafka import KafkaServer

__all__ = ["postgres"]  # the session's server


@pytest.fixture(scope="session")
async def kafka() -> AsyncIterator[KafkaServer]:
    """The broker that tests share; none of them may stop it. Another one that runs already, by
    ORION_TEST_KAFKA=host:port.
    """
    if running := os.environ.get("ORION_TEST_KAFKA"):
        from orion.app.servers.kafka import KafkaServer

        yield KafkaServer(Path(), port=int(running.rpartition(":")[2]), controller_port=0)
        return
    async with broker() as server:
        yield server


@asynccontextmanager
async def broker() -> AsyncIterator[KafkaServer]:
    """A broker with a folder of its own."""
    pytest.importorskip("confluent_kafka")
    from orion.app.servers.kafka import KafkaServer
    from orion.app.servers.process import free_ports

    port, controller = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="orion-kafka-", ignore_cleanup_errors=True) as folder:
        server = KafkaServer(Path(folder), port=port, controller_port=controller, is_short=True)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()


def environment(server: KafkaServer) -> KafkaSettings:
    """Settings of an environment that nobody else uses."""
    return KafkaSettings(server.bootstrap, env=f"t{secrets.token_hex(4)}")


def with_topics(server: KafkaServer) -> KafkaSettings:
    """An environment with the toy services' topics."""
    from orion.app import topics

    settings = environment(server)
    topics.apply(settings, toy.TOPICS)
    return settings


@pytest.fixture(scope="module")
async def toy_relayed(postgres: Server) -> AsyncIterator[TestDatabase]:
    """A database with the toy services' tables and the relay's."""
    async with postgres.database("0001", "0008", "0009", "0015", "0017") as db:
        await prepare(db)
        yield db


class World:
    """A database, a broker, and as many relays and buses as a test wants."""

    def __init__(self, dsn: str, settings: KafkaSettings) -> None:
        self.dsn, self.settings = dsn, settings
        self._made: list[Any] = []

    def log(self) -> tuple[PostgresStore, PostgresBus]:
        """A store and the log, as a process has them."""
        ring = Ring()
        store = PostgresStore(self.dsn, ring, say=toy.say)
        bus = PostgresBus(self.dsn, ring=ring, topics=toy.TOPICS)
        self._made += [store, bus]
        return store, bus

    def relay(self, address: str = "relay", **limits: Any) -> Any:
        """A relay, not yet running."""
        from orion.platform.relay import Relay, RelayLimits
        from orion.platform.relay_marks import RelayMarks

        store, log = self.log()
        marks = RelayMarks(self.dsn)
        self._made.append(marks)
        return Relay(
            log=log, marks=marks, leases=store, settings=self.settings, clock=SystemClock(),
            address=address, topics=toy.TOPICS, limits=RelayLimits(**limits),
        )  # fmt: skip

    def bus(self) -> Any:
        """A bus over Kafka."""
        from orion.platform.bus.kafka import KafkaBus

        bus = KafkaBus(self.settings, topics=toy.TOPICS)
        self._made.append(bus)
        return bus

    async def close(self) -> None:
        """Closes what was made."""
        for one in reversed(self._made):
            await one.close()


async def empty(db: TestDatabase) -> None:
    """An empty log, and nothing relayed."""
    import asyncpg

    await wipe(db.owner)
    sql = await asyncpg.connect(db.owner)
    await sql.execute("truncate bus.relayed")
    await sql.close()


@pytest.fixture
async def world(kafka: KafkaServer, toy_relayed: TestDatabase) -> AsyncIterator[World]:
    """Everything but a running relay."""
    await empty(toy_relayed)
    world = World(toy_relayed.writer, with_topics(kafka))
    yield world
    await world.close()


def pair(world: World) -> Callable[[], Any]:
    """Like a process of the cluster: it writes to the log and reads from Kafka."""
    return lambda: (world.log()[0], world.bus())


__all__ += ["Place"]
