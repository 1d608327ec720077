"""A replay over Kafka: into topics of its own, once whatever breaks, and heard by nobody real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

pytest.importorskip("confluent_kafka")

from orion.app import topics
from orion.platform.bus.port import Record
from orion.platform.consume import ConsumerLimits
from orion.platform.project_run import projector
from orion.platform.sandbox import Sandbox, SandboxError
from orion.platform.sandbox_kafka import KafkaSource, KafkaTarget, sandbox_topics
from tests.cluster.conftest import World
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running
from tests.platform.toy import TOPICS, Totals
from tests.postgres import TestDatabase

pytestmark = pytest.mark.cluster
EVENTS = "toy.events"
QUICK = ConsumerLimits(pace_ms=1, look_s=0.05)


class Frail(KafkaTarget):
    """Breaks after so many writes: Kafka has them, nobody has noted it."""

    breaks = 10**9

    async def put(self, records: Sequence[Record]) -> None:
        await super().put(records)
        self.breaks -= 1
        if self.breaks == 0:
            raise ConnectionError("the line is cut")


@asynccontextmanager
async def living(world: World, count: int) -> AsyncIterator[Any]:
    """A platform whose read model has heard so many events from Kafka."""
    store, log = world.log()
    live = projector(Totals(), bus=world.bus(), store=world.log()[0], limits=QUICK, specs=TOPICS)
    place = Place("log", store, log, world.log, world.dsn)
    async with writing(place) as write, running(world.relay()), running(live):
        await write(count)
        async with asyncio.timeout(60):
            while sum((await store.positions("rm_totals")).values()) < count:
                await asyncio.sleep(0.01)
        yield store


async def test_a_replay_that_breaks_goes_on_and_doubles_nothing(
    world: World, toy_relayed: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orion.platform.sandbox.BATCH", 20)
    settings = world.settings
    mine = sandbox_topics("look", {EVENTS: TOPICS[EVENTS]})
    topics.apply(settings, {t.key: t for t in mine.values()})
    target = Frail(settings, "look", TOPICS)
    async with living(world, 300) as store, Sandbox.open(toy_relayed.owner, "look") as box:
        source = world.bus()
        ends = await source.ends(EVENTS)
        positions = await store.positions("rm_totals")
        bounds = {part: (min(2, end), end) for part, end in ends.items()}
        total = sum(end - first for first, end in bounds.values())
        done, broken = 0, 0
        for _ in range(100):
            target.breaks = 3
            asked = await box.ask(EVENTS, bounds, target.kind, "from 2")
            try:
                for one in asked:
                    done += await box.deliver(one, source, target)
                break
            except ConnectionError:
                broken += 1
        assert broken > 2 and all(r.left == 0 for r in await box.ranges())
        with pytest.raises(SandboxError, match="another range"):
            await box.ask(EVENTS, bounds, target.kind, "from 3")
        there = KafkaSource(settings, "look", TOPICS)
        found = [
            record
            for part, (first, end) in bounds.items()
            for record in await there.read(EVENTS, part, first, end)
        ]
        assert len(found) == total == len({(r.part, r.offset) for r in found})
        assert found == [
            record
            for part, (first, end) in bounds.items()
            for record in await source.read(EVENTS, part, first, end)
        ]
        assert await box.apply(Totals(), there) == total
        assert await box.apply(Totals(), there) == 0
        sql = await asyncpg.connect(toy_relayed.owner)
        events = await sql.fetchval("select sum(events) from sandbox_look.rm_totals")
        assert events == total
        assert await sql.fetchval("select sum(events) from toy.rm_totals") == 300
        await sql.close()
        assert await source.ends(EVENTS) == ends
        assert await store.positions("rm_totals") == positions
        gone = await asyncio.to_thread(topics.remove_sandbox, settings, "look")
        assert gone == [t.name(settings.env) for t in mine.values()]
        await box.drop()
        await there.close()
    await target.close()


async def test_only_one_works_on_a_sandbox(toy_relayed: TestDatabase) -> None:
    async with Sandbox.open(toy_relayed.owner, "busy"):
        with pytest.raises(SandboxError, match="somebody else"):
            async with Sandbox.open(toy_relayed.owner, "busy"):
                pass
    for name in ("", "Look", "a-b", "x; drop", "a" * 31):
        with pytest.raises(SandboxError, match="no name"):
            async with Sandbox.open(toy_relayed.owner, name):
                pass
