"""The trading services together: requests, the five dealers, accepts, trades, blotters, watchers;
nobody sees another tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from orion.platform.errors import Coded
from orion.wire.stubs import common_pb2, rfq_pb2, trade_pb2
from tests.postgres import Server
from tests.services.trading.exchange import Exchange, Person, read_stream, running
from tests.services.trading.street import until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
async def exchange(postgres: Server) -> AsyncIterator[Exchange]:
    async with postgres.database() as db, running(db) as made:
        trader = made.person()

        async def dealt() -> bool:
            try:
                return bool((await trader.create()).rfq_id)
            except Coded:
                return False  # prices and dealers are still on their way

        await until(dealt, "the first RFQ")
        yield made


async def code_of(call: Any) -> str:
    try:
        await call
    except Coded as refused:
        return refused.code
    return "ok"


async def test_five_dealers_quote_and_the_best_one_is_first(exchange: Exchange) -> None:
    trader = exchange.person()
    made = await trader.create()
    assert made.status == "SENT" and made.display_id.startswith("R-")
    seen = await trader.quoted(made.rfq_id, 5)
    assert seen.status == "QUOTING" and seen.version == 3, "quotes leave the version alone"
    ranked = [q for q in seen.quotes if q.HasField("rank")]
    assert [q.rank for q in ranked] == [1, 2, 3, 4, 5]
    assert [q.price for q in ranked] == sorted(q.price for q in ranked), "BUY: lowest first"
    assert seen.best_quote_id == ranked[0].quote_id
    assert {d.lp_id for d in seen.dealers if d.status == "QUOTED"} == {q.lp_id for q in ranked}
    assert [d.reason for d in seen.dealers if d.lp_id == "CORVID"] == ["DISABLED"]


async def test_an_accepted_quote_becomes_a_trade_in_both_blotters(exchange: Exchange) -> None:
    trader = exchange.person()
    done = await trader.trade_once(instrument_id="GBPUSD")
    trade = await trader.ask(
        trader.trades.GetTrade, trade_pb2.GetTradeRequest(trade_id=done.trade_id)
    )
    assert (trade.rfq_id, trade.display_id) == (done.rfq_id, done.trade_display_id)
    assert trade.buyer == "alpha" and trade.seller == trade.lp_id

    async def listed() -> bool:
        rfqs = (await trader.list(rfq_id=done.rfq_id)).items
        trades = (await trader.list_trades(rfq_id=done.rfq_id)).items
        return bool(rfqs and trades and rfqs[0].rfq.status == "TRADED")

    await until(listed, "both blotters")
    row = (await trader.list(rfq_id=done.rfq_id)).items[0]
    listed_trade = (await trader.list_trades(rfq_id=done.rfq_id)).items[0]
    assert (row.price, row.lp_id) == (trade.price, trade.lp_id)
    assert row.rfq.trade_id == trade.trade_id and row.quote_count >= 2 and row.dealer_count == 5
    assert listed_trade == trade, "the row says what the owner says"


async def test_every_column_of_both_blotters_can_be_filtered(exchange: Exchange) -> None:
    trader = exchange.person("columns")
    done = await trader.trade_once(instrument_id="EURGBP", size="3000000")

    async def listed() -> Any:
        rows = (await trader.list(rfq_id=done.rfq_id, status=["TRADED"])).items
        trades = (await trader.list_trades(rfq_id=done.rfq_id)).items
        return (rows[0], trades[0]) if rows and trades else None

    row, trade = await until(listed, "both blotters")
    for column in (
        "display_id", "rfq_id", "correlation_id", "instrument_id", "side", "size", "currency",
        "settlement_date", "requester", "desk", "venue_id", "trade_id", "status",
    ):  # fmt: skip
        await _filters(trader.list, column, getattr(row.rfq, column), done.rfq_id)
    for column in ("price", "lp_id"):
        await _filters(trader.list, column, getattr(row, column), done.rfq_id)
    for column in (
        "display_id", "trade_id", "rfq_id", "quote_id", "correlation_id", "instrument_id", "side",
        "quantity", "price", "notional", "currency", "buyer", "seller", "lp_id", "venue_id",
        "settlement_date", "requester", "desk", "status",
    ):  # fmt: skip
        await _filters(trader.list_trades, column, getattr(trade, column), done.rfq_id)
    assert (await trader.list(size="3000000.0", rfq_id=done.rfq_id)).items, "a number, not a text"
    assert await code_of(trader.list(size="many")) == "API-100"


async def _filters(ask: Any, column: str, value: Any, rfq_id: str) -> None:
    """The column's own value finds the row, any other value does not."""
    many = column in ("instrument_id", "status")
    other = {"side": 3 - value} if column == "side" else {column: ["NONE"] if many else "7"}
    found = (await ask(**{"rfq_id": rfq_id, column: [value] if many else value})).items
    assert len(found) == 1, column
    assert not (await ask(**{"rfq_id": rfq_id, **other})).items, column


