"""Consumers: exactly-once effects, retries, dead letters that park their entity, replay."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec

from orion.platform import deadletters
from orion.platform.bus.port import Record
from orion.platform.consume import Consumer, ConsumerLimits, Handle
from orion.platform.errors import InvalidMessage
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running, until
from tests.platform.toy import TOPICS, entity

QUICK = ConsumerLimits(
    pace_ms=1,
    retries_s=(0.005, 0.01, 0.02),
    look_s=0.05,
    standby_s=0.05,
    dead_letters_per_tenant=1_000,
)


class Effects:
    """A handler whose effects count only when their transaction commits (memory: at once, as it
    never rolls back).
    """

    def __init__(self) -> None:
        self.seen: list[Record] = []
        self.invalid: set[str] = set()
        self.flaky: dict[str, int] = {}
        self.broken: set[str] = set()
        self.calls: dict[str, int] = defaultdict(int)

    async def __call__(self, records: Sequence[Record], sql: Any) -> None:
        for r in records:
            self.calls[r.event_id] += 1
            if r.entity in self.invalid:
                raise InvalidMessage(r.topic, r.part, r.offset, "cannot be understood")
            if self.flaky.get(r.event_id, 0) > 0:
                self.flaky[r.event_id] -= 1
                raise OSError("the neighbour sleeps")
            if r.entity in self.broken:
                raise RuntimeError("a bug in the handler")
        if sql is not None:
            await sql.executemany(
                "insert into toy.rm_notes (tenant, id, notes) values ($1, $2, 1)",
                [(r.tenant, r.event_id) for r in records],
            )
        self.seen += records


def consumer(place: Place, effects: Handle, *, again: bool = False, limits=QUICK) -> Consumer:
    store, bus = place.again() if again else (place.store, place.bus)
    return Consumer(
        "group", "toy", ("toy.events",), effects, bus, store, "7.1", limits, specs=TOPICS
    )


async def applied(place: Place, count: int, group: str = "group") -> None:
    """The positions say so: what a handler has seen is not committed yet."""
    async with asyncio.timeout(20):
        while sum((await place.store.positions(group)).values()) < count:
            await asyncio.sleep(0.005)


def in_order(records: Sequence[Record]) -> bool:
    last: dict[str, int] = defaultdict(int)
    for r in records:
        if r.seq != last[r.entity] + 1:
            return False
        last[r.entity] = r.seq
    return True


async def test_each_record_has_its_effect_once_and_in_order(place: Place) -> None:
    effects = Effects()
    async with writing(place) as write:
        await write(300)
        async with running(consumer(place, effects)):
            await write(300)
            await applied(place, 600)
        async with running(consumer(place, effects, again=True)):
            await write(100)
            await applied(place, 700)
    assert len(effects.seen) == 700
    assert in_order(effects.seen)
    assert sum((await place.store.positions("group")).values()) == 700


async def test_of_what_is_far_behind_pieces_of_few_partitions_come_and_nobody_starves(
    place: Place,
) -> None:
    effects, rounds = Effects(), list[Counter[int]]()

    async def heard(records: Sequence[Record], sql: Any) -> None:
        rounds.append(Counter(r.part for r in records))
        await effects(records, sql)

    limits = ConsumerLimits(batch=20, piece=10, pace_ms=0, look_s=0.05)
    async with writing(place) as write:
        await write(400)
        async with running(consumer(place, heard, limits=limits)):
            await applied(place, 400)
    parts = len({r.part for r in effects.seen})
    assert parts > 2 and in_order(effects.seen)
    assert rounds[0].total() == 20 and len(rounds[0]) == 2, "two pieces, not a bit of each"
    early = Counter[int]()
    for one in rounds[: -(-parts // 2)]:
        early += one
    assert len(early) == parts, "each had its turn before one had a second"


async def test_two_copies_do_not_double(pg: Place) -> None:
    effects = Effects()
    async with writing(pg) as write:
        one, two = consumer(pg, effects), consumer(pg, effects, again=True)
        tasks = [asyncio.create_task(c.run()) for c in (one, two)]
        for _ in range(20):
            await write(50)
        # The table's key refuses a doubled effect, and the positions prove that none is missing.
        await until(lambda: len({r.event_id for r in effects.seen}) == 1_000)
        await applied(pg, 1_000)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    async with pg.store.effect("toy", [], ()) as sql:
        assert await sql.fetchval("select count(*) from toy.rm_notes") == 1_000


async def test_an_invalid_record_is_a_dead_letter_at_once_and_parks_its_entity(
    place: Place,
) -> None:
    effects = Effects()
    bad = entity(3)
    effects.invalid.add(bad)
    async with writing(place) as write:
        await write(200)
        async with running(consumer(place, effects)):
            await write(100)
            await applied(place, 300)
            assert len(effects.seen) == 294
            letters = await deadletters.list_letters(place.store, consumer="group")
            assert [x.record.seq for x in letters] == [1, 2, 3, 4, 5, 6]
            first = letters[0]
            assert "cannot be understood" in first.error and "InvalidMessage" in first.trace
            assert first.version == "7.1" and not first.parked
            assert msgspec.json.decode(first.record.body)["id"] == bad
            assert all(x.parked and "earlier event" in x.error for x in letters[1:])
            assert effects.calls[first.record.event_id] <= 2  # once in its batch, once alone

            # Asked for one at a time or all at once: never out of order, through the same handler.
            assert await place.store.request_replay(letters[2:3]) == 1
            effects.invalid.clear()
            await asyncio.sleep(0.2)
            assert bad not in {r.entity for r in effects.seen}
            await deadletters.replay_letters(place.store, consumer="group", entity=bad)
            await until(lambda: len(effects.seen) == 300)
            async with asyncio.timeout(10):
                while await deadletters.list_letters(place.store, consumer="group"):
                    await asyncio.sleep(0.01)
            assert in_order(effects.seen)
            again = await deadletters.replay_letters(place.store, consumer="group")
            assert not again
            await write(50)
            await until(lambda: len(effects.seen) == 350)
    assert in_order(effects.seen)
    shown = await deadletters.show_letter(
        place.store, "group", "toy.events", first.record.part, first.record.offset
    )
    assert shown is not None and shown.status == "replayed"
    assert shown.record == first.record  # id, tenant, time and bytes as they were


async def test_a_passing_failure_is_retried_and_leaves_no_letter(place: Place) -> None:
    effects = Effects()
    async with writing(place) as write:
        await write(100)
        record = (await place.bus.read("toy.events", int(entity(5)[:4], 16) % 8, 0))[0]
        effects.flaky[record.event_id] = 3
        async with running(consumer(place, effects)):
            await until(lambda: len(effects.seen) == 100)
    assert in_order(effects.seen)
    assert await place.store.letters() == []


async def test_after_its_retries_a_failure_is_a_letter_and_the_rest_goes_on(place: Place) -> None:
    effects = Effects()
    effects.broken.add(entity(9))
    async with writing(place) as write:
        await write(50)
        async with running(consumer(place, effects)):
            await applied(place, 50)
            letters = await place.store.letters()
    assert len(letters) == 1 and letters[0].attempts == 4
    assert "RuntimeError: a bug in the handler" in letters[0].error
    assert sum((await place.store.positions("group")).values()) == 50


async def test_a_failed_replay_waits_again(place: Place) -> None:
    effects = Effects()
    effects.invalid.add(entity(4))
    async with writing(place) as write:
        await write(100)
        async with running(consumer(place, effects)):
            await applied(place, 100)
            await deadletters.replay_letters(place.store, consumer="group")
            async with asyncio.timeout(10):
                while (await place.store.letters())[0].attempts < 2:
                    await asyncio.sleep(0.01)
            letters = await place.store.letters()
    assert [x.record.seq for x in letters] == [1, 2]
    assert letters[0].status == "waiting"


async def test_too_many_letters_of_one_tenant_stop_the_consumer(place: Place) -> None:
    effects = Effects()
    effects.invalid.update(entity(i) for i in range(50))
    limits = ConsumerLimits(pace_ms=1, look_s=0.05, dead_letters_per_tenant=10)
    one = consumer(place, effects, limits=limits)
    async with writing(place) as write:
        await write(50)
        task = asyncio.create_task(one.run())
        await until(lambda: one.stopped)
        assert "alpha" in one.ready()
        count = len(await place.store.letters())
        assert 10 <= count < 50
        effects.invalid.clear()
        await deadletters.replay_letters(place.store, consumer="group")
        await until(lambda: len(effects.seen) == 50)
        assert one.stopped is None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
