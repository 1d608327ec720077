"""What `orion verify` checks of RFQs and trades: green on a real history, and each planted fault is
found."""

# ruff: noqa: E501 - planted SQL reads better on its lines
from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from orion.app.checks import trading_checks
from orion.platform.bus.postgres import PostgresBus
from orion.platform.clock import ManualClock
from orion.platform.store.postgres import PostgresStore
from tests.postgres import Server, TestDatabase
from tests.services.trading.street import Street

BODY = "convert_from(body, 'UTF8')"


@pytest.fixture
async def dealt(postgres: Server, clock: ManualClock) -> AsyncIterator[TestDatabase]:
    """A history with two trades, one of them after a last look, an expiry, a cancel and a denial."""
    async with postgres.database("0001", "0004", "0005", "0008") as db:
        store, bus = PostgresStore(db.writer), PostgresBus(db.writer)
        async with Street(store, bus, clock) as street:
            for n, lp in enumerate(("ASH", "CEDAR")):
                rfq_id, _ = await street.create(f"key-{n:06}")
                quote_id, _ = await street.quote(rfq_id, lp, "1.14630")
                await street.accept(rfq_id, quote_id)
                if lp == "CEDAR":
                    await street.look(rfq_id, lp, quote_id, passed=True)
                await street.settled(rfq_id, status="TRADED")
            gone, _ = await street.create("key-cancel")
            await street.cancel(gone)
            await street.create("key-denied", is_stale=True)
            late, _ = await street.create("key-expire", expiry_seconds=5)
            clock.advance(6_000_000)
            await street.settled(late, status="EXPIRED")
        await bus.close()
        await store.close()
        yield db


async def _violations(db: TestDatabase) -> dict[str, list[str]]:
    sql = await asyncpg.connect(db.owner)
    try:
        checks = await trading_checks(sql)
    finally:
        await sql.close()
    assert all(check.counted for check in checks), "nothing was looked at"
    return {check.name: check.violations for check in checks if check.violations}


async def test_a_real_history_is_clean(dealt: TestDatabase) -> None:
    assert await _violations(dealt) == {}


async def test_each_check_has_a_planted_fault(dealt: TestDatabase) -> None:
    sql = await asyncpg.connect(dealt.owner)
    try:
        names = {check.name for check in await trading_checks(sql)}
    finally:
        await sql.close()
    assert names == {name for name, _ in PLANTED.values()}


def _edit(where: str, change: str) -> str:
    return f"update bus.log set body = convert_to({change}, 'UTF8') where {where}"


