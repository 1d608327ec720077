"""The shared test case over Kafka: written to the log in PostgreSQL, relayed, read from Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("confluent_kafka")

from orion.platform.bus.kafka import KafkaBus
from tests.cluster.conftest import World
from tests.platform.bus_case import BusCase
from tests.platform.conftest import Place, running, until

pytestmark = pytest.mark.cluster


class RelayedBus(KafkaBus):
    """`ends` of everything written so far: the relay is given the moment that it needs."""

    world: World

    async def ends(self, topic: str) -> dict[int, int]:
        """What the log says, when Kafka has it."""
        _, log = self.world.log()
        wanted = await log.ends(topic)
        for _ in range(1_000):
            found = await super().ends(topic)
            if found == wanted:
                return found
        raise AssertionError(f"the log goes to {wanted}, Kafka to {found}")


@pytest.fixture
async def place(world: World) -> AsyncIterator[Place]:
    """The bus of the cluster profile behind a running relay."""

    def again() -> tuple[object, KafkaBus]:
        bus = world.bus()
        bus.__class__, bus.world = RelayedBus, world
        return world.log()[0], bus

    store, bus = again()
    relay = world.relay()
    async with running(relay):
        await until(lambda: len(relay.tenure.parts) == 8)
        yield Place("kafka", store, bus, again, world.dsn)


class TestKafkaBus(BusCase):
    """As every bus."""
