"""What becomes of dead letters is said in the log, with the change itself; a replay has its effect
once, whatever is repeated and wherever it breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import asyncpg
import msgspec
import pytest

from orion.platform import deadletters
from orion.platform.bus.port import Record
from orion.platform.store.port import LETTER_TOPIC, DeadLetter, OutcomeUnknown
from orion.platform.verify import verify
from tests.platform.bus_case import writing
from tests.platform.conftest import Place, running, until
from tests.platform.test_consume import Effects, applied, consumer, in_order
from tests.platform.test_follow import Hearer, hears, total
from tests.platform.toy import TOPICS, entity


async def settled(place: Place, group: str, *, count: int) -> None:
    """All letters of the group are replayed."""
    async with asyncio.timeout(20):
        while True:
            letters = await place.store.letters(consumer=group)
            if len(letters) == count and all(x.status == "replayed" for x in letters):
                return
            await asyncio.sleep(0.01)


async def said(place: Place) -> list[tuple[str, int, str]]:
    """(what, sequence, outcome) of everything the log says of letters."""
    records: list[Record] = []
    while more := await place.bus.read(LETTER_TOPIC, 0, len(records)):
        records += more
    assert [r.offset for r in records] == list(range(len(records)))
    return [(r.type, r.seq, msgspec.json.decode(r.body)["outcome"]) for r in records]


async def is_green(place: Place, services: Sequence[str] = ("toy",)) -> None:
    if place.kind == "postgres":
        report = await verify(place.dsn, services=services, specs=TOPICS)
        assert report.violations == []


async def buried(place: Place, effects: Effects) -> DeadLetter:
    """One letter, of the entity's first record."""
    effects.invalid.add(entity(1))
    async with writing(place) as write:
        await write(50)
    async with running(consumer(place, effects)):
        await applied(place, 50)
    letters = await place.store.letters(consumer="group")
    assert len(letters) == 1
    return letters[0]


async def test_each_change_of_a_letter_is_an_event_of_its_own(place: Place) -> None:
    effects = Effects()
    letter = await buried(place, effects)
    assert await said(place) == [("DeadLetterParked", 1, "")]
    async with running(consumer(place, effects)):
        await deadletters.replay_letters(place.store, consumer="group", by="ann")
        await until(lambda: effects.calls[letter.record.event_id] > 2)
        async with asyncio.timeout(20):
            while (await place.store.letters())[0].attempts < 2:
                await asyncio.sleep(0.01)
        effects.invalid.clear()
        assert await deadletters.replay_letters(place.store, consumer="group", by="ben")
        await settled(place, "group", count=1)
    assert await said(place) == [
        ("DeadLetterParked", 1, ""),
        ("DeadLetterReplayed", 2, "FAILED"),
        ("DeadLetterReplayed", 3, "APPLIED"),
    ]
    history = await place.store.told(letter)
    assert [r.seq for r in history] == [1, 2, 3]
    assert [msgspec.json.decode(r.body)["by"] for r in history] == ["", "ann", "ben"]
    assert {r.tenant for r in history} == {letter.record.tenant}
    now = (await place.store.letters())[0]
    assert (now.outcome, now.said, now.asked_by) == ("APPLIED", 3, "ben")
    await is_green(place)


async def test_a_second_replay_does_nothing(place: Place) -> None:
    effects = Effects()
    letter = await buried(place, effects)
    effects.invalid.clear()
    async with running(consumer(place, effects)):
        await deadletters.replay_letters(place.store, consumer="group")
        await settled(place, "group", count=1)
        before = (await said(place), len(effects.seen))
        assert not await deadletters.replay_letters(place.store, consumer="group")
        assert await place.store.request_replay([letter]) == 0
        looked = effects.calls.copy()
        await asyncio.sleep(0.2)  # several looks
        assert (await said(place), len(effects.seen)) == before and effects.calls == looked
    await is_green(place)


async def wanted_again(place: Place, letter: DeadLetter) -> None:
    """The letter as it is after a restore of an older state of it, say: asked for once more."""
    if place.kind == "memory":
        name = next(iter(place.store.dead))
        place.store.dead[name] = replace(letter, status="requested", said=2)
        return
    sql = await asyncpg.connect(place.dsn)
    await sql.execute("update bus.dead_letters set status = 'requested'")
    await sql.close()


async def test_the_inbox_knows_a_letter_that_was_processed(place: Place) -> None:
    effects = Effects()
    letter = await buried(place, effects)
    effects.invalid.clear()
    async with running(consumer(place, effects)):
        await deadletters.replay_letters(place.store, consumer="group")
        await settled(place, "group", count=1)
    assert await place.store.processed("group", [letter])
    assert not await place.store.processed("other", [letter])
    await wanted_again(place, letter)
    async with running(consumer(place, effects)):
        await settled(place, "group", count=1)
    assert len(effects.seen) == 50 and in_order(effects.seen)
    assert [outcome for _, _, outcome in await said(place)] == ["", "APPLIED", "DUPLICATE"]
    await is_green(place)


@pytest.mark.parametrize("how", ["killed", "disconnected"])
async def test_a_crash_between_effect_and_mark_leaves_neither(pg: Place, how: str) -> None:
    letter = await buried(pg, Effects())
    reached = asyncio.Event()

    class Crashes(Effects):
        async def __call__(self, records: Sequence[Record], sql: Any) -> None:
            await super().__call__(records, sql)
            reached.set()
            if how == "disconnected":
                await sql.execute("select pg_terminate_backend(pg_backend_pid())")
            await asyncio.Event().wait()

    await deadletters.replay_letters(pg.store, consumer="group")
    task = asyncio.create_task(consumer(pg, Crashes()).run())
    async with asyncio.timeout(20):
        await reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not await pg.store.processed("group", [letter])
    assert await said(pg) == [("DeadLetterParked", 1, "")]
    effects = Effects()
    async with running(consumer(pg, effects)):
        await settled(pg, "group", count=1)
    assert [r.event_id for r in effects.seen] == [letter.record.event_id]
    async with pg.store.effect("toy", [], ()) as sql:
        assert await sql.fetchval("select count(*) from toy.rm_notes") == 50
        assert await sql.fetchval("select count(*) from bus.processed_events") == 1
    await is_green(pg)


