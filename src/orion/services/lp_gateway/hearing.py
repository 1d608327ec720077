"""What the log's RFQ events mean on the board."""

from __future__ import annotations

from orion.core.rfq import events as e
from orion.core.values import Side, plain
from orion.platform.bus.port import Record
from orion.services.lp_gateway.board import Board, Outgoing
from orion.wire.envelope import decode
from orion.wire.stubs import common_pb2, lp_pb2

HEARD = frozenset(
    kind.__name__
    for kind in (
        e.RFQSent, e.QuoteAccepted, e.LastLookPassed, e.QuoteAcceptanceRejected,
        e.RFQRejected, e.RFQExpired, e.RFQCancelled,
    )
)  # fmt: skip
_SIDES = {Side.BUY: common_pb2.BUY, Side.SELL: common_pb2.SELL}


def hear(board: Board, record: Record) -> list[Outgoing]:
    """Changes the board and gives what dealers must be told."""
    if record.type not in HEARD:
        return []
    _, event = decode(record.body)
    match event:
        case e.RFQSent():
            return board.opened(
                event.terms.tenant_id, request_of(event), (d.lp_id for d in event.dealers)
            )
        case e.QuoteAccepted(final=False):
            return board.last_look(event.quote.lp_id, last_look_of(event))
        case e.QuoteAccepted() | e.LastLookPassed():
            return board.ended(event.rfq_id, "TRADED", event.quote.lp_id, event.quote.quote_id)
        case e.QuoteAcceptanceRejected():
            board.looked(event.rfq_id)
            return []
        case e.RFQRejected():
            return board.ended(event.rfq_id, "REJECTED", None, None)
        case e.RFQExpired():
            return board.ended(event.rfq_id, "EXPIRED", None, None)
        case e.RFQCancelled():
            return board.ended(event.rfq_id, "CANCELLED", None, None)
        case _:
            return []


def request_of(event: e.RFQSent) -> lp_pb2.QuoteRequest:
    """What a dealer is asked. It learns the client's organisation, never the person."""
    terms = event.terms
    request = lp_pb2.QuoteRequest(
        rfq_id=terms.rfq_id,
        instrument_id=terms.instrument_id,
        side=_SIDES[terms.side],
        size=plain(terms.size),
        partial_allowed=terms.partial_allowed,
        created_at_us=terms.created_at,
        expires_at_us=terms.expires_at,
        venue_id=terms.venue_id,
        settlement_date=terms.settlement_date.isoformat() if terms.settlement_date else "",
        client=terms.tenant_id,
    )
    if terms.partial_allowed:
        request.min_size = plain(terms.smallest)
    return request


def last_look_of(event: e.QuoteAccepted) -> lp_pb2.LastLookRequest:
    """The question whether the dealer stands by its quote."""
    return lp_pb2.LastLookRequest(
        rfq_id=event.rfq_id,
        quote_id=event.quote.quote_id,
        dealer_quote_ref=event.quote.dealer_quote_ref,
        price=plain(event.quote.price),
        size=plain(event.quote.size),
        deadline_us=event.deadline or 0,
    )