async def test_lists_page_without_gap_or_double_and_cursors_cannot_be_made(
    exchange: Exchange,
) -> None:
    trader = exchange.person("pager")
    made = [(await trader.create(instrument_id="USDJPY")).rfq_id for _ in range(7)]

    async def all_there() -> bool:
        return len((await trader.list(requester="pager@alpha")).items) == 7

    await until(all_there, "seven rows")
    seen: list[str] = []
    cursor = ""
    while True:
        page = await trader.list(cursor, 3, requester="pager@alpha")
        seen += [row.rfq.rfq_id for row in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
        first = cursor
    assert seen == made[::-1], "newest first, each once"
    forged = ("A" if first[0] != "A" else "B") + first[1:]
    assert await code_of(trader.list(forged, 3)) == "API-110"
    assert await code_of(trader.list("not a cursor", 3)) == "API-110"
    other = exchange.person("trader", "beta")
    assert await code_of(other.list(first, 3)) == "API-110", "another tenant's cursor opens nothing"


@pytest.mark.parametrize(
    "wanted",
    [
        {"q": "%"}, {"q": "_"}, {"q": "\\"}, {"q": "' or 1=1 --"}, {"status": ["NONE"]},
        {"instrument_id": ["EURUSD'"]}, {"to_us": 1}, {"lp_id": "NOBODY"},
    ],
)  # fmt: skip
async def test_odd_filters_find_nothing_and_break_nothing(
    exchange: Exchange, wanted: dict[str, Any]
) -> None:
    assert not (await exchange.person().list(**wanted)).items


async def test_another_tenant_sees_nothing_of_it(exchange: Exchange) -> None:
    trader, spy = exchange.person(), exchange.person("trader", "beta")
    done = await trader.trade_once()
    missing = "0000" + "a" * 26
    foreign, absent = await code_of(spy.get(done.rfq_id)), await code_of(spy.get(missing))
    assert foreign == absent == "API-104", "what is foreign is not there"
    assert await code_of(spy.accept(done)) == "API-104"
    assert await code_of(spy.cancel(done.rfq_id)) == "API-104"
    get_trade = trade_pb2.GetTradeRequest(trade_id=done.trade_id)
    assert await code_of(spy.ask(spy.trades.GetTrade, get_trade)) == "API-104"
    assert all(r.rfq.tenant_id == "beta" for r in (await spy.list()).items)
    assert all(t.tenant_id == "beta" for t in (await spy.list_trades()).items)
    call = spy.rfq.WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=spy.metadata)
    first = await read_stream(call, lambda u: u)
    assert first.snapshot and all(r.tenant_id == "beta" for r in first.items)
    call.cancel()


async def test_roles_see_as_far_as_they_may(exchange: Exchange) -> None:
    trader = exchange.person("deskman", desk="fx")
    made = await trader.create()
    peer = exchange.person("trader2", desk="fx")
    stranger = exchange.person("trader3", desk="rates")
    sales = exchange.person("sales", role="ROLE_SALES", desk="sales")
    analyst = exchange.person("analyst", role="ROLE_ANALYST")
    platform = exchange.person("platform", role="ROLE_PLATFORM")
    assert (await peer.get(made.rfq_id)).rfq_id == made.rfq_id
    assert (await sales.get(made.rfq_id)).rfq_id == made.rfq_id
    for nobody in (stranger, analyst, platform):
        assert await code_of(nobody.get(made.rfq_id)) == "API-104"
    seen = await trader.quoted(made.rfq_id)
    assert await code_of(peer.accept(seen)) == "RFQ-209"
    assert await code_of(stranger.accept(seen)) == "API-104"
    assert await code_of(sales.accept(seen)) == "AUTH-103"
    assert await code_of(sales.create()) == "AUTH-103"
    assert await code_of(platform.list()) == "AUTH-103"


