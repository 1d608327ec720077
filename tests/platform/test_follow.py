# ruff: noqa: E501 (statements of SQL keep their lines)
"""An owner that hears another service's topic: position and effect in one write, poison parked,
replay through the same decisions.
"""

from __future__ import annotations

import asyncio

from orion.platform import deadletters
from orion.platform.bus.port import Record
from orion.platform.clock import SystemClock
from orion.platform.errors import InvalidMessage
from orion.platform.transact import Limits, Owner
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running
from tests.platform.test_consume import applied
from tests.platform.toy import Add, End, Explode, ToyAggregate, entity

LIMITS = Limits(renew_ms=100, lease_ms=1_500)


class Hears(ToyAggregate):
    """Counts what it hears of each account, once per fact: the command carries the fact's number."""

    def __init__(self) -> None:
        super().__init__(service="hears", topics=("toy.orders",))

    def decide(self, state, command, context):
        decided = super().decide(state, command, context)
        facts = tuple(
            type(f)("toy.orders", f.entity_id, f.sequence, f.event_type, f"h{f.event_id}", f.body)
            for f in decided.facts
        )
        return type(decided)(decided.state, facts, decided.reply, decided.stored)


class Hearer:
    def __init__(self) -> None:
        self.invalid: set[str] = set()
        self.explode: set[str] = set()

    def __call__(self, record: Record):
        if record.seq % 5 == 0:
            return None
        if record.entity in self.invalid:
            raise InvalidMessage(record.topic, record.part, record.offset, "unreadable")
        if record.entity in self.explode:
            return record.entity, Explode()
        return record.entity, Add(record.entity)


def hears(place: Place, hearer: Hearer, *, again: bool = False, address: str = "h") -> Owner:
    store, bus = place.again() if again else (place.store, place.bus)
    owner = Owner(Hears(), store, bus, SystemClock(), partitions=8, address=address, limits=LIMITS)
    owner.follow("toy.events", "hears", hearer)
    return owner


async def total(owner: Owner, number: int) -> int:
    state = await owner.state("alpha", entity(number))
    return state.total if state else 0


async def test_each_record_is_heard_once_over_restarts_and_takeovers(place: Place) -> None:
    async with writing(place) as write:
        await write(200)
        first = hears(place, Hearer())
        async with running(first):
            await write(200)
            await applied(place, 400, "hears")
        await write(100)
        second = hears(place, Hearer(), again=True, address="other")
        async with running(second):
            await write(100)
            await applied(place, 600, "hears")
            # 12 records of each account, of which every fifth is of no concern.
            assert [await total(second, i) for i in range(50)] == [10] * 50


async def test_what_is_of_no_concern_moves_the_position_with_the_next_or_with_time(
    place: Place,
) -> None:
    def follower(address: str) -> Owner:
        store, bus = place.again()
        owner = Owner(
            Hears(), store, bus, SystemClock(), partitions=8, address=address, limits=LIMITS
        )
        owner.follow("toy.events", "hears", Hearer(), frozenset({"Ended"}))
        return owner

    writer = Owner(
        ToyAggregate(), place.store, place.bus, SystemClock(), partitions=8, address="writer"
    )

    async def add(count: int) -> None:
        await asyncio.gather(
            *(writer.submit("alpha", entity(i), Add(entity(i))) for i in range(count))
        )

    async with running(writer):
        first = follower("first")
        async with running(first):
            await add(40)
            await applied(place, 40, "hears")  # with time alone
            assert await total(first, 3) == 0
            await add(40)
            await writer.submit("alpha", entity(3), End())
            async with asyncio.timeout(20):
                while await total(first, 3) != 1:
                    await asyncio.sleep(0.005)
        second = follower("second")  # hears what the first had only passed over again, to no effect
        async with running(second):
            await writer.submit("alpha", entity(4), End())
            await applied(place, 82, "hears")
            assert [await total(second, i) for i in range(6)] == [0, 0, 0, 1, 1, 0]


async def test_the_same_address_comes_back_while_the_old_one_still_works(pg: Place) -> None:
    async with writing(pg) as write:
        old, new = hears(pg, Hearer()), hears(pg, Hearer(), again=True)
        async with running(old):
            await write(300)
            async with running(new):
                await write(300)
                await applied(pg, 600, "hears")
                assert [await total(new, i) for i in range(50)] == [10] * 50


async def test_poison_becomes_a_letter_and_parks_its_entity(place: Place) -> None:
    hearer = Hearer()
    hearer.invalid.add(entity(1))
    hearer.explode.add(entity(2))
    owner = hears(place, hearer)
    async with writing(place) as write, running(owner):
        await write(100)
        await write(50)
        await applied(place, 150, "hears")
        letters = await deadletters.list_letters(place.store, consumer="hears")
        assert {x.record.entity for x in letters} == {entity(1), entity(2)}
        assert len(letters) == 6 and sum(x.parked for x in letters) == 4
        assert {x.error for x in letters if not x.parked} == {
            "RuntimeError: a bug in decide",
            next(x.error for x in letters if "unreadable" in x.error),
        }
        assert [await total(owner, i) for i in range(4)] == [3, 0, 0, 3]
        hearer.invalid.clear()
        hearer.explode.clear()
        await deadletters.replay_letters(place.store, consumer="hears")
        async with asyncio.timeout(20):
            while await deadletters.list_letters(place.store, consumer="hears"):
                await asyncio.sleep(0.02)
        assert [await total(owner, i) for i in range(4)] == [3, 3, 3, 3]
        await write(50)
        await applied(place, 200, "hears")
        assert [await total(owner, i) for i in range(4)] == [4, 4, 4, 4]


async def test_a_position_that_another_moved_is_taken_note_of(pg: Place) -> None:
    owner = hears(pg, Hearer())
    async with writing(pg) as write, running(owner):
        await write(100)
        await applied(pg, 100, "hears")
        async with pg.store.effect("x", [], ()) as sql:
            await sql.execute(
                "update bus.ckpt set offs = offs - 2, done = done - 2 where consumer = 'hears' and part = 1"
            )
        await write(100)
        await applied(pg, 200, "hears")
