"""RFQ: the state, the legal moves, and how an event changes it. `evolve` never refuses:
it looks the move up and asserts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orion.core.decider import Recorded
from orion.core.ids import LpId, QuoteId, TradeId
from orion.core.limits import Check
from orion.core.records import changed, quick
from orion.core.rfq import events as e
from orion.core.rfq.words import DealerStatus, Quote, QuoteStatus, Routed, Status, Terms
from orion.core.values import Instant, Micros


@quick
@dataclass(frozen=True, slots=True)
class DealerLine:
    """A dealer on this RFQ."""

    routed: Routed
    status: DealerStatus
    reason: str | None = None
    response_us: Micros | None = None


@quick
@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A quote on this RFQ. `taken_back`: WITHDRAWN or LAST_LOOK_REJECTED, or None. `sequence`:
    of the entity Quote.
    """

    quote: Quote
    sequence: int = 1
    taken_back: QuoteStatus | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The accept that holds. Not final: the dealer's last look is open until `deadline`."""

    quote_id: QuoteId
    lp_id: LpId
    trade_id: TradeId
    at: Instant
    command_id: str
    final: bool
    deadline: Instant | None


@dataclass(frozen=True, slots=True)
class Discard:
    """A quote that was not used:
    remembered so that a repeat gives the same answer and no second record.
    """

    quote_id: QuoteId
    code: str
    reason: str


@quick
@dataclass(frozen=True, slots=True)
class Rfq:
    """An RFQ as its events made it."""

    terms: Terms
    status: Status
    version: int                            # public: lifecycle events so far
    revision: int                           # all events so far
    checks: tuple[Check, ...] = ()
    dealers: tuple[DealerLine, ...] = ()
    quotes: tuple[QuoteLine, ...] = ()
    declined: tuple[QuoteId, ...] = ()      # entities of passes
    discards: tuple[Discard, ...] = ()
    acceptance: Acceptance | None = None
    answered: tuple[QuoteId, ...] = ()      # quotes whose last look has been answered or ran out
    ended_at: Instant | None = None
    trade_id: TradeId | None = None
    trade_display_id: str | None = None
    reason_code: str | None = None          # of a denial, a rejection, or the last last-look reject
    reason: str | None = None

    def line(self, quote_id: str) -> QuoteLine | None:
        """The quote with this id, or None."""
        return next((q for q in self.quotes if q.quote.quote_id == quote_id), None)

    def dealer(self, lp_id: str) -> DealerLine | None:
        """The dealer with this id, asked or not, or None."""
        return next((d for d in self.dealers if d.routed.lp_id == lp_id), None)


# The only copy of the legal moves: a pair that is not here cannot happen. Events of quotes do not
# move the RFQ.
MOVES: Mapping[tuple[Status | None, type], Status] = {
    (None, e.RFQCreated): Status.CREATED,
    (Status.CREATED, e.RFQDenied): Status.DENIED,
    (Status.CREATED, e.RFQSent): Status.SENT,
    (Status.SENT, e.RFQQuoting): Status.QUOTING,
    (Status.SENT, e.RFQExpired): Status.EXPIRED,
    (Status.SENT, e.RFQCancelled): Status.CANCELLED,
    (Status.QUOTING, e.QuoteAccepted): Status.ACCEPTED,
    (Status.QUOTING, e.RFQExpired): Status.EXPIRED,
    (Status.QUOTING, e.RFQCancelled): Status.CANCELLED,
    (Status.QUOTING, e.RFQRejected): Status.REJECTED,
    (Status.ACCEPTED, e.LastLookPassed): Status.ACCEPTED,
    (Status.ACCEPTED, e.QuoteAcceptanceRejected): Status.QUOTING,
    (Status.ACCEPTED, e.RFQTraded): Status.TRADED,
}


def evolve(state: Rfq | None, event: e.Event) -> Rfq:
    """The state after the event.

    Raises AssertionError for a move that MOVES does not know: that is a bug, not a refusal.
    """
    if isinstance(event, e.QuoteReceived | e.QuoteDeclined | e.QuoteWithdrawn | e.QuoteDiscarded):
        assert state is not None, f"{type(event).__name__} before RFQCreated"
        return changed(state, revision=state.revision + 1, **_quote_changes(state, event))
    move = (state.status if state else None, type(event))
    assert move in MOVES, f"no such move: {move[0]} on {move[1].__name__}"
    status = MOVES[move]
    if isinstance(event, e.RFQCreated):
        return _created(event, status)
    assert state is not None
    return changed(
        state, status=status, version=state.version + 1, revision=state.revision + 1,
        **_lifecycle_changes(state, event),
    )