async def test_watchers_get_a_snapshot_and_then_every_change(exchange: Exchange) -> None:
    trader = exchange.person("watcher")
    edge = exchange.service("push_edge")
    made = await trader.create()
    call = trader.rfq.WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=edge)
    seen: dict[str, rfq_pb2.RFQDetails] = {}

    def until_traded(update: rfq_pb2.RFQUpdate) -> bool:
        for rfq in update.items:
            older = seen.get(rfq.rfq_id)
            assert older is None or rfq.revision >= older.revision, "never back in time"
            seen[rfq.rfq_id] = rfq
        return made.rfq_id in seen and seen[made.rfq_id].status == "CANCELLED"

    first = await read_stream(call, lambda u: u)
    assert first.snapshot and made.rfq_id in {r.rfq_id for r in first.items}
    await trader.quoted(made.rfq_id, 3)
    await trader.cancel(made.rfq_id)
    await read_stream(call, until_traded)
    call.cancel()
    mine = seen[made.rfq_id]
    assert len(mine.quotes) >= 3 and mine.tenant_id == "alpha"


@pytest.mark.parametrize("service", ["lp_bots", "audit", "dealer:NORTHGATE"])
async def test_other_services_may_not_watch_or_submit(exchange: Exchange, service: str) -> None:
    someone = exchange.person()
    someone.metadata = exchange.service(service)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async for _ in someone.rfq.WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=someone.metadata):
            pass
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    submit = rfq_pb2.SubmitQuotesRequest()
    assert await code_of(someone.ask(someone.rfq.SubmitQuotes, submit)) == "AUTH-103"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"instrument_id": "NOTHING"}, "RFQ-200"),
        ({"size": "1e6"}, "API-100"),
        ({"size": "NaN"}, "API-100"),
        ({"size": ""}, "API-100"),
        ({"side": common_pb2.SIDE_UNSPECIFIED}, "API-100"),
        ({"expiry_seconds": 4}, "API-100"),
        ({"expiry_seconds": 301}, "API-100"),
        ({"settlement_date": "tomorrow"}, "API-100"),
        ({"key": "short"}, "API-101"),
        ({"size": "-1000000"}, "RFQ-201"),
        ({"size": "0"}, "RFQ-201"),
        ({"size": "1000001"}, "RFQ-201"),
        ({"venue_id": "XNONE"}, "RFQ-211"),
        ({"lp_ids": ["CORVID"]}, "RFQ-202"),
        ({"settlement_date": "2020-01-01"}, "RFQ-210"),
    ],
)
async def test_a_request_that_cannot_be_asked(
    exchange: Exchange, changes: dict[str, Any], code: str
) -> None:
    assert await code_of(exchange.person().create(**changes)) == code


async def test_a_denied_request_is_told_with_its_checks_and_listed(exchange: Exchange) -> None:
    poor = exchange.person("poor", ent={"maxNotional": "1000"})
    with pytest.raises(Coded) as refused:
        await poor.create()
    told = refused.value.extra
    assert refused.value.code == "RISK-103" and told["status"] == "DENIED"
    failed = [c for c in told["checks"] if c["outcome"] == "FAILED"]  # type: ignore[union-attr]
    assert failed[0]["check"] == "NOTIONAL" and failed[0]["limit"] == "1000"

    async def listed() -> Any:
        return (await poor.list(status=["DENIED"], requester="poor@alpha")).items

    row = (await until(listed, "the denied RFQ in the blotter"))[0]
    assert row.rfq.rfq_id == told["rfqId"] and row.rfq.reason_code == "RISK-103"


async def test_statistics_of_dealers_add_up(exchange: Exchange) -> None:
    trader = exchange.person("counter", "beta")
    for _ in range(3):
        made = await trader.create()
        await trader.quoted(made.rfq_id, 5)
    ask = rfq_pb2.DealerStatisticsRequest()

    async def counted() -> Any:
        reply = await trader.ask(trader.rfq.DealerStatistics, ask)
        by_lp = {score.lp_id: score for score in reply.scores}
        quick = by_lp.get("MERIDIANX")
        return by_lp if quick and quick.quoted >= 3 else None

    by_lp = await until(counted, "statistics")
    for score in by_lp.values():
        assert score.requests >= score.quoted + score.passed and score.won <= score.quoted
        assert score.response_p50_ms <= score.response_p95_ms
    assert by_lp["MERIDIANX"].HasField("spread_to_mid_mean")


async def _dealt(person: Person) -> str:
    return (await person.trade_once()).trade_id


async def test_the_newest_trades_come_first_to_watchers(exchange: Exchange) -> None:
    trader = exchange.person()
    trade_id = await _dealt(trader)
    call = trader.trades.WatchTrades(
        trade_pb2.WatchTradesRequest(), metadata=exchange.service("push_edge")
    )
    await read_stream(call, lambda u: any(t.trade_id == trade_id for t in u.items))
    another = await _dealt(trader)
    await read_stream(call, lambda u: any(t.trade_id == another for t in u.items))
    call.cancel()
