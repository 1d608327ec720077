"""RFQ: the decisions. Pure: state and command in, events or a refusal out. Never raises for a
refusal.

Time is the command's `at`, the owner's clock. Where time has run out but nobody has said so yet,
the decision says so: a late accept or cancel is refused and lets the RFQ expire in the same write.
"""

from __future__ import annotations

from typing import assert_never

from orion.core.decider import Decision, Reject
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq.answers import decline, receive, withdraw
from orion.core.rfq.checks import check_all, considered, date_of, sentence, venue_of
from orion.core.rfq.state import Rfq
from orion.core.rfq.view import accepted_line, live_quotes, quote_status
from orion.core.rfq.words import MAX_REASON, OPEN, QuoteStatus, Status, Terms
from orion.core.values import MILLISECOND, SECOND

Outcome = Decision[e.Event]
NOTHING: Outcome = Decision()


def refuse(code: str, detail: str, *events: e.Event) -> Outcome:
    """A refusal, perhaps with what time brought about."""
    return Decision(events, Reject(code, detail))


def decide(state: Rfq | None, command: c.Command) -> Outcome:
    """What the command leads to. The same command on a state that has seen it leads to nothing new.

    """
    if isinstance(command, c.CreateRFQ):
        return NOTHING if state is not None else _create(command)
    if state is None:
        return refuse("API-104", "there is no such RFQ")
    match command:
        case c.ReceiveQuote():
            return receive(state, command)
        case c.DeclineQuote():
            return decline(state, command)
        case c.WithdrawQuote():
            return withdraw(state, command)
        case c.AcceptQuote():
            return _accept(state, command)
        case c.CancelRFQ():
            return _cancel(state, command)
        case c.AnswerLastLook():
            return _answer_last_look(state, command)
        case c.ExpireLastLook():
            return _expire_last_look(state, command)
        case c.ExpireRFQ():
            return _expire(state, command)
        case c.MarkTraded():
            return _mark_traded(state, command)
        case _:
            assert_never(command)


# ---- create -------------------------------------------------------------------------------------


def _create(command: c.CreateRFQ) -> Outcome:
    routed = considered(command)
    checks = check_all(command, routed)
    terms = _terms(command)
    created = e.RFQCreated(terms.rfq_id, command.at, terms, checks, routed)
    failed = next((check for check in checks if not check.passed), None)
    if failed is not None:
        code, reason = failed.code or "API-100", sentence(failed)
        denied = e.RFQDenied(terms.rfq_id, command.at, code, reason, terms)
        return refuse(code, reason, created, denied)
    asked = tuple(dealer for dealer in routed if dealer.excluded is None)
    return Decision((created, e.RFQSent(terms.rfq_id, command.at, terms, asked)))


def _terms(command: c.CreateRFQ) -> Terms:
    instrument = command.instrument
    return Terms(
        rfq_id=command.rfq_id, display_id=f"R-{command.number}",
        correlation_id=command.correlation_id, tenant_id=command.tenant_id,
        subject=command.subject, requester=command.requester, desk=command.desk,
        instrument_id=instrument.instrument_id, side=command.side, size=command.size,
        currency=instrument.currency, quote_currency=instrument.quote_currency,
        min_size=command.min_size, partial_allowed=command.partial_allowed,
        venue_id=venue_of(command), settlement_date=date_of(command),
        expiry_seconds=command.expiry_seconds, created_at=command.at,
        expires_at=command.at + command.expiry_seconds * SECOND, mid_at_request=command.mid,
        tick_size=instrument.tick_size, lot_size=instrument.lot_size,
        contract_size=instrument.contract_size,
    )


# ---- accept -------------------------------------------------------------------------------------


def _accept(state: Rfq, command: c.AcceptQuote) -> Outcome:
    if command.subject != state.terms.subject:
        return refuse("RFQ-209", "only the requester may accept")
    held = state.acceptance
    if held is not None and (held.command_id, held.quote_id) == (
        command.command_id, command.quote_id
    ):
        return NOTHING
    closed = _closed(state, command.at)
    if closed is not None:
        return closed
    if command.version != state.version:
        return refuse(
            "RFQ-203", f"the RFQ is at version {state.version}, you saw {command.version}"
        )
    refusal = _undealable(state, command)
    return refusal or _accepted(state, command)


def _closed(state: Rfq, at: int) -> Outcome | None:
    """Why the requester can no longer act; None while the RFQ is open."""
    if state.status is Status.EXPIRED:
        return refuse("RFQ-204", "the RFQ has expired")
    if state.status not in OPEN:
        return refuse("RFQ-205", f"the RFQ is {state.status.value}")
    if at >= state.terms.expires_at:
        return refuse("RFQ-204", "the RFQ has expired", _expired(state, at))
    return None


def _undealable(state: Rfq, command: c.AcceptQuote) -> Outcome | None:
    line = state.line(command.quote_id)
    if line is None:
        return refuse("RFQ-206", "this RFQ has no such quote")
    status = quote_status(state, line, command.at)
    if status is QuoteStatus.EXPIRED:
        return refuse("RFQ-204", "the quote has expired")
    if status is not QuoteStatus.QUOTED:
        return refuse("RFQ-208", f"the quote is {status.value}")
    # A quote that is not the best may be taken, and why may be left open: a better one that arrives
    # while the click is on its way must not refuse it. The event tells the rank and the reason.
    return None