PLANTED: dict[str, tuple[str, str]] = {
    "a trade is gone": (
        "one trade per accepted quote",
        """delete from bus.log where topic = 'execution.trades' and ctid in
           (select ctid from bus.log where topic = 'execution.trades' limit 1)""",
    ),
    "an accept makes two trades": (
        "one trade per accepted quote",
        """insert into bus.log (topic, part, offs, period, at, tenant, entity, seq, type, event_id,
           body) select topic, part, offs + 1000, period, at, tenant, entity || 'x', seq, type,
           event_id || 'x', convert_to(replace(convert_from(body, 'UTF8'), '"tradeId":"', '"tradeId":"x'), 'UTF8')
           from bus.log where type = 'TradeExecuted' limit 1""",
    ),
    "another price than quoted": (
        "trades are as quoted",
        _edit("type = 'TradeExecuted'", f"""replace({BODY}, '"price":"1.14630"', '"price":"1.2"')"""),
    ),
    "the RFQ never hears of its trade": (
        "every trade is told to its RFQ",
        "delete from bus.log where type = 'RFQTraded'"
        " and offs = (select max(offs) from bus.log where type = 'RFQTraded')",
    ),
    "buyer and seller are both the dealer": (
        "a trade has two equal sides",
        _edit("type = 'TradeExecuted'", f"""regexp_replace({BODY}, '"(buyer|seller)":"alpha"', '"\\1":"ASH"')"""),
    ),
    "a trade for the other side": (
        "a trade has two equal sides",
        _edit("type = 'TradeExecuted'", f"""replace({BODY}, '"side":"BUY"', '"side":"SELL"')"""),
    ),
    "money that is not quantity by price": (
        "a trade has two equal sides",
        _edit("type = 'TradeExecuted'", f"""regexp_replace({BODY}, '"notional":"', '"notional":"1')"""),
    ),
    "the requester is told another price than the dealer gave": (
        "a trade has two equal sides",
        _edit("type = 'RFQTraded'", f"""replace({BODY}, '"price":"1.14630"', '"price":"1.1464"')"""),
    ),
    "the requester is told another size": (
        "a trade has two equal sides",
        _edit("type = 'RFQTraded'", f"""regexp_replace({BODY}, '"size":"', '"size":"1')"""),
    ),
    "quotes before it was sent": (
        "only legal moves of RFQs",
        "update bus.log set type = 'RFQQuoting' where type = 'RFQSent'",
    ),
    "a state that no event led to": (
        "only legal moves of RFQs",
        "update rfq.state set status = 'TRADED' where status = 'CANCELLED'",
    ),
    "an ended RFQ that is kept live": (
        "only legal moves of RFQs",
        "update rfq.state set live = true where status = 'EXPIRED'",
    ),
    "a trade made twice": (
        "only legal moves of trades",
        """insert into bus.log (topic, part, offs, period, at, tenant, entity, seq, type, event_id,
           body) select topic, part, offs + 1000, period, at, tenant, entity, seq + 1, type,
           event_id || 'x', body from bus.log where type = 'TradeExecuted' limit 1""",
    ),
    "a trade that stands where no event led": (
        "only legal moves of trades",
        "update execution.state set status = 'SETTLED'",
    ),
    "an RFQ that nobody ends": (
        "every RFQ ends",
        "update bus.head set at = at + 120000000 where topic = 'rfq.lifecycle';"
        " update rfq.state set live = true, status = 'SENT', deadline = 1 where status = 'EXPIRED'",
    ),
    "accepted after its time": (
        "no accept after its time",
        _edit("type = 'QuoteAccepted'", f"""regexp_replace({BODY}, '"expiresAt":"2026', '"expiresAt":"2020', 'g')"""),
    ),
    "accepted after a cancel": (
        "nothing after an RFQ's end",
        """insert into bus.log (topic, part, offs, period, at, tenant, entity, seq, type, event_id,
           body) select topic, part, offs + 1000, period, at, tenant, entity, seq + 10, 'QuoteAccepted',
           event_id || 'x', body from bus.log where type = 'RFQCancelled'""",
    ),
    "a reply that is not one": (
        "replies are as the log says",
        "update rfq.inbox set reply = '\\x00000001'",
    ),
    "a reply of another RFQ": (
        "replies are as the log says",
        "update rfq.inbox i set reply = j.reply from rfq.inbox j where i.command = 'create' and j.command = 'create' and i.key < j.key",
    ),
    "a reply for an accept that never was": (
        "replies are as the log says",
        "delete from bus.log where type = 'QuoteAccepted' and ctid in (select ctid from bus.log where type = 'QuoteAccepted' limit 1)",
    ),
    "a reply that came too early": (
        "replies are as the log says",
        "update rfq.inbox set at = at - 1 where command like 'cancel%'",
    ),
    "a reply that came too late": (
        "replies are as the log says",
        "update rfq.inbox set at = at + 3600000000 where command like 'accept%'",
    ),
    "a command without a reply": (
        "replies are as the log says",
        "delete from rfq.inbox where command like 'cancel%'",
    ),
    "a denial that the log does not know": (
        "replies are as the log says",
        "update bus.log set type = 'RFQSent' where type = 'RFQDenied'",
    ),
    "a command twice": (
        "replies are as the log says",
        "insert into rfq.inbox select tenant, part, subject, command, key || 'x', hash, reply, at from rfq.inbox where command = 'create'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
async def test_a_planted_fault_is_found(dealt: TestDatabase, fault: str) -> None:
    name, plant = PLANTED[fault]
    sql: Any = await asyncpg.connect(dealt.admin)
    try:
        status = await sql.execute(plant)
        assert not status.endswith(" 0"), "the fault was not planted"
    finally:
        await sql.close()
    assert name in await _violations(dealt)
