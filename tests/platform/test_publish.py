"""Publishers: numbered, gap-free, one writer; sequences survive a restart."""

from __future__ import annotations

import asyncio

import pytest

from orion.platform.clock import SystemClock
from orion.platform.errors import NotOwner
from orion.platform.publish import Publisher, PublisherLimits
from orion.platform.transact import Fact
from tests.platform.conftest import Place, running
from tests.platform.test_owner import whole_log
from tests.platform.toy import TOPICS


def publisher(place: Place, topic: str, *, again: bool = False, address: str = "p", **limits):
    store, bus = place.again() if again else (place.store, place.bus)
    return Publisher(
        store, SystemClock(), topic, log=bus, address=address, spec=TOPICS[topic],
        limits=PublisherLimits(renew_ms=100, lease_ms=1_000, **limits),
    )  # fmt: skip


def fact(p: Publisher, entity: str, sequence: int) -> Fact:
    return Fact(p.topic, entity, sequence, "Ticked", f"{entity}:{sequence}", b"{}")


@pytest.mark.parametrize("topic", ["toy.ticks", "toy.seldom"])
async def test_sequences_and_offsets_have_no_gap_over_restarts(place: Place, topic: str) -> None:
    names = [f"EURUSD{i}" for i in range(7)]
    for run in range(3):
        p = publisher(place, topic, again=run > 0)
        async with running(p):
            for i in range(200):
                name = names[i % (run + 5)]
                assert p.offer("shared", name, fact(p, name, p.sequence("shared", name)))
                if i % 50 == 0:
                    await p.publish("shared", name, fact(p, name, p.sequence("shared", name)))
            await p.flush()
    records = await whole_log(place.bus, topic)
    assert len(records) == 612
    for name in names:
        sequence = [r.seq for r in records if r.entity == name]
        assert sequence == list(range(1, len(sequence) + 1)), name
    assert {r.tenant for r in records} == {"shared"}


async def test_a_wrong_sequence_is_refused(place: Place) -> None:
    p = publisher(place, "toy.ticks")
    async with running(p):
        with pytest.raises(ValueError, match="expected 1"):
            p.offer("shared", "X", fact(p, "X", 2))
        await p.publish("shared", "X", fact(p, "X", 1), fact(p, "X", 2))
    assert len(await whole_log(place.bus, "toy.ticks")) == 2


async def test_too_much_is_refused_and_nothing_taken_is_lost(place: Place) -> None:
    p = publisher(place, "toy.ticks", waiting=100, pace_ms=20.0)
    taken = 0
    async with running(p):
        for _ in range(1_000):
            taken += p.offer("shared", "X", fact(p, "X", p.sequence("shared", "X")))
        assert taken == 100
        await p.room()
        assert p.offer("shared", "X", fact(p, "X", p.sequence("shared", "X")))
        await p.flush()
    assert len(await whole_log(place.bus, "toy.ticks")) == 101


async def test_one_writer(pg: Place) -> None:
    old = publisher(pg, "toy.seldom", address="same")
    async with running(old):
        await old.publish("alpha", "X", fact(old, "X", 1))
        new = publisher(pg, "toy.seldom", again=True, address="same")
        async with running(new):
            await new.publish("alpha", "X", fact(new, "X", 2))
            with pytest.raises(NotOwner):
                await old.publish("alpha", "X", fact(old, "X", 2))
            results = await asyncio.gather(
                *(new.publish("alpha", "X", fact(new, "X", n)) for n in range(3, 40))
            )
    assert len(results) == 37
    assert [r.seq for r in await whole_log(pg.bus, "toy.seldom")] == list(range(1, 40))