def _accepted(state: Rfq, command: c.AcceptQuote) -> Outcome:
    order = live_quotes(state, command.at)
    rank = next(n for n, q in enumerate(order, 1) if q.quote_id == command.quote_id)
    quote = order[rank - 1]
    others = [q for q in order if q.quote_id != quote.quote_id]
    dealer = state.dealer(quote.lp_id)
    assert dealer is not None
    looks = dealer.routed.last_look
    return Decision((e.QuoteAccepted(
        rfq_id=state.terms.rfq_id, at=command.at, terms=state.terms, quote=quote,
        trade_id=command.trade_id, final=not looks,
        deadline=command.at + dealer.routed.last_look_ms * MILLISECOND if looks else None,
        command_id=command.command_id, rank=rank, was_best=rank == 1,
        cover_price=others[0].price if others else None, quotes_live=len(order),
        reason=(command.reason or "").strip()[:MAX_REASON] or None, mid=command.mid,
        last_look_max_drift=dealer.routed.last_look_max_drift if looks else None,
    ),))


# ---- cancel, expiry -----------------------------------------------------------------------------


def _cancel(state: Rfq, command: c.CancelRFQ) -> Outcome:
    if command.subject != state.terms.subject:
        return refuse("RFQ-209", "only the requester may cancel")
    if state.status is Status.CANCELLED:
        return NOTHING
    closed = _closed(state, command.at)
    if closed is not None:
        return closed
    if command.version is not None and command.version != state.version:
        return refuse(
            "RFQ-203", f"the RFQ is at version {state.version}, you saw {command.version}"
        )
    reason = (command.reason or "").strip()[:MAX_REASON] or None
    cancelled = e.RFQCancelled(state.terms.rfq_id, command.at, state.terms.requester, reason)
    return Decision((cancelled,))


def _expire(state: Rfq, command: c.ExpireRFQ) -> Outcome:
    if state.status not in OPEN or command.at < state.terms.expires_at:
        return NOTHING
    return Decision((_expired(state, command.at),))


def _expired(state: Rfq, at: int) -> e.RFQExpired:
    expires_at = state.terms.expires_at
    # The quotes as they stood the moment before time ran out.
    last = live_quotes(state, expires_at - 1)
    best = last[0].price if last else None
    return e.RFQExpired(state.terms.rfq_id, at, expires_at, len(state.quotes), best)


# ---- last look, trade ---------------------------------------------------------------------------


def _answer_last_look(state: Rfq, command: c.AnswerLastLook) -> Outcome:
    if command.quote_id in state.answered:
        return NOTHING
    held, line = state.acceptance, accepted_line(state)
    if held is None or line is None or held.final or held.quote_id != command.quote_id:
        return refuse("LP-301", "no last look is open on this quote")
    if held.lp_id != command.lp_id:
        return refuse("LP-304", "the quote is another dealer's")
    if held.deadline is not None and command.at >= held.deadline:
        late = _last_look_rejected(state, command.at, "RFQ-213", "no answer in time", None)
        return refuse("LP-301", "the last look was over", *late)
    reason = command.reason.strip()[:MAX_REASON]
    if command.passed:
        return Decision((e.LastLookPassed(
            state.terms.rfq_id, command.at, state.terms, line.quote, held.trade_id, command.drift,
        ),))
    why = reason or "the dealer did not stand by the quote"
    return Decision(_last_look_rejected(state, command.at, "RFQ-207", why, command.drift))


def _expire_last_look(state: Rfq, command: c.ExpireLastLook) -> Outcome:
    held = state.acceptance
    if state.status is not Status.ACCEPTED or held is None or held.final:
        return NOTHING
    if held.deadline is not None and command.at < held.deadline:
        return NOTHING
    return Decision(_last_look_rejected(state, command.at, "RFQ-213", "no answer in time", None))


def _last_look_rejected(
    state: Rfq, at: int, code: str, reason: str, drift: str | None
) -> tuple[e.Event, ...]:
    """Back to quoting; or, when the RFQ's time is over, rejected for good."""
    line = accepted_line(state)
    assert line is not None
    quote, rfq_id = line.quote, state.terms.rfq_id
    rejected = e.QuoteAcceptanceRejected(
        rfq_id, at, quote.quote_id, quote.lp_id, code, reason, quote.price, quote.size, drift
    )
    if at < state.terms.expires_at:
        return (rejected,)
    return (rejected, e.RFQRejected(rfq_id, at, quote.quote_id, quote.lp_id, code, reason))


def _mark_traded(state: Rfq, command: c.MarkTraded) -> Outcome:
    if state.status is Status.TRADED and state.trade_id == command.trade_id:
        return NOTHING
    held, line = state.acceptance, accepted_line(state)
    if (
        state.status is not Status.ACCEPTED or held is None or line is None or not held.final
        or (held.trade_id, held.quote_id) != (command.trade_id, command.quote_id)
    ):
        return refuse("RFQ-205", "no final accept stands behind this trade")
    quote = line.quote
    return Decision((e.RFQTraded(
        state.terms.rfq_id, command.at, quote.quote_id, quote.lp_id, command.trade_id,
        command.trade_display_id, quote.price, quote.size,
    ),))
