"""Trades on the cold path: the table and the blotter, one row each per TradeExecuted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.core.trade import Trade, TradeExecuted
from orion.core.values import plain
from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage
from orion.platform.project import Projection, RowOperation, Upsert
from orion.wire.envelope import InvalidEvent, decode


def columns(trade: Trade) -> dict[str, Any]:
    """A trade's columns beside its key."""
    return {
        "display_id": trade.display_id,
        "rfq_id": trade.rfq_id,
        "quote_id": trade.quote_id,
        "correlation_id": trade.correlation_id,
        "subject": trade.subject,
        "requester": trade.requester,
        "desk": trade.desk,
        "instrument_id": trade.instrument_id,
        "side": trade.side.value,
        "quantity": plain(trade.quantity),
        "price": plain(trade.price),
        "notional": plain(trade.notional),
        "currency": trade.currency,
        "buyer": trade.buyer,
        "seller": trade.seller,
        "lp_id": trade.lp_id,
        "venue_id": trade.venue_id,
        "traded_at": trade.traded_at,
        "settlement_date": trade.settlement_date.isoformat() if trade.settlement_date else "",
        "status": trade.status.value,
    }


class _OneTable:
    service = "execution"
    topics: tuple[str, ...] = ("execution.trades",)

    def __init__(self, table: str):
        self.name = table
        self.tables: tuple[str, ...] = (table,)

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """One row per trade."""
        try:
            _, event = decode(record.body)
        except InvalidEvent as problem:
            raise InvalidMessage(
                record.topic, record.part, record.offset, problem.reason, problem.diagnostics
            ) from problem
        if not isinstance(event, TradeExecuted):
            return ()
        key = {"tenant": record.tenant, "trade_id": event.trade.trade_id}
        return (Upsert(self.name, key, columns(event.trade)),)


TRADES = _OneTable("trades")
TRADE_BLOTTER = _OneTable("rm_trade_blotter")
PROJECTIONS: tuple[Projection, ...] = (TRADES, TRADE_BLOTTER)
