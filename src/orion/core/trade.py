"""Trade: one per accepted quote, immutable.

The id comes from (RFQ, quote), so a second one cannot exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from orion.core.decider import Decision, Recorded
from orion.core.ids import CorrelationId, LpId, QuoteId, RfqId, TradeId
from orion.core.records import quick
from orion.core.rfq.events import LastLookPassed, QuoteAccepted
from orion.core.rfq.words import Quote, Terms
from orion.core.values import Instant, Price, Quantity, Side, round_money


class TradeStatus(str, Enum):
    """Where a trade stands."""

    EXECUTED = "EXECUTED"


TERMINAL = frozenset({TradeStatus.EXECUTED})


@quick
@dataclass(frozen=True, slots=True)
class ExecuteTrade:
    """Make the trade of an accepted quote."""

    at: Instant
    trade_id: TradeId
    terms: Terms
    quote: Quote


@quick
@dataclass(frozen=True, slots=True)
class Trade:
    """What was agreed. `notional` is in `currency`, the quote currency."""

    trade_id: TradeId
    display_id: str
    rfq_id: RfqId
    quote_id: QuoteId
    correlation_id: CorrelationId
    tenant_id: str
    subject: str
    requester: str
    desk: str
    instrument_id: str
    side: Side                  # the requester's
    quantity: Quantity
    quantity_currency: str
    price: Price
    notional: Decimal
    currency: str
    contract_size: Decimal
    buyer: str
    seller: str
    lp_id: LpId
    lp_name: str
    venue_id: str
    traded_at: Instant
    settlement_date: date | None
    status: TradeStatus = TradeStatus.EXECUTED


@dataclass(frozen=True, slots=True)
class TradeExecuted:
    """The trade stands."""

    trade_id: TradeId
    at: Instant
    trade: Trade


MOVES: Mapping[tuple[TradeStatus | None, type], TradeStatus] = {
    (None, TradeExecuted): TradeStatus.EXECUTED,
}


def command_of(event: QuoteAccepted | LastLookPassed, at: Instant) -> ExecuteTrade | None:
    """What execution does on this event: None while the dealer's last look is open."""
    if isinstance(event, QuoteAccepted) and not event.final:
        return None
    return ExecuteTrade(at, event.trade_id, event.terms, event.quote)


def decide(state: Trade | None, command: ExecuteTrade) -> Decision[TradeExecuted]:
    """One trade, once: a command for a trade that exists gives nothing new."""
    if state is not None:
        return Decision()
    return Decision((TradeExecuted(command.trade_id, command.at, _agreed(command)),))


def _agreed(command: ExecuteTrade) -> Trade:
    terms, quote = command.terms, command.quote
    notional = quote.size * quote.price * terms.contract_size
    buys = terms.side is Side.BUY
    return Trade(
        trade_id=command.trade_id, display_id="T-" + terms.display_id.removeprefix("R-"),
        rfq_id=terms.rfq_id, quote_id=quote.quote_id, correlation_id=terms.correlation_id,
        tenant_id=terms.tenant_id, subject=terms.subject,
        requester=terms.requester, desk=terms.desk,
        instrument_id=terms.instrument_id, side=terms.side,
        quantity=quote.size, quantity_currency=terms.currency, price=quote.price,
        notional=round_money(notional, terms.quote_currency), currency=terms.quote_currency,
        contract_size=terms.contract_size,
        buyer=terms.tenant_id if buys else quote.lp_id,
        seller=quote.lp_id if buys else terms.tenant_id,
        lp_id=quote.lp_id, lp_name=quote.lp_name, venue_id=terms.venue_id,
        traded_at=command.at, settlement_date=terms.settlement_date,
    )


def evolve(state: Trade | None, event: TradeExecuted) -> Trade:
    """The state after the event. Raises AssertionError when the trade exists already:
    that is a bug.
    """
    assert (state.status if state else None, type(event)) in MOVES, "a trade is made once"
    return event.trade


def place(event: TradeExecuted) -> Recorded[TradeExecuted]:
    """The event with its entity and sequence."""
    return Recorded(event, "Trade", event.trade_id, 1)
