"""The owner over both stores: decisions become durable once, in order, or not at all."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from orion.platform.clock import SystemClock
from orion.platform.errors import Coded, NotOwner
from orion.platform.lease import Tenure
from orion.platform.transact import Commit, Key, Limits, Owner
from tests.platform.conftest import Place, running, until
from tests.platform.toy import Add, Ask, End, Explode, ToyAggregate, entity

FAST = Limits(lease_ms=1_500, renew_ms=100)


def owner_of(
    place: Place, address: str = "here", *, limits: Limits = FAST, again: bool = False, **more
):
    store, bus = place.again() if again else (place.store, place.bus)
    aggregate = more.pop("aggregate", None) or ToyAggregate()
    return Owner(
        aggregate, store, bus, SystemClock(), partitions=8, address=address, limits=limits, **more
    )


def key(name: str, digest: bytes = b"h") -> Key:
    return Key("subject", "POST /x", name, digest)


async def whole_log(bus, *topics: str):
    records = []
    for topic in topics:
        for part, end in (await bus.ends(topic)).items():
            offset = 0
            while offset < end:
                batch = await bus.read(topic, part, offset)
                assert batch[0].offset == offset
                records += batch
                offset = batch[-1].offset + 1
    return records


async def test_command_is_durable_and_read_back(place: Place) -> None:
    owner, e = owner_of(place), entity("a")
    async with running(owner):
        assert await owner.submit("alpha", e, Add(e, 5, notes=2)) == {
            "total": 5, "version": 3, "ordinal": 1,
        }  # fmt: skip
        assert (await owner.submit("alpha", e, Add(e, 7)))["total"] == 12
        state = await owner.state("alpha", e)
        assert state is not None and state.total == 12
        assert await owner.state("beta", e) is None
        assert [(t, x) for t, x, _ in owner.live()] == [("alpha", e)]
    records = await whole_log(place.bus, "toy.events", "toy.notes")
    assert [(r.topic, r.seq, r.entity) for r in records] == [
        ("toy.events", 1, e), ("toy.events", 2, e),
        ("toy.notes", 1, f"{e}-note"), ("toy.notes", 2, f"{e}-note"),
    ]  # fmt: skip


async def test_a_restart_forgets_nothing(place: Place) -> None:
    e, gone = entity("kept"), entity("gone")
    first = owner_of(place)
    async with running(first):
        await first.submit("alpha", e, Add(e, 5), key("k"))
        await first.submit("alpha", gone, Add(gone, 1))
        await first.submit("alpha", gone, End())
    second = owner_of(place, again=True)
    async with running(second):
        assert [x for _, x, _ in second.live()] == [e]
        assert (await second.submit("alpha", e, Add(e, 5), key("k")))["version"] == 1
        assert (await second.submit("alpha", e, Add(e, 1)))["total"] == 6
        # An ended one is not in memory, and is still known: to reads and to decisions.
        assert (await second.submit("alpha", gone, Add(gone, 1))) == {"error": "ended"}
        state = await second.state("alpha", gone)
        assert state is not None and state.ended
        assert sum(len(r) for r in second.aggregate.warmed.values()) == 3
    assert len(await whole_log(place.bus, "toy.events")) == 4


async def test_same_key_same_answer_once(place: Place) -> None:
    owner, e = owner_of(place), entity("k")
    async with running(owner):
        first = await owner.submit("alpha", e, Add(e, 5), key("k"))
        assert await owner.submit("alpha", e, Add(e, 5), key("k")) == first
        with pytest.raises(Coded, match="API-102"):
            await owner.submit("alpha", e, Add(e, 6), key("k", b"other"))
        assert (await owner.submit("beta", e, Add(e, 5), key("k")))["total"] == 5
        racing = [
            asyncio.create_task(owner.submit("alpha", e, Add(e, 1), key("r"))) for _ in range(5)
        ]
        results = await asyncio.gather(*racing, return_exceptions=True)
    codes = Counter(r.code if isinstance(r, Coded) else "ok" for r in results)
    assert codes == {"ok": 1, "API-103": 4}
    assert len(await whole_log(place.bus, "toy.events")) == 3


async def test_a_reply_that_is_not_kept_is_decided_again(place: Place) -> None:
    owner, e = owner_of(place), entity("ask")
    async with running(owner):
        assert await owner.submit("alpha", e, Ask(), key("q")) == {"total": None}
        await owner.submit("alpha", e, Add(e, 3))
        assert await owner.submit("alpha", e, Ask(), key("q")) == {"total": 3}
        assert await owner.submit("alpha", e, Ask(is_stored=True), key("s")) == {"total": 3}
        await owner.submit("alpha", e, Add(e, 3))
        assert await owner.submit("alpha", e, Ask(is_stored=True), key("s")) == {"total": 3}
        # as after a restart: now only the inbox knows, even for an answer that would not be kept
        owner.keys.clear()
        assert await owner.submit("alpha", e, Ask(), key("s")) == {"total": 3}


async def test_a_bug_in_one_command_harms_no_other(place: Place) -> None:
    owner, e = owner_of(place), entity("bug")
    async with running(owner):
        results = await asyncio.gather(
            owner.submit("alpha", e, Add(e, 1)), owner.submit("alpha", e, Explode()),
            owner.submit("alpha", e, Add(e, 1)), return_exceptions=True,
        )  # fmt: skip
        assert isinstance(results[1], Coded) and results[1].code == "SYS-900"
        assert results[1].extra["errorId"] in results[1].detail
        assert (await owner.state("alpha", e)).total == 2


async def test_poison_is_found_alone(pg: Place) -> None:
    aggregate = ToyAggregate(poison=666)
    owner = owner_of(pg, aggregate=aggregate)
    async with running(owner):
        names = [entity(f"p{i}") for i in range(40)]
        results = await asyncio.gather(
            *(owner.submit("alpha", e, Add(e, 666 if i == 17 else 1)) for i, e in enumerate(names)),
            return_exceptions=True,
        )
        assert [i for i, r in enumerate(results) if isinstance(r, Exception)] == [17]
        assert results[17].code == "SYS-900"
        assert await owner.state("alpha", names[17]) is None
        assert (await owner.submit("alpha", names[17], Add(names[17], 1)))["total"] == 1
    assert len(await whole_log(pg.bus, "toy.events")) == 40


async def test_order_and_numbers_under_load(place: Place) -> None:
    owner = owner_of(place)
    commits: list[Commit] = []
    owner.on_commit(commits.append)

    async def life(name: str, tenant: str) -> list[int]:
        return [
            (await owner.submit(tenant, name, Add(name, 1, notes=1)))["total"] for _ in range(20)
        ]

    async with running(owner):
        totals = await asyncio.gather(*(life(entity(f"l{i}"), "ab"[i % 2]) for i in range(60)))
    assert all(t == list(range(1, 21)) for t in totals)
    records = await whole_log(place.bus, "toy.events", "toy.notes")
    assert len(records) == 2_400
    for name in {r.entity for r in records}:
        assert [r.seq for r in records if r.entity == name] == list(range(1, 21))
    told = [r for c in commits for r in c.records]
    assert sorted(told, key=lambda r: (r.topic, r.part, r.offset)) == sorted(
        records, key=lambda r: (r.topic, r.part, r.offset)
    )
    assert all(
        [r.at for r in records if (r.topic, r.part) == h]
        == sorted(r.at for r in records if (r.topic, r.part) == h)
        for h in {(r.topic, r.part) for r in records}
    )


async def test_ordinals_count_per_tenant_and_partition(place: Place) -> None:
    names = [entity(f"o{i}", slot=3) for i in range(3)]
    first = owner_of(place)
    async with running(first):
        numbers = [(await first.submit("alpha", e, Add(e)))["ordinal"] for e in names[:2]]
        assert (await first.submit("beta", names[0], Add(names[0])))["ordinal"] == 1
    second = owner_of(place, again=True)
    async with running(second):
        numbers.append((await second.submit("alpha", names[2], Add(names[2])))["ordinal"])
    assert numbers == [1, 2, 3]


async def test_deadlines_ring_once_also_over_a_restart(place: Place) -> None:
    clock = SystemClock()
    soon, later, moved = entity("soon"), entity("later"), entity("moved")
    first = owner_of(place)
    async with running(first):
        await first.submit("alpha", soon, Add(soon, deadline=clock.now() + 50_000))
        await first.submit("alpha", later, Add(later, deadline=clock.now() + 600_000))
        await first.submit("alpha", moved, Add(moved, deadline=clock.now() + 50_000))
        await first.submit("alpha", moved, Add(moved, deadline=clock.now() + 3_600_000_000))
        await until(lambda: first.memory.live[("alpha", soon)].state.dues == 1)
    second = owner_of(place, again=True)
    async with running(second):
        await until(lambda: second.memory.live[("alpha", later)].state.dues == 1)
        assert second.memory.live[("alpha", moved)].state.dues == 0
    dues = Counter(r.entity for r in await whole_log(place.bus, "toy.events") if r.type == "Due")
    assert dues == {soon: 1, later: 1}


async def test_a_full_tenant_is_told_so_and_others_go_on(place: Place) -> None:
    owner = owner_of(place, limits=Limits(waiting_per_tenant=10, pace_ms=20))
    e = entity("full")
    async with running(owner):
        tasks = [asyncio.create_task(owner.submit("alpha", e, Add(e))) for _ in range(30)]
        await asyncio.sleep(0)
        other = await owner.submit("beta", e, Add(e))
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert other["total"] == 1
    refused = [r for r in results if isinstance(r, Coded)]
    assert refused and {r.code for r in refused} == {"SYS-904"}
    assert len(await whole_log(place.bus, "toy.events")) == 1 + 30 - len(refused)


async def test_not_owner_says_who_is(place: Place) -> None:
    first = owner_of(place, "first", share=False)
    second = owner_of(place, "second", again=True, share=False)
    e = entity("x")
    async with running(first), running(second):
        with pytest.raises(NotOwner) as refused:
            await second.submit("alpha", e, Add(e))
        assert refused.value.address == "first"
        with pytest.raises(NotOwner):
            await second.state("alpha", e)
        await first.submit("alpha", e, Add(e))


async def test_a_standby_takes_over_after_a_hand_over(place: Place) -> None:
    e = entity("x")
    first, second = (
        owner_of(place, "first", share=False),
        owner_of(place, "second", again=True, share=False),
    )
    async with running(first):
        await first.submit("alpha", e, Add(e, 4))
        standby = asyncio.create_task(second.run())
        await until(second.tenure.settled.is_set)
        assert not second.open
    await until(lambda: len(second.open) == 8)
    assert (await second.submit("alpha", e, Add(e, 4)))["total"] == 8
    standby.cancel()
    await asyncio.gather(standby, return_exceptions=True)


async def test_two_copies_share_and_hand_over_without_a_loss(place: Place) -> None:
    first, second = owner_of(place, "first"), owner_of(place, "second", again=True)
    names = [entity(f"s{i}") for i in range(40)]
    acked: Counter[str] = Counter()

    async def send(name: str) -> None:
        for o in (first, second):
            try:
                await o.submit("alpha", name, Add(name))
            except NotOwner:
                continue
            acked[name] += 1
            return

    async with running(first):
        await asyncio.gather(*map(send, names))
        async with running(second):
            while len(first.open) != 4 or len(second.open) != 4:
                await asyncio.gather(*map(send, names))
            await asyncio.gather(*map(send, names))
            assert set(first.open) | set(second.open) == set(range(8))
            totals = {}
            for name in names:
                o = first if int(name[:4], 16) % 8 in first.open else second
                totals[name] = (await o.state("alpha", name)).total
    assert totals == dict(acked)
    assert len(await whole_log(place.bus, "toy.events")) == sum(acked.values())


async def test_a_deposed_owner_cannot_write(pg: Place) -> None:
    e = entity("x")
    old = owner_of(pg, "same")
    async with running(old):
        await old.submit("alpha", e, Add(e, 1))
        new = owner_of(pg, "same", again=True)  # its supervisor thought it dead
        async with running(new):
            assert (await new.submit("alpha", e, Add(e, 1)))["total"] == 2
            with pytest.raises(NotOwner):
                await old.submit("alpha", e, Add(e, 100))
            assert (await new.submit("alpha", e, Add(e, 1)))["total"] == 3
    assert len(await whole_log(pg.bus, "toy.events")) == 3


async def test_a_batch_of_refusals_also_proves_the_fence(pg: Place) -> None:
    e = entity("x")
    old = owner_of(pg, "same", limits=Limits(renew_ms=60_000, lease_ms=120_000))
    async with running(old):
        await old.submit("alpha", e, Add(e, 1))
        new = owner_of(pg, "same", again=True)
        async with running(new):
            with pytest.raises(NotOwner):
                await old.submit("alpha", e, Ask())


async def test_facts_without_state_are_a_bug(place: Place) -> None:
    class Careless(ToyAggregate):
        def decide(self, state, command, context):
            decided = super().decide(state, command, context)
            return type(decided)(None, decided.facts, decided.reply, decided.stored)

    owner, e = owner_of(place, aggregate=Careless()), entity("x")
    async with running(owner):
        with pytest.raises(Coded, match="SYS-900"):
            await owner.submit("alpha", e, Add(e))
    assert await whole_log(place.bus, "toy.events") == []


async def test_replies_older_than_a_week_are_forgotten(place: Place) -> None:
    owner, e = owner_of(place), entity("old")
    async with running(owner):
        await owner.submit("alpha", e, Add(e), key("one"))
        now = SystemClock().now()
        assert await place.store.prune_inbox("toy", now - 1_000_000_000) == 0
        assert await place.store.prune_inbox("toy", now + 1_000_000) == 1


async def test_who_has_every_partition_asks_for_nothing_more(place: Place) -> None:
    """An idle platform renews its leases and does nothing else about them."""
    asked: Counter[str] = Counter()

    class Watched:
        def __getattr__(self, name: str):
            asked[name] += 1
            return getattr(place.store, name)

    async def nothing(_part: object) -> None:
        pass

    def tenure(address: str, *, share: bool) -> Tenure:
        return Tenure(
            "toy", ("toy.events",), 8, Watched(), SystemClock(), address,  # type: ignore[arg-type]
            took=nothing, lost=lambda _part: None, drain=nothing, share=share,
        )  # fmt: skip

    async def round_of(one: Tenure) -> dict[str, int]:
        asked.clear()
        await one.step()
        await one.renew()
        return dict(asked)

    await place.store.ensure(("toy.events",), 8)
    alone = tenure("a", share=False)
    await alone.step()
    assert len(alone.parts) == 8
    assert await round_of(alone) == {"renew": 1}, "it has all, and shares with nobody"
    alone.depose(3)
    assert await round_of(alone) == {"holders": 1, "renew": 1}, "what it lost it looks for again"
    await place.store.release(("toy.events",), [3], alone.instance)  # as if its lease were over
    await alone.leave()
    both = [tenure("b", share=True), tenure("c", share=True)]
    await both[0].step()
    assert await round_of(both[0]) == {"announce": 1, "renew": 1}, "others may want a share"
    await both[1].step()
    assert await round_of(both[0]) == {"announce": 1, "release": 4, "renew": 1, "holders": 1}
    await both[1].step()
    assert [len(t.parts) for t in both] == [4, 4]
    assert await round_of(both[1]) == {"announce": 1, "holders": 1, "renew": 1}, "and where to send"
    for one in both:
        await one.leave()
