"""Dealers' answers, as the gateway hands them in: which command each of them is."""

from __future__ import annotations

from orion.core import ids
from orion.core.rfq import commands as c
from orion.core.rfq.state import Rfq
from orion.core.values import parse_decimal
from orion.services.rfq.aggregate import Answer, Order
from orion.services.rfq.world import World
from orion.wire.stubs import rfq_pb2

PASSED = "pass"  # stands for the quote's reference in the id of a pass


def refused(code: str, quote_id: str | None = None) -> rfq_pb2.AnswerOutcome:
    """The answer was not taken."""
    return rfq_pb2.AnswerOutcome(taken=False, code=code, quote_id=quote_id)


def order_of(
    answer: rfq_pb2.DealerAnswer, state: Rfq, world: World
) -> tuple[Order, str] | rfq_pb2.AnswerOutcome:
    """The command and the quote it is about; or the outcome, when it makes no sense at all."""
    rfq_id, lp_id = answer.rfq_id, ids.LpId(answer.lp_id)
    match answer.WhichOneof("answer"):
        case "quote":
            return _quote(answer, state, world)
        case "declined":
            quote_id = ids.quote_id(rfq_id, lp_id, PASSED)
            command: c.Command = c.DeclineQuote(
                at=0, quote_id=quote_id, lp_id=lp_id, reason=answer.declined.reason
            )
        case "withdraw":
            quote_id = ids.quote_id(rfq_id, lp_id, answer.withdraw.dealer_quote_ref)
            command = c.WithdrawQuote(at=0, quote_id=quote_id, lp_id=lp_id)
        case "last_look":
            look = answer.last_look
            quote_id = ids.QuoteId(look.quote_id)
            command = c.AnswerLastLook(
                at=0,
                quote_id=quote_id,
                lp_id=lp_id,
                passed=look.passed,
                reason=look.reason,
                drift=look.drift or None,
            )
        case _:
            return refused("LP-307")
    return Order(command, quote_id), quote_id


def _quote(
    answer: rfq_pb2.DealerAnswer, state: Rfq, world: World
) -> tuple[Order, str] | rfq_pb2.AnswerOutcome:
    quote, lp_id = answer.quote, ids.LpId(answer.lp_id)
    quote_id = ids.quote_id(answer.rfq_id, lp_id, quote.dealer_quote_ref)
    try:
        price = parse_decimal(quote.price)
    except ValueError:
        return refused("LP-303", quote_id)
    try:
        size = parse_decimal(quote.size)
    except ValueError:
        return refused("LP-302", quote_id)
    command = c.ReceiveQuote(
        at=0,
        quote_id=quote_id,
        lp_id=lp_id,
        dealer_quote_ref=quote.dealer_quote_ref,
        price=price,
        size=size,
        life_ms=quote.life_ms,
        mid=world.prices.mid(state.terms.instrument_id),
    )
    return Order(command, quote_id), quote_id


def outcome_of(answer: Answer, quote_id: str) -> rfq_pb2.AnswerOutcome:
    """What the dealer is told."""
    if answer.reject is not None:
        return refused(answer.reject.code, quote_id)
    return rfq_pb2.AnswerOutcome(taken=True, quote_id=quote_id)
