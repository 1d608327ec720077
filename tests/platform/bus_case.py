"""What every bus must do: the test case that each adapter runs, and that Kafka joins unchanged.

An adapter gives a fixture `place` with `bus`, `again()` (the pair another process would have) and a
way to write (an owner, a publisher).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from orion.platform.bus.port import Record
from orion.platform.clock import SystemClock
from orion.platform.transact import Owner
from tests.platform.conftest import Place, running, until
from tests.platform.toy import Add, ToyAggregate, entity


@asynccontextmanager
async def writing(place: Place) -> AsyncIterator[Callable[..., Any]]:
    """Somebody who writes to the bus."""
    owner = Owner(
        ToyAggregate(), place.store, place.bus, SystemClock(), partitions=8, address="writer"
    )

    async def write(count: int, tenant: str = "alpha", notes: int = 0) -> None:
        await asyncio.gather(
            *(
                owner.submit(tenant, entity(i % 50), Add(entity(i % 50), 1, notes))
                for i in range(count)
            )
        )

    async with running(owner):
        yield write


class Seen:
    """Takes what a tail yields."""

    def __init__(self, batches: AsyncIterator[Sequence[Record]]) -> None:
        self.records: list[Record] = []
        self.caught_up = 0
        self._batches = batches
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for batch in self._batches:
            if not batch:
                self.caught_up += 1
            self.records += batch

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    def in_order(self) -> bool:
        next_: dict[tuple[str, int], int] = {}
        for r in self.records:
            if next_.setdefault((r.topic, r.part), r.offset) != r.offset:
                return False
            next_[r.topic, r.part] = r.offset + 1
        return True


class BusCase:
    """Inherit, with a `place` fixture."""

    async def test_an_empty_topic_has_all_its_partitions(self, place: Place) -> None:
        assert await place.bus.ends("toy.orders") == dict.fromkeys(range(8), 0)
        assert list(await place.bus.read("toy.orders", 3, 0)) == []

    async def test_offsets_are_gap_free_and_read_in_order(self, place: Place) -> None:
        async with writing(place) as write:
            await write(600)
        total = 0
        for part, end in (await place.bus.ends("toy.events")).items():
            found: list[Record] = []
            while batch := await place.bus.read("toy.events", part, len(found), 37):
                assert len(batch) <= 37
                found += batch
            assert [r.offset for r in found] == list(range(end))
            assert all(
                r.part == part and r.topic == "toy.events" and r.tenant == "alpha" for r in found
            )
            total += end
        assert total == 600

    async def test_an_offset_is_found_by_time(self, place: Place) -> None:
        async with writing(place) as write:
            for _ in range(5):
                await write(100)
        for part, end in (await place.bus.ends("toy.events")).items():
            records = []
            while batch := await place.bus.read("toy.events", part, len(records)):
                records += batch
            for record in records[:: max(len(records) // 7, 1)]:
                first = min(r.offset for r in records if r.at >= record.at)
                assert await place.bus.offset_at("toy.events", part, record.at) == first
            assert await place.bus.offset_at("toy.events", part, 0) == 0
            assert await place.bus.offset_at("toy.events", part, 2**60) == end

    async def test_a_tail_sees_everything_once(self, place: Place) -> None:
        clock = SystemClock()
        async with writing(place) as write:
            await write(100)
            since = clock.now()
            await write(200, notes=1)
            old = Seen(place.bus.tail(["toy.events", "toy.notes"], since=since))
            new = Seen(place.bus.tail(["toy.events"]))
            await until(lambda: old.caught_up and new.caught_up)
            assert len(old.records) == 400 and new.records == []
            await write(300)
            await until(lambda: len(old.records) == 700 and len(new.records) == 300)
            assert old.in_order() and new.in_order()
            assert old.caught_up == new.caught_up == 1
        await old.stop()
        await new.stop()

    async def test_a_tail_begins_before_its_writer(self, place: Place) -> None:
        seen = Seen(place.bus.tail(["toy.events"]))
        await until(lambda: seen.caught_up)
        async with writing(place) as write:
            await write(50)
            await until(lambda: len(seen.records) == 50)
        await seen.stop()

    async def test_a_slow_reader_loses_nothing(self, place: Place) -> None:
        place.bus.ring._size = 20  # far less than what is written while the reader sleeps
        async with writing(place) as write:
            tail = place.bus.tail(["toy.events"])
            await anext(tail)  # it has caught up, and now sleeps
            await write(2_000)
            reader = Seen(tail)
            await until(lambda: len(reader.records) == 2_000)
            assert reader.in_order()
        await reader.stop()

    async def test_another_process_is_woken(self, place: Place) -> None:
        _, there = place.again()
        seen = Seen(there.tail(["toy.events"]))
        await until(lambda: seen.caught_up)
        async with writing(place) as write:
            waiting = asyncio.create_task(there.wait("toy.events", 0, 0, 10))
            await write(400)
            await until(lambda: len(seen.records) == 400)
            assert await waiting
            assert seen.in_order()
        await seen.stop()

    async def test_waiting_ends(self, place: Place) -> None:
        assert not await place.bus.wait("toy.orders", 0, 0, 0)
        assert not await place.bus.wait("toy.orders", 0, 0, 0.02)
