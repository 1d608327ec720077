"""The SQL of trades."""

from __future__ import annotations

from typing import Any

from orion.core.permissions import Scope
from orion.platform.caller import Caller
from orion.platform.listing import Listing, Where, visible
from orion.wire.stubs import common_pb2, trade_pb2

COLUMNS = """trade_id, display_id, rfq_id, quote_id, instrument_id, side, quantity, price, notional,
    currency, buyer, seller, lp_id, venue_id, traded_at, settlement_date, tenant, correlation_id,
    requester, desk, status"""
SIDES = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}


BLOTTER = Listing("trades", "execution.rm_trade_blotter", COLUMNS, "traded_at", "trade_id")
FOUND = (
    "display_id", "trade_id", "rfq_id", "instrument_id", "requester", "lp_id", "correlation_id",
)  # fmt: skip
EQUAL = (
    "lp_id", "requester", "rfq_id", "trade_id", "correlation_id", "venue_id", "currency", "desk",
    "settlement_date", "display_id", "quote_id", "buyer", "seller",
)  # fmt: skip


def conditions(caller: Caller, scope: Scope, wanted: trade_pb2.TradeFilter) -> Where:
    """What the caller may see and wants to see."""
    where = visible(caller, scope.value)
    where.among("status", wanted.status)
    where.among("instrument_id", wanted.instrument_id)
    where.equal("side", SIDES.get(wanted.side) if wanted.HasField("side") else None)
    for column in EQUAL:
        where.equal(column, getattr(wanted, column))
    for column in ("quantity", "price", "notional"):
        where.number(column, getattr(wanted, column))
    where.between("traded_at", wanted)
    where.contains(FOUND, wanted.q)
    return where


def trade_of(row: Any) -> trade_pb2.TradeDetails:
    """A row as it travels."""
    side = common_pb2.BUY if row["side"] == "BUY" else common_pb2.SELL
    text = {
        name: row[name]
        for name in (
            "trade_id", "display_id", "rfq_id", "quote_id", "instrument_id", "quantity", "price",
            "notional", "currency", "buyer", "seller", "lp_id", "venue_id", "settlement_date",
            "correlation_id", "requester", "desk", "status",
        )
    }  # fmt: skip
    return trade_pb2.TradeDetails(
        side=side, traded_at_us=row["traded_at"], tenant_id=row["tenant"], **text
    )
