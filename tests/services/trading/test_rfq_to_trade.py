"""From the ask to the trade through the real owners, over memory and over PostgreSQL: the way it
goes, and every race on it."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from orion.core.rfq import events as e
from orion.core.rfq.state import Rfq
from orion.platform.clock import ManualClock
from orion.platform.errors import Coded
from orion.services.rfq.aggregate import Answer
from tests.services.trading.street import GRANTS, Street, code_of, outcome

SECOND = 1_000_000
ROUNDS = 30


async def test_the_whole_way_from_request_to_trade(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, answer = await street.create("key-000001")
        assert answer.details and answer.details.status == "SENT" and answer.details.version == 2
        await street.quote(rfq_id, "ASH", "1.14630")
        best, _ = await street.quote(rfq_id, "BIRCH", "1.14628")
        accepted = await street.accept(rfq_id, best)
        assert accepted.details and accepted.details.status == "ACCEPTED"
        state = await street.settled(rfq_id, status="TRADED")
        trade = await street.trade(accepted.details.trade_id)
        assert trade and trade.price == Decimal("1.14628") and trade.seller == "BIRCH"
        assert (state.trade_id, state.trade_display_id) == (trade.trade_id, trade.display_id)
        assert trade.display_id.removeprefix("T-") == state.terms.display_id.removeprefix("R-")
        assert await street.names(rfq_id) == [
            "RFQCreated", "RFQSent", "RFQQuoting", "QuoteAccepted", "RFQTraded",
        ]  # fmt: skip
        assert len(await street.trades(rfq_id)) == 1


async def test_two_copies_share_the_work_and_make_one_trade_each(
    ground: Any, clock: ManualClock
) -> None:
    async with Street(*ground, clock, copies=2) as street:
        made = {}
        for n in range(12):
            rfq_id, _ = await street.create(f"key-{n:06}", user=f"trader{n}")
            quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
            accepted = await street.accept(rfq_id, quote_id, user=f"trader{n}")
            assert accepted.details
            made[rfq_id] = accepted.details.trade_id
        for rfq_id in made:
            await street.settled(rfq_id, status="TRADED")
        trades = await street.trades()
        assert {t.trade.rfq_id: t.trade.trade_id for t in trades} == made
        assert len(trades) == 12, "one trade for each"


async def _race(street: Street, n: int) -> tuple[str, Counter[str]]:
    rfq_id, _ = await street.create(f"race-{n:06}", user=f"racer{n}")
    quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
    clicks = [
        street.accept(rfq_id, quote_id, version=3, key=f"click-{n}-{i:04}", user=f"racer{n}")
        for i in range(50)
    ]
    random.Random(n).shuffle(clicks)
    outcomes = Counter(await asyncio.gather(*map(outcome, clicks)))
    return rfq_id, outcomes


async def test_fifty_accepts_of_one_quote_give_one_trade(ground: Any, clock: ManualClock) -> None:
    await _races(ground, clock, ROUNDS)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_races_give_a_thousand_trades(ground: Any, clock: ManualClock) -> None:
    await _races(ground, clock, 1_000)


async def _races(ground: Any, clock: ManualClock, rounds: int) -> None:
    async with Street(*ground, clock) as street:
        raced = []
        for n in range(rounds):
            rfq_id, outcomes = await _race(street, n)
            assert outcomes["ok"] == 1, outcomes
            assert set(outcomes) <= {"ok", "RFQ-205"}, outcomes
            raced.append(rfq_id)
        for rfq_id in raced:
            await street.settled(rfq_id, status="TRADED")
        by_rfq = Counter(t.trade.rfq_id for t in await street.trades())
        assert by_rfq == Counter(raced), "each race made exactly one trade"


@pytest.mark.parametrize("seed", range(6))
async def test_accept_cancel_and_expiry_at_once_end_in_one_way(
    ground: Any, clock: ManualClock, seed: int
) -> None:
    chance = random.Random(seed)
    async with Street(*ground, clock) as street:
        for n in range(5):
            rfq_id, _ = await street.create(f"mixed-{n:05}", user=f"mixer{n}", expiry_seconds=5)
            quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
            state = await street.state(rfq_id)
            assert state
            clock.at = max(clock.at, state.terms.expires_at + chance.choice((-1, 0, 1)))
            acts = [
                street.accept(rfq_id, quote_id, version=3, key=f"acc-{n}-{i:05}", user=f"mixer{n}")
                for i in range(5)
            ]
            chance.shuffle(acts)
            ways = Counter(await asyncio.gather(*map(outcome, acts)))
            state = await street.state(rfq_id)
            assert state
            late = clock.at >= state.terms.expires_at
            assert ways["ok"] == (0 if late else 1), (ways, late)
            await street.settled(rfq_id, status="EXPIRED" if late else "TRADED")
            names = await street.names(rfq_id)
            assert ("QuoteAccepted" in names) != ("RFQExpired" in names)
            assert names.count("RFQExpired") + names.count("QuoteAccepted") == 1


async def test_a_cancel_and_accepts_at_once_end_in_one_way(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        seen = set()
        for n in range(8):
            rfq_id, _ = await street.create(f"cancel-{n:05}")
            quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
            acts = [
                street.accept(rfq_id, quote_id, version=3, key="accept-0001"),
                street.cancel(rfq_id),
            ]
            if n % 2:
                acts.reverse()
            await asyncio.gather(*map(outcome, acts))
            names = await street.names(rfq_id)
            assert names.count("QuoteAccepted") + names.count("RFQCancelled") == 1
            seen.add("QuoteAccepted" in names)
            clock.advance(10 * SECOND)
        assert seen == {True, False}, "both ways were seen"


async def test_after_a_last_look_reject_another_quote_wins(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        looked, _ = await street.quote(rfq_id, "CEDAR", "1.14626")
        other, _ = await street.quote(rfq_id, "ASH", "1.14630")
        first = await street.accept(rfq_id, looked)
        assert first.details and first.details.status == "ACCEPTED"
        assert first.details.HasField("last_look") and not first.details.HasField("trade_id")
        assert code_of(await street.look(rfq_id, "CEDAR", looked, passed=False)) is None
        state = await street.settled(rfq_id, status="QUOTING")
        assert state.reason_code == "RFQ-207"
        assert code_of(await street.accept(rfq_id, looked, key="again-0001")) == "RFQ-208"
        await street.accept(rfq_id, other, key="other-0001")
        await street.settled(rfq_id, status="TRADED")
        assert [t.trade.lp_id for t in await street.trades(rfq_id)] == ["ASH"]


async def test_a_last_look_that_passes_makes_the_trade(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        looked, _ = await street.quote(rfq_id, "CEDAR", "1.14626")
        await street.accept(rfq_id, looked)
        assert not await street.trades(rfq_id), "nothing is traded while the dealer may look"
        await asyncio.gather(*(street.look(rfq_id, "CEDAR", looked, passed=True) for _ in range(3)))
        await street.settled(rfq_id, status="TRADED")
        assert len(await street.trades(rfq_id)) == 1


async def test_a_silent_dealer_loses_its_last_look(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        looked, _ = await street.quote(rfq_id, "CEDAR", "1.14626")
        await street.accept(rfq_id, looked)
        clock.advance(501_000)
        state = await street.settled(rfq_id, status="QUOTING")
        assert state.reason_code == "RFQ-213"
        late = await street.look(rfq_id, "CEDAR", looked, passed=True)
        assert code_of(late) in (None, "LP-301")
        assert not await street.trades(rfq_id)


async def test_late_quotes_are_discarded_and_recorded(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001", expiry_seconds=5)
        clock.advance(5 * SECOND)
        await street.settled(rfq_id, status="EXPIRED")
        _, late = await street.quote(rfq_id, "ASH", "1.14630")
        assert code_of(late) == "LP-301"
        _, again = await street.quote(rfq_id, "ASH", "1.14630")
        assert code_of(again) == "LP-301"
        recorded = await street.events("rfq.quotes", rfq_id)
        assert [type(x).__name__ for x in recorded] == ["QuoteDiscarded"], "once, whatever is sent"


async def test_a_quote_sent_twice_counts_once(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        await asyncio.gather(*(street.quote(rfq_id, "ASH", "1.14630") for _ in range(10)))
        state = await street.state(rfq_id)
        assert state and len(state.quotes) == 1
        assert len(await street.events("rfq.quotes", rfq_id)) == 1


async def test_a_restart_neither_forgets_nor_doubles_an_expiry(
    ground: Any, clock: ManualClock
) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001", expiry_seconds=10)
        await street.quote(rfq_id, "ASH", "1.14630")
        await street.restart()
        state = await street.state(rfq_id)
        assert state and state.status.value == "QUOTING" and len(state.quotes) == 1
        clock.advance(11 * SECOND)
        await street.settled(rfq_id, status="EXPIRED")
        await street.restart()
        clock.advance(60 * SECOND)
        assert (await street.names(rfq_id)).count("RFQExpired") == 1


async def test_the_same_key_gives_the_same_answer_also_after_a_restart(
    ground: Any, clock: ManualClock
) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, first = await street.create("key-000001")
        quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
        accepted = await street.accept(rfq_id, quote_id, version=3)
        await street.settled(rfq_id, status="TRADED")
        await street.restart()
        _, again = await street.create("key-000001")
        assert _bytes(again) == _bytes(first), "to the byte, though the RFQ has moved on"
        twice = await street.accept(rfq_id, quote_id, version=3)
        assert _bytes(twice) == _bytes(accepted)
        with pytest.raises(Coded) as other:
            await street.create("key-000001", size=Decimal("1000000"))
        assert other.value.code == "API-102"
        assert len(await street.trades(rfq_id)) == 1


def _bytes(answer: Answer) -> bytes:
    return answer.pack()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"grants": replace(GRANTS, asset_classes=frozenset({"RATES"}))}, "RISK-102"),
        ({"grants": replace(GRANTS, max_notional=Decimal("1000"))}, "RISK-103"),
        ({"grants": replace(GRANTS, venue_ids=frozenset())}, "RISK-104"),
        ({"usd_rate": None}, "RISK-105"),
        ({"size": Decimal("100500")}, "RFQ-201"),
        ({"candidates": ()}, "RFQ-202"),
        ({"is_stale": True}, "RFQ-212"),
    ],
)
async def test_a_limit_denies_and_leaves_a_record(
    ground: Any, clock: ManualClock, changes: dict[str, Any], code: str
) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, answer = await street.create("key-000001", **changes)
        assert code_of(answer) == code
        assert answer.details and answer.details.status == "DENIED"
        failed = [check.code for check in answer.details.checks if not check.passed]
        assert code in failed
        created, denied = await street.events("rfq.lifecycle", rfq_id)
        assert isinstance(created, e.RFQCreated) and isinstance(denied, e.RFQDenied)
        assert denied.code == code
        _, again = await street.create("key-000001", **changes)
        assert _bytes(again) == _bytes(answer), "a refusal is kept like an answer"


async def test_the_rate_limit_is_exact_per_user_and_outlives_a_restart(
    ground: Any, clock: ManualClock
) -> None:
    grants = replace(GRANTS, rfq_per_minute=3)
    async with Street(*ground, clock) as street:
        asked = [street.create(f"burst-{n:05}", grants=grants) for n in range(8)]
        codes = [code_of(answer) for _, answer in await asyncio.gather(*asked)]
        assert Counter(codes) == {None: 3, "RISK-101": 5}
        _, other = await street.create("other-00001", user="trader2", grants=grants)
        assert code_of(other) is None, "another user's window is another window"
        await street.restart()
        _, still = await street.create("burst-after", grants=grants)
        assert code_of(still) == "RISK-101"
        clock.advance(61 * SECOND)
        _, later = await street.create("burst-later", grants=grants)
        assert code_of(later) is None


async def test_another_tenant_finds_nothing(ground: Any, clock: ManualClock) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        quote_id, _ = await street.quote(rfq_id, "ASH", "1.14630")
        assert await street.state(rfq_id, tenant="beta") is None
        foreign = await street.accept(rfq_id, quote_id, version=3, tenant="beta")
        assert code_of(foreign) == "API-104"
        _, theirs = await street.quote(rfq_id, "BIRCH", "1.14629", tenant="beta")
        assert code_of(theirs) == "API-104"
        state: Rfq | None = await street.state(rfq_id)
        assert state and state.acceptance is None and len(state.quotes) == 1


@pytest.mark.parametrize(
    ("lp", "price", "size", "code"),
    [
        ("ELM", "1.14630", "5000000", "LP-304"),
        ("ASH", "1.1463012", "5000000", "LP-303"),
        ("ASH", "0", "5000000", "LP-303"),
        ("ASH", "-1", "5000000", "LP-303"),
        ("ASH", "1.14630", "1000", "LP-302"),
        ("ASH", "1.14630", "999999999999999999", "LP-302"),
    ],
)
async def test_a_quote_that_cannot_be_used_is_refused(
    ground: Any, clock: ManualClock, lp: str, price: str, size: str, code: str
) -> None:
    async with Street(*ground, clock) as street:
        rfq_id, _ = await street.create("key-000001")
        _, answer = await street.quote(rfq_id, lp, price, size=size)
        assert code_of(answer) == code
        state = await street.state(rfq_id)
        assert state and not state.quotes and state.status.value == "SENT"
