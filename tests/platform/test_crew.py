"""Consumers that go as a crew: one transaction for all, and nobody pays for another's trouble."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from orion.platform import deadletters
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.consume_crew import Crew
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running
from tests.platform.test_consume import QUICK, Effects, applied, in_order
from tests.platform.toy import TOPICS, entity

GROUPS = ("one", "two", "three")


class Noting(Effects):
    """Notes that only count when their transaction commits: one row per group and event."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group

    async def __call__(self, records: Any, sql: Any) -> None:
        await super().__call__(records, None)
        if sql is not None:
            await sql.executemany(
                "insert into toy.rm_notes (tenant, id, notes) values ($1, $2, 1)",
                [(r.tenant, f"{self.group} {r.event_id}") for r in records],
            )


def crew_of(place: Place, effects: dict[str, Noting], *, again: bool = False) -> Crew:
    store, bus = place.again() if again else (place.store, place.bus)
    return Crew(
        [
            Consumer(g, "toy", ("toy.events",), e, bus, store, "1", QUICK, specs=TOPICS)
            for g, e in effects.items()
        ]
    )


def noting(*groups: str) -> dict[str, Noting]:
    return {g: Noting(g) for g in groups or GROUPS}


@contextmanager
def counted(place: Place) -> Iterator[Counter[int]]:
    """How many effects moved how many positions' groups."""
    found: Counter[int] = Counter()
    effect = place.store.effect

    def counting(service: str, tenants: Any, advances: Any, **more: Any) -> Any:
        found[len({a.consumer for a in advances})] += 1
        return effect(service, tenants, advances, **more)

    place.store.effect = counting
    yield found
    del place.store.effect


async def all_applied(place: Place, count: int, *groups: str) -> None:
    for group in groups or GROUPS:
        await applied(place, count, group)


async def notes(place: Place) -> Counter[str]:
    async with place.store.effect("toy", [], ()) as sql:
        rows = await sql.fetch("select split_part(id, ' ', 1) as g from toy.rm_notes")
    return Counter(r["g"] for r in rows)


async def test_one_transaction_moves_all_of_them(place: Place) -> None:
    effects = noting()
    with counted(place) as found:
        async with writing(place) as write, running(crew_of(place, effects)):
            await write(200)
            await all_applied(place, 200)
    assert found[3] > 0 and found[1] == found[2] == 0
    for one in effects.values():
        assert len(one.seen) == 200 and in_order(one.seen)


async def test_a_bad_record_of_one_costs_the_others_nothing(pg: Place) -> None:
    effects = noting()
    effects["two"].invalid.add(entity(3))
    async with writing(pg) as write, running(crew_of(pg, effects)):
        await write(300)
        await all_applied(pg, 300)
        assert await notes(pg) == {"one": 300, "two": 294, "three": 300}
        letters = await deadletters.list_letters(pg.store)
        assert {(x.consumer, x.record.entity) for x in letters} == {("two", entity(3))}
        # It goes by itself while its letters wait, and with the others again after the replay.
        effects["two"].invalid.clear()
        await deadletters.replay_letters(pg.store, consumer="two")
        async with asyncio.timeout(10):
            while (await notes(pg))["two"] < 300:
                await asyncio.sleep(0.01)
        with counted(pg) as found:
            await write(100)
            await all_applied(pg, 400)
        assert found[3] > 0
    assert await notes(pg) == dict.fromkeys(GROUPS, 400)


async def test_while_one_retries_the_others_go_on(place: Place) -> None:
    effects = noting()
    async with writing(place) as write:
        await write(100)
        part = int(entity(5)[:4], 16) % 8
        record = (await place.bus.read("toy.events", part, 0))[0]
        effects["three"].flaky[record.event_id] = 4  # once with the others, three times alone
        async with running(crew_of(place, effects)):
            await all_applied(place, 100)
    assert await place.store.letters() == []
    assert in_order(effects["three"].seen)


async def test_a_new_one_catches_up_and_joins(pg: Place) -> None:
    old, both = noting("one"), noting("one", "new")
    async with writing(pg) as write:
        async with running(crew_of(pg, old)):
            await write(300)
            await all_applied(pg, 300, "one")
        async with running(crew_of(pg, both)):
            await all_applied(pg, 300, "one", "new")
            with counted(pg) as found:
                await write(100)
                await all_applied(pg, 400, "one", "new")
            assert found[2] > 0 and found[1] == 0
    assert await notes(pg) == {"one": 400, "new": 400}


async def test_two_copies_of_a_crew_do_not_double(pg: Place) -> None:
    first, second = noting(), noting()
    async with writing(pg) as write:
        crews = crew_of(pg, first), crew_of(pg, second, again=True)
        tasks = [asyncio.create_task(c.run()) for c in crews]
        for _ in range(10):
            await write(50)
        await all_applied(pg, 500)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    # The table's key refuses a doubled effect, and the positions prove that none is missing.
    assert await notes(pg) == dict.fromkeys(GROUPS, 500)
    assert await pg.store.letters() == []


async def test_groups_of_other_topics_are_no_crew(place: Place) -> None:
    one = Consumer("a", "toy", ("toy.events",), Effects(), place.bus, place.store)
    other = Consumer("b", "toy", ("toy.notes",), Effects(), place.bus, place.store)
    with pytest.raises(ValueError, match="does not hear"):
        Crew([one, other])


def test_a_crew_waits_longer_after_much_and_never_too_long():
    limits = ConsumerLimits(pace_ms=100, pace_per_record_ms=1, longest_pace_ms=250)
    assert [limits.pace_s(n) for n in (0, 50, 150, 5_000)] == [0.1, 0.15, 0.25, 0.25]
    assert ConsumerLimits().pace_s(5_000) == ConsumerLimits().pace_s(0) == 0.02
    assert ConsumerLimits(pace_ms=40).pace_s(10) == 0.04  # the longest is for the busy alone
