"""What the RFQ service hears of other services' logs."""

from __future__ import annotations

from orion.core.rfq import commands as c
from orion.core.trade import TradeExecuted
from orion.platform.bus.port import Record
from orion.services.rfq.aggregate import Order
from orion.services.rfq.blotter import event_in


def traded(record: Record) -> tuple[str, Order] | None:
    """What the RFQ does when its trade is made."""
    event = event_in(record)
    if not isinstance(event, TradeExecuted):
        return None
    trade = event.trade
    command = c.MarkTraded(
        at=record.at,
        quote_id=trade.quote_id,
        trade_id=trade.trade_id,
        trade_display_id=trade.display_id,
    )
    return trade.rfq_id, Order(command, record.event_id)