async def test_two_copies_replay_a_letter_once(pg: Place) -> None:
    first = Effects()
    await buried(pg, first)
    one, two = Effects(), Effects()
    async with running(consumer(pg, one), consumer(pg, two, again=True)):
        await deadletters.replay_letters(pg.store, consumer="group")
        await settled(pg, "group", count=1)
    assert [o for _, _, o in await said(pg)] == ["", "APPLIED"]
    async with pg.store.effect("toy", [], ()) as sql:
        assert await sql.fetchval("select count(*) from toy.rm_notes") == 50
    await is_green(pg)


async def test_an_owner_s_replay_is_one_write_with_its_effect(place: Place) -> None:
    hearer = Hearer()
    hearer.invalid.add(entity(1))
    owner = hears(place, hearer)
    async with writing(place) as write, running(owner):
        await write(100)
        await applied(place, 100, "hears")
        assert [t for t, _, _ in await said(place)] == ["DeadLetterParked"] * 2
        hearer.invalid.clear()
        await deadletters.replay_letters(place.store, consumer="hears")
        await settled(place, "hears", count=2)
        assert await total(owner, 1) == 2
        told = await said(place)
        assert sorted(told[2:]) == [("DeadLetterReplayed", 2, "APPLIED")] * 2
    await is_green(place, ("toy", "hears"))


async def test_an_owner_s_replay_of_unknown_outcome_has_its_effect_once(place: Place) -> None:
    hearer = Hearer()
    hearer.invalid.add(entity(1))
    owner = hears(place, hearer)
    put = place.store.put
    lost: list[int] = []

    async def loses(batch: Any) -> None:
        await put(batch)
        if batch.settled and not lost:
            lost.append(len(batch.settled))
            raise OutcomeUnknown("the answer did not come")

    async with writing(place) as write, running(owner):
        await write(50)
        await applied(place, 50, "hears")
        hearer.invalid.clear()
        place.store.put = loses
        await deadletters.replay_letters(place.store, consumer="hears")
        await settled(place, "hears", count=1)
        assert lost == [1]
        assert await total(owner, 1) == 1
        assert [o for _, _, o in await said(place)] == ["", "APPLIED"]
    place.store.put = put
    await is_green(place, ("toy", "hears"))


async def test_an_owner_finds_a_processed_letter_in_the_inbox(pg: Place) -> None:
    hearer = Hearer()
    hearer.invalid.add(entity(1))
    owner = hears(pg, hearer)
    async with writing(pg) as write, running(owner):
        await write(50)
        await applied(pg, 50, "hears")
        hearer.invalid.clear()
        await deadletters.replay_letters(pg.store, consumer="hears")
        await settled(pg, "hears", count=1)
        await write(50)
        await applied(pg, 100, "hears")
        hearer.invalid.add(entity(1))
        await write(50)
        await applied(pg, 150, "hears")
        sql = await asyncpg.connect(pg.dsn)
        await sql.execute("update bus.dead_letters set status = 'requested' where outcome <> ''")
        await sql.close()
        async with asyncio.timeout(20):
            while "DUPLICATE" not in {o for _, _, o in await said(pg)}:
                await asyncio.sleep(0.02)
        assert await total(owner, 1) == 2
    await is_green(pg, ("toy", "hears"))


async def test_a_letter_about_letters_is_kept_and_not_told(place: Place) -> None:
    effects = Effects()
    letter = await buried(place, effects)
    told = (await place.store.told(letter))[0]
    about = DeadLetter("reader", told, "cannot read", "", "1", 1, False)
    await place.store.bury([about], [])
    assert len(await place.store.letters()) == 2
    assert len(await said(place)) == 1


def test_what_is_shown_of_a_record_has_its_form_and_none_of_its_values() -> None:
    body = msgspec.json.encode(
        {"eventId": "e-1", "payload": {"legs": [{"price": "1.0834"}, 77123, None], "is": True}}
    )
    shown = deadletters.redacted(body)
    assert msgspec.json.decode(shown) == {
        "eventId": "e-1",
        "payload": {"legs": [{"price": "***"}, "***", None], "is": True},
    }
    quoted = "ValueError: 1.0834 and 77123 of e-1 cannot be"
    assert deadletters.masked(quoted, body) == "ValueError: *** and *** of e-1 cannot be"
    assert "secret" not in deadletters.redacted(b"secret \xff")
    assert deadletters.masked("near 'secret'", b"secret") == "near '***'"


async def test_one_letter_is_asked_for_with_what_waits_before_it(place: Place) -> None:
    effects = Effects()
    effects.invalid |= {entity(1), entity(2)}
    async with writing(place) as write, running(consumer(place, effects)):
        await write(150)
        await applied(place, 150)
    waiting = await place.store.letters(consumer="group")
    mine = [x for x in waiting if x.record.entity == entity(1)]
    assert (len(waiting), len(mine)) == (6, 3)
    second = mine[1].record
    asked = await deadletters.replay_letters(
        place.store, consumer="group", at=[(second.topic, second.part, second.offset)]
    )
    assert asked == mine[:2]