def _created(event: e.RFQCreated, status: Status) -> Rfq:
    dealers = tuple(
        DealerLine(r, DealerStatus.EXCLUDED if r.excluded else DealerStatus.PENDING, r.excluded)
        for r in event.considered
    )
    return Rfq(event.terms, status, version=1, revision=1, checks=event.checks, dealers=dealers)


# Changes are gathered and made at once: each copy of the state costs as much as all its fields.
Changes = dict[str, Any]


def _lifecycle_changes(state: Rfq, event: e.LifecycleEvent) -> Changes:
    match event:
        case e.RFQDenied(at=at, code=code, reason=reason) | e.RFQRejected(
            at=at, code=code, reason=reason
        ):
            return {"ended_at": at, "reason_code": code, "reason": reason}
        case e.QuoteAccepted():
            acceptance = Acceptance(
                event.quote.quote_id, event.quote.lp_id, event.trade_id, event.at,
                event.command_id, event.final, event.deadline,
            )
            return {"acceptance": acceptance, "reason_code": None, "reason": None}
        case e.LastLookPassed(quote=quote):
            assert state.acceptance is not None
            final = replace(state.acceptance, final=True, deadline=None)
            return {"acceptance": final, "answered": (*state.answered, quote.quote_id)}
        case e.QuoteAcceptanceRejected():
            return {
                "quotes": _taken_back(state, event, QuoteStatus.LAST_LOOK_REJECTED),
                "acceptance": None, "answered": (*state.answered, event.quote_id),
                "reason_code": event.code, "reason": event.reason,
            }
        case e.RFQCancelled(at=at, reason=reason):
            return {"ended_at": at, "reason_code": None, "reason": reason}
        case e.RFQExpired(at=at):
            return {"ended_at": at}
        case e.RFQTraded():
            return {
                "ended_at": event.at, "trade_id": event.trade_id,
                "trade_display_id": event.trade_display_id,
            }
        case _:
            return {}  # RFQSent and RFQQuoting change the status alone


def _quote_changes(state: Rfq, event: e.QuoteEvent) -> Changes:
    match event:
        case e.QuoteReceived(quote=quote, first=first):
            response = quote.response_us if first else None
            return {
                "quotes": (*state.quotes, QuoteLine(quote)),
                "dealers": _answered(state, quote.lp_id, DealerStatus.QUOTED, None, response),
            }
        case e.QuoteDeclined():
            dealers = _answered(
                state, event.lp_id, DealerStatus.PASSED, event.reason or None, event.response_us
            )
            return {"dealers": dealers, "declined": (*state.declined, event.quote_id)}
        case e.QuoteWithdrawn():
            return {"quotes": _taken_back(state, event, QuoteStatus.WITHDRAWN)}
        case e.QuoteDiscarded():
            discard = Discard(event.quote_id, event.code, event.reason)
            return {"discards": (*state.discards, discard)}


def _answered(
    state: Rfq, lp_id: str, status: DealerStatus, reason: str | None, response: Micros | None
) -> tuple[DealerLine, ...]:
    return tuple(
        DealerLine(
            d.routed, status, reason, response if d.response_us is None else d.response_us
        )
        if d.routed.lp_id == lp_id else d
        for d in state.dealers
    )


def _taken_back(
    state: Rfq, event: e.QuoteWithdrawn | e.QuoteAcceptanceRejected, status: QuoteStatus
) -> tuple[QuoteLine, ...]:
    # A withdrawal is an event of the quote itself; a last-look reject is one of the RFQ.
    counted = 1 if isinstance(event, e.QuoteWithdrawn) else 0
    return tuple(
        QuoteLine(q.quote, q.sequence + counted, status, event.reason or None)
        if q.quote.quote_id == event.quote_id else q
        for q in state.quotes
    )


def fold(
    state: Rfq | None, new: Iterable[e.Event]
) -> tuple[Rfq | None, tuple[Recorded[e.Event], ...]]:
    """The state after the events, and each event with its entity and sequence, in order."""
    recorded: list[Recorded[e.Event]] = []
    for event in new:
        state = evolve(state, event)
        recorded.append(_place(state, event))
    return state, tuple(recorded)


def _place(after: Rfq, event: e.Event) -> Recorded[e.Event]:
    match event:
        case e.QuoteReceived(quote=quote):
            return Recorded(event, "Quote", quote.quote_id, 1)
        case e.QuoteDeclined() | e.QuoteDiscarded():
            return Recorded(event, "Quote", event.quote_id, 1)
        case e.QuoteWithdrawn():
            line = after.line(event.quote_id)
            assert line is not None
            return Recorded(event, "Quote", event.quote_id, line.sequence)
        case _:
            return Recorded(event, "RFQ", after.terms.rfq_id, after.version)
