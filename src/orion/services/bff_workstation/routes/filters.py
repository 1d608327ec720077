"""Query parameters that lists share: paging, times, and one filter per column."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar.params import QueryParameter

from orion.platform.http.problems import invalid
from orion.services.bff_workstation.render import SIDE_NUMBERS, micros_of
from orion.services.bff_workstation.shapes import (
    DECIMAL,
    END,
    ISO_DATE,
    ISO_TIME,
    NAME,
    POSITIVE,
    RfqStatus,
    Side,
)
from orion.wire.stubs import common_pb2, rfq_pb2, trade_pb2

USER = r"^[A-Za-z0-9_.@-]{1,80}" + END
CURRENCY = r"^[A-Z]{3}" + END
CURSOR = r"^[A-Za-z0-9_=.~-]{1,512}" + END


def _text(name: str, pattern: str, about: str) -> Any:
    return QueryParameter(
        name=name, pattern=pattern, max_length=512, description=about, required=False
    )


OneInstrument = Annotated[str, QueryParameter(name="instrumentId", pattern=NAME, max_length=32)]
Instruments = Annotated[
    list[str] | None,
    QueryParameter(
        name="instrumentId", max_items=200, description="Repeat for several", required=False
    ),
]
Lp = Annotated[str | None, _text("lpId", NAME, "The dealer that was dealt with")]
Requester = Annotated[str | None, _text("requester", USER, "For example trader@acme")]
Desk = Annotated[str | None, _text("desk", r"^[^\x00-\x1f]{1,80}" + END, "The requester's desk")]
Venue = Annotated[str | None, _text("venueId", NAME, "Where it was dealt")]
RfqId = Annotated[str | None, _text("rfqId", NAME, "Exactly this RFQ")]
TradeId = Annotated[str | None, _text("tradeId", NAME, "Exactly this trade")]
Correlation = Annotated[str | None, _text("correlationId", NAME, "All of one story")]
Currency = Annotated[str | None, _text("currency", CURRENCY, "ISO 4217, of the notional")]
Settles = Annotated[str | None, _text("settlementDate", ISO_DATE, "Value date")]
DisplayId = Annotated[str | None, _text("displayId", NAME, "The short name people use")]
QuoteId = Annotated[str | None, _text("quoteId", NAME, "The quote that was dealt on")]
Buyer = Annotated[str | None, _text("buyer", NAME, "Who bought: a firm or a dealer")]
Seller = Annotated[str | None, _text("seller", NAME, "Who sold: a firm or a dealer")]
Reason = Annotated[str | None, _text("reasonCode", NAME, "Why it was denied or rejected")]
From = Annotated[str | None, _text("from", ISO_TIME, "Not older than this (ISO 8601, UTC)")]
To = Annotated[str | None, _text("to", ISO_TIME, "Older than this (ISO 8601, UTC)")]
Free = Annotated[
    str | None,
    QueryParameter(
        name="q",
        min_length=1,
        max_length=80,
        pattern=r"^[^\x00-\x1f\x7f]+" + END,
        required=False,
        description="Free text over ids, instrument and requester",
    ),
]
Size = Annotated[str | None, _text("size", POSITIVE, "What was asked for, as a number")]
Quantity = Annotated[str | None, _text("quantity", POSITIVE, "What was dealt, as a number")]
Price = Annotated[str | None, _text("price", DECIMAL, "The price dealt at")]
Notional = Annotated[str | None, _text("notional", POSITIVE, "In the trade's `currency`")]
OneSide = Annotated[Side | None, QueryParameter(name="side", required=False)]
Statuses = Annotated[
    list[RfqStatus] | None,
    QueryParameter(name="status", max_items=9, description="Repeat for several", required=False),
]
TradeStatuses = Annotated[
    list[Literal["EXECUTED"]] | None,
    QueryParameter(name="status", max_items=9, description="Repeat for several", required=False),
]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=200, description="Rows of a page")]
Cursor = Annotated[
    str | None, _text("cursor", CURSOR, "`nextCursor` of the page before; same filters as there")
]


def page_of(limit: Limit = 50, cursor: Cursor = None) -> common_pb2.Page:
    """The page that is asked for."""
    return common_pb2.Page(limit=limit, cursor=cursor or "")


def instant(name: str, text: str | None) -> int | None:
    """Microseconds of a time parameter."""
    if text is None:
        return None
    try:
        return micros_of(text)
    except (ValueError, OverflowError):
        raise invalid(name, "is not a moment of the calendar") from None


def instruments_of(ids: list[str] | None) -> list[str]:
    """Instrument ids of a repeated parameter, each with the shape of one."""
    for one in ids or ():
        if not 0 < len(one) <= 32 or not one.replace("_", "").replace(".", "").isalnum():
            raise invalid("instrumentId", "is not the id of an instrument")
    return ids or []


def rfq_filter(
    status: Statuses = None,
    instrument_id: Instruments = None,
    side: OneSide = None,
    requester: Requester = None,
    since: From = None,
    until: To = None,
    q: Free = None,
    lp_id: Lp = None,
    rfq_id: RfqId = None,
    correlation_id: Correlation = None,
    desk: Desk = None,
    venue_id: Venue = None,
    display_id: DisplayId = None,
    size: Size = None,
    currency: Currency = None,
    settles: Settles = None,
    price: Price = None,
    trade_id: TradeId = None,
    reason_code: Reason = None,
) -> rfq_pb2.RFQFilter:
    """The filter of the RFQ blotter."""
    return rfq_pb2.RFQFilter(
        status=status or (),
        instrument_id=instruments_of(instrument_id),
        side=SIDE_NUMBERS[side] if side else None,
        requester=requester,
        q=q,
        lp_id=lp_id,
        rfq_id=rfq_id,
        correlation_id=correlation_id,
        desk=desk,
        venue_id=venue_id,
        display_id=display_id,
        size=size,
        currency=currency,
        settlement_date=settles,
        price=price,
        trade_id=trade_id,
        reason_code=reason_code,
        from_us=instant("from", since),
        to_us=instant("to", until),
    )


def trade_filter(
    instrument_id: Instruments = None,
    side: OneSide = None,
    lp_id: Lp = None,
    requester: Requester = None,
    since: From = None,
    until: To = None,
    q: Free = None,
    rfq_id: RfqId = None,
    trade_id: TradeId = None,
    correlation_id: Correlation = None,
    venue_id: Venue = None,
    currency: Currency = None,
    desk: Desk = None,
    settles: Settles = None,
    display_id: DisplayId = None,
    quote_id: QuoteId = None,
    quantity: Quantity = None,
    price: Price = None,
    notional: Notional = None,
    buyer: Buyer = None,
    seller: Seller = None,
    status: TradeStatuses = None,
) -> trade_pb2.TradeFilter:
    """The filter of the trade blotter."""
    return trade_pb2.TradeFilter(
        instrument_id=instruments_of(instrument_id),
        side=SIDE_NUMBERS[side] if side else None,
        lp_id=lp_id,
        requester=requester,
        q=q,
        rfq_id=rfq_id,
        trade_id=trade_id,
        correlation_id=correlation_id,
        venue_id=venue_id,
        currency=currency,
        desk=desk,
        settlement_date=settles,
        display_id=display_id,
        quote_id=quote_id,
        quantity=quantity,
        price=price,
        notional=notional,
        buyer=buyer,
        seller=seller,
        status=status or (),
        from_us=instant("from", since),
        to_us=instant("to", until),
    )
