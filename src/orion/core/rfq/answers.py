"""RFQ: what dealers' answers lead to. Late and unusable quotes are discarded and recorded;
a repeat gives nothing new.
"""

from __future__ import annotations

from orion.core.decider import Decision, Reject
from orion.core.instrument import price_problem
from orion.core.quoting import spread_to_mid
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq.state import DealerLine, QuoteLine, Rfq
from orion.core.rfq.words import (
    MAX_DISCARDS,
    MAX_QUOTES_PER_DEALER,
    MAX_REASON,
    OPEN,
    DealerStatus,
    Quote,
    Status,
)
from orion.core.values import MILLISECOND, Instant, is_multiple, plain

Outcome = Decision[e.Event]
NOTHING: Outcome = Decision()


def _refuse(code: str, detail: str) -> Outcome:
    return Decision((), Reject(code, detail))


def takes_quotes(state: Rfq, at: Instant) -> bool:
    """Quotes are taken until expiry;
    also while a dealer's last look is open, because the RFQ may come back from it.
    """
    if at >= state.terms.expires_at:
        return False
    if state.status in OPEN:
        return True
    held = state.acceptance
    return state.status is Status.ACCEPTED and held is not None and not held.final


def receive(state: Rfq, command: c.ReceiveQuote) -> Outcome:
    """A quote: taken, discarded with a record, or seen before."""
    dealer = state.dealer(command.lp_id)
    if dealer is None or dealer.status is DealerStatus.EXCLUDED:
        return _refuse("LP-304", "this dealer was not asked")
    if state.line(command.quote_id) is not None:
        return NOTHING
    known = next((d for d in state.discards if d.quote_id == command.quote_id), None)
    if known is not None:
        return _refuse(known.code, known.reason)
    problem = _problem(state, command)
    if problem is not None:
        return _discard(state, command, *problem)
    return _take(state, dealer, command)


def _problem(state: Rfq, command: c.ReceiveQuote) -> tuple[str, str] | None:
    if not takes_quotes(state, command.at):
        return "LP-301", f"the RFQ is {state.status.value} or its time is over"
    off_tick = price_problem(state.terms.tick_size, command.price)
    if off_tick is not None:
        return "LP-303", off_tick
    terms, size = state.terms, command.size
    if not size.is_finite() or not terms.smallest <= size <= terms.size:
        return "LP-302", f"the size must be {plain(terms.smallest)} to {plain(terms.size)}"
    if not is_multiple(size, terms.lot_size):
        return "LP-302", f"the size must be a multiple of {plain(terms.lot_size)}"
    sent = sum(q.quote.lp_id == command.lp_id for q in state.quotes)
    if sent >= MAX_QUOTES_PER_DEALER:
        return "LP-305", f"a dealer may send {MAX_QUOTES_PER_DEALER} quotes on one RFQ"
    return None


def _discard(state: Rfq, command: c.ReceiveQuote, code: str, reason: str) -> Outcome:
    recordable = command.price.is_finite() and command.size.is_finite()
    if not recordable or len(state.discards) >= MAX_DISCARDS:
        return _refuse(code, reason)
    return Decision((e.QuoteDiscarded(
        state.terms.rfq_id, command.at, command.quote_id, command.lp_id,
        command.dealer_quote_ref, command.price, command.size, code, reason,
    ),), Reject(code, reason))


def _take(state: Rfq, dealer: DealerLine, command: c.ReceiveQuote) -> Outcome:
    terms = state.terms
    life = command.life_ms * MILLISECOND
    expires_at = min(terms.expires_at, command.at + life) if life > 0 else terms.expires_at
    quote = Quote(
        command.quote_id, command.lp_id, dealer.routed.name, command.dealer_quote_ref,
        command.price, command.size, command.at, expires_at,
        max(0, command.at - terms.created_at),
        spread_to_mid(terms.side, command.price, command.mid),
    )
    new: list[e.Event] = [
        e.QuoteWithdrawn(
            terms.rfq_id, command.at, q.quote.quote_id, q.quote.lp_id, "REPLACED", quote.quote_id
        )
        for q in _standing(state, command.lp_id)
    ]
    first = dealer.response_us is None
    new.append(
        e.QuoteReceived(terms.rfq_id, command.at, terms.instrument_id, quote, first, command.mid)
    )
    if state.status is Status.SENT:
        new.append(e.RFQQuoting(terms.rfq_id, command.at, quote.quote_id, quote.lp_id))
    return Decision(tuple(new))


def _standing(state: Rfq, lp_id: str) -> list[QuoteLine]:
    """The dealer's quotes that were not taken back; the one under last look is bound and stays."""
    bound = state.acceptance.quote_id if state.acceptance else None
    return [
        q for q in state.quotes
        if q.quote.lp_id == lp_id and q.taken_back is None and q.quote.quote_id != bound
    ]


def decline(state: Rfq, command: c.DeclineQuote) -> Outcome:
    """A pass. A dealer that has quoted takes its quotes back by it."""
    dealer = state.dealer(command.lp_id)
    if dealer is None or dealer.status is DealerStatus.EXCLUDED:
        return _refuse("LP-304", "this dealer was not asked")
    if dealer.status is DealerStatus.PASSED or command.quote_id in state.declined:
        return NOTHING
    if not takes_quotes(state, command.at):
        return _refuse("LP-301", "the RFQ is over")
    reason = command.reason.strip()[:MAX_REASON]
    back: list[e.Event] = [
        e.QuoteWithdrawn(
            state.terms.rfq_id, command.at, q.quote.quote_id, command.lp_id, reason or "PASSED"
        )
        for q in _standing(state, command.lp_id)
    ]
    passed = e.QuoteDeclined(
        state.terms.rfq_id, command.at, state.terms.instrument_id, command.quote_id,
        command.lp_id, reason, max(0, command.at - state.terms.created_at),
    )
    return Decision((*back, passed))


def withdraw(state: Rfq, command: c.WithdrawQuote) -> Outcome:
    """A quote taken back, as long as nobody has dealt on it."""
    line = state.line(command.quote_id)
    if line is None or line.quote.lp_id != command.lp_id:
        return _refuse("LP-304", "this dealer has no such quote here")
    if line.taken_back is not None:
        return NOTHING
    bound = state.acceptance is not None and state.acceptance.quote_id == command.quote_id
    if bound or not takes_quotes(state, command.at):
        return _refuse("LP-301", "too late to take the quote back")
    reason = command.reason.strip()[:MAX_REASON] or "WITHDRAWN"
    return Decision((e.QuoteWithdrawn(
        state.terms.rfq_id, command.at, command.quote_id, command.lp_id, reason
    ),))
