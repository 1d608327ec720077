"""A relay and an archive that are asked to leave have handed over before their process ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

pytest.importorskip("confluent_kafka")
pytest.importorskip("pyarrow")

from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.archive_turn import ArchiveTurn
from orion.platform.blob.local import LocalBlob
from orion.platform.clock import SystemClock
from tests.cluster.conftest import World
from tests.cluster.test_relay import on_kafka, owner
from tests.platform.conftest import running
from tests.platform.processes import until
from tests.platform.toy import TOPICS

pytestmark = pytest.mark.cluster


async def test_a_relay_that_leaves_has_given_its_partitions_away(world: World) -> None:
    first, second = world.relay("one"), world.relay("two")
    async with owner(world) as write, running(first, second):
        await until(lambda: len(first.tenure.parts) == len(second.tenure.parts) == 4)
        await write(100)
        async with asyncio.timeout(60):
            await first.leave()
        assert not first.tenure.parts and len(second.tenure.parts) == 8
        await write(100)
        await on_kafka(world, 200)


async def test_an_archive_that_leaves_has_given_its_turn_away(world: World, tmp_path: Path) -> None:
    def turn(address: str) -> ArchiveTurn:
        work = Archiver(
            world.bus(), LocalBlob(tmp_path), SystemClock(), env=world.settings.env,
            topics=("toy.events",), limits=ArchiveLimits(wait_s=0.0), specs=TOPICS,
        )  # fmt: skip
        return ArchiveTurn(work, world.log()[0], SystemClock(), address)

    turns = [turn("one"), turn("two")]
    async with running(*turns):
        await until(lambda: any(t.is_ours for t in turns))
        mine, other = sorted(turns, key=lambda t: not t.is_ours)
        async with asyncio.timeout(60):
            await mine.leave()
        assert other.is_ours and not mine.is_ours
