"""From tick to trade as a program sees it: REST and WebSocket only."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tests.e2e.conftest import Desks
from tests.stack import Stack, until
from tests.stack_clients import PROMPT, Desk, Json, counted, feed_of, new_key, rfq_terms

STORY = ["RFQCreated", "RFQSent", "RFQQuoting", "QuoteAccepted", "TradeExecuted", "RFQTraded"]


async def test_prices_move_within_the_stream(stack: Stack) -> None:
    async with feed_of(stack, "trader@alpha") as feed:
        snapshot = await feed.subscribe("ticks", "EURUSD", "UST10Y", "VEGA")
        assert {tick["instrumentId"] for tick in snapshot["items"]} == {"EURUSD", "UST10Y", "VEGA"}
        first = feed.ticks["EURUSD"]
        assert Decimal(first["bid"]) < Decimal(first["ask"])
        await until(lambda: feed.ticks["EURUSD"]["timestamp"] > first["timestamp"], 15, "it moves")
        assert set(feed.ticks) == {"EURUSD", "UST10Y", "VEGA"}


async def test_rfq_becomes_one_trade_told_everywhere(stack: Stack, desks: Desks) -> None:
    desk = await desks("trader@alpha")
    async with feed_of(stack, "trader@alpha") as feed:
        await feed.subscribe("rfqs")
        await feed.subscribe("trades")
        asked = await desk.ask(side="SELL", size="2000000", lpIds=PROMPT)
        rfq = await desk.quoted(asked["rfqId"], 3)
        ranked = sorted((q for q in rfq["quotes"] if q["rank"]), key=lambda q: q["rank"])
        prices = [Decimal(q["price"]) for q in ranked]
        assert prices == sorted(prices, reverse=True), "a seller's best price is the highest"
        assert rfq["bestQuoteId"] == ranked[0]["quoteId"]
        accepted = await desk.accept(rfq)
        assert accepted.status_code == 200, accepted.text
        trade_id = accepted.json()["tradeId"]
        ended = await desk.ended(rfq["rfqId"])
        assert (ended["status"], ended["tradeId"]) == ("TRADED", trade_id)
        await until(lambda: feed.rfqs[rfq["rfqId"]]["status"] == "TRADED", 10, "told on rfqs")
        await until(lambda: trade_id in feed.trades, 10, "told on trades")
        assert feed.gaps == []
        told = [f for f in feed.frames if f.get("channel") == "trades" and f["type"] == "update"]
        assert sum(item["tradeId"] == trade_id for f in told for item in f["items"]) == 1
    best = ranked[0]
    listed = await until(lambda: _trades_of(desk, rfq["rfqId"]), 10, "in the blotter")
    assert [(t["tradeId"], t["price"], t["side"]) for t in listed] == [
        (trade_id, best["price"], "SELL")
    ]
    assert (listed[0]["seller"], listed[0]["buyer"]) == ("alpha", best["lpId"])
    assert (await desk.get(f"/trades/{trade_id}")).json() == listed[0]


async def _trades_of(desk: Desk, rfq_id: str) -> list[Json]:
    return [t for t in await desk.every("/trades") if t["rfqId"] == rfq_id]


async def test_time_line_tells_the_whole_story(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    rfq = await desk.trade()

    async def look() -> list[Json] | None:
        items = (await desk.get(f"/audit/{rfq['correlationId']}")).json()["items"]
        return items if {"RFQTraded", "TradeExecuted"} <= {i["eventType"] for i in items} else None

    items = await until(look, 15, "the story is complete")
    told = [i["eventType"] for i in items if i["eventType"] in STORY]
    assert sorted(told, key=STORY.index) == STORY
    assert [i["offsetMs"] for i in items] == sorted(i["offsetMs"] for i in items)
    assert {"QuoteReceived"} <= {i["eventType"] for i in items}
    places = [(i["topic"], i["partition"], i["offset"]) for i in items]
    assert len(places) == len(set(places)), "every event has its own place in the log"
    assert len({i["eventId"] for i in items}) == len(items)


async def test_nothing_accepted_expires_at_its_time(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    rfq = await desk.ask(expirySeconds=5)
    quoted = await desk.quoted(rfq["rfqId"])
    ended = await desk.ended(rfq["rfqId"])
    assert ended["status"] == "EXPIRED"
    assert ended["endedAt"] >= rfq["expiresAt"]
    late = await desk.accept(quoted)
    assert (late.status_code, late.json()["code"]) in ((409, "RFQ-204"), (409, "RFQ-205"))
    assert await _trades_of(desk, rfq["rfqId"]) == []


async def test_after_a_last_look_reject_another_dealer_deals(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    asked = await desk.ask(lpIds=["HALDEN", "NORTHGATE", "MERIDIANX"])
    rfq = await desk.quoted(asked["rfqId"], 3)
    halden = next(q for q in rfq["quotes"] if q["lpId"] == "HALDEN" and q["status"] == "QUOTED")
    answer = await desk.accept(rfq, halden["quoteId"], reason="Relationship")
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "ACCEPTED"

    async def look() -> Json | None:
        now = await desk.rfq(rfq["rfqId"])
        quotes = {q["quoteId"]: q["status"] for q in now["quotes"]}
        return now if quotes[halden["quoteId"]] == "LAST_LOOK_REJECTED" else None

    refused = await until(look, 10, "Halden looks twice and refuses")
    assert (refused["status"], refused["reasonCode"]) == ("QUOTING", "RFQ-207")
    assert "tradeId" not in refused
    second = await desk.accept(refused)
    assert second.status_code == 200, second.text
    ended = await desk.ended(rfq["rfqId"])
    assert ended["status"] == "TRADED"
    trades = await until(lambda: _trades_of(desk, rfq["rfqId"]), 10, "in the blotter")
    assert len(trades) == 1
    assert trades[0]["lpId"] != "HALDEN"


async def test_cancelled_is_cancelled(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    rfq = await desk.quoted((await desk.ask())["rfqId"])
    cancelled = await desk.command("POST", f"/rfqs/{rfq['rfqId']}/cancel", {})
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    late = await desk.accept(rfq)
    assert (late.status_code, late.json()["code"]) == (409, "RFQ-205")


async def test_denied_is_recorded_with_its_reason(desks: Desks) -> None:
    desk = await desks("trader2@alpha")
    answer = await desk.command("POST", "/rfqs", rfq_terms(size="20000000"))
    assert (answer.status_code, answer.json()["code"]) == (422, "RISK-103")
    denied = await desk.rfq(answer.json()["rfqId"])
    assert denied["status"] == "DENIED"
    failed = [c for c in denied["checks"] if c["outcome"] == "FAILED"]
    assert [c["code"] for c in failed] == ["RISK-103"]


async def test_fifty_accepts_at_once_make_one_trade(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    asked = await desk.ask(lpIds=["NORTHGATE", "MERIDIANX"])
    rfq = await desk.quoted(asked["rfqId"], 2)
    answers = await asyncio.gather(*(desk.accept(rfq) for _ in range(50)))
    statuses = counted([{"status": a.status_code} for a in answers], "status")
    assert statuses == {"200": 1, "409": 49}, [a.text for a in answers if a.status_code >= 500]
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"RFQ-203", "RFQ-205"}
    await desk.ended(rfq["rfqId"])
    trades = await until(lambda: _trades_of(desk, rfq["rfqId"]), 10, "in the blotter")
    assert len(trades) == 1


async def test_same_key_gives_the_same_answer(desks: Desks) -> None:
    desk = await desks("trader@alpha")
    key, terms = new_key(), rfq_terms()
    first, again = [await desk.command("POST", "/rfqs", terms, key) for _ in range(2)]
    assert (again.status_code, again.content) == (first.status_code, first.content)
    other = await desk.command("POST", "/rfqs", {**terms, "size": "3000000"}, key)
    assert (other.status_code, other.json()["code"]) == (422, "API-102")
    rfq = await desk.quoted(first.json()["rfqId"])
    key, quote = new_key(), rfq["bestQuoteId"]
    answers = await asyncio.gather(*(desk.accept(rfq, quote, key) for _ in range(10)))
    # While the first is being worked on, its twins may be told to come back.
    assert {a.status_code for a in answers if a.status_code != 200} <= {409}
    assert {a.json()["code"] for a in answers if a.status_code == 409} <= {"API-103"}
    final = await desk.accept(rfq, quote, key)
    assert final.status_code == 200
    assert {a.content for a in answers if a.status_code == 200} == {final.content}
    # A key that was used is known before anything else is looked at.
    other = await desk.accept(rfq, "no-such-quote", key)
    assert (other.status_code, other.json()["code"]) == (422, "API-102")
    unknown = await desk.accept(rfq, "no-such-quote")
    assert (unknown.status_code, unknown.json()["code"]) in ((409, "RFQ-205"), (422, "RFQ-206"))
    missing = await desk.http.post("/rfqs", json=terms)
    assert (missing.status_code, missing.json()["code"]) == (400, "API-101")
