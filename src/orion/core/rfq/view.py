"""RFQ: what can be seen of it at an instant.

Statuses of quotes, ranks, the best, the next deadline: functions of state and time.
"""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.quoting import ranked
from orion.core.rfq.state import QuoteLine, Rfq
from orion.core.rfq.words import OPEN, TERMINAL, Quote, QuoteStatus, Status
from orion.core.values import Instant


@dataclass(frozen=True, slots=True)
class QuoteView:
    """A quote as shown: with its status and, while it can be dealt, its rank (1: the best)."""

    quote: Quote
    status: QuoteStatus
    rank: int | None
    reason: str | None


def quote_status(state: Rfq, line: QuoteLine, at: Instant) -> QuoteStatus:
    """Where a quote stands at `at`."""
    if line.taken_back is not None:
        return line.taken_back
    held = state.acceptance
    if held is not None and state.status in (Status.ACCEPTED, Status.TRADED):
        return _beside_acceptance(state, line, at)
    if state.status in TERMINAL or at >= line.quote.expires_at:
        return QuoteStatus.EXPIRED
    return QuoteStatus.QUOTED


def _beside_acceptance(state: Rfq, line: QuoteLine, at: Instant) -> QuoteStatus:
    held = state.acceptance
    assert held is not None
    if line.quote.quote_id == held.quote_id:
        return QuoteStatus.WON if held.final else QuoteStatus.QUOTED
    if not held.final:
        return QuoteStatus.EXPIRED if at >= line.quote.expires_at else QuoteStatus.QUOTED
    return QuoteStatus.EXPIRED if held.at >= line.quote.expires_at else QuoteStatus.LOST


def live_quotes(state: Rfq, at: Instant) -> list[Quote]:
    """The quotes that could be dealt at `at`, best first."""
    live = (q.quote for q in state.quotes if quote_status(state, q, at) is QuoteStatus.QUOTED)
    return ranked(state.terms.side, live)


def quotes(state: Rfq, at: Instant) -> list[QuoteView]:
    """All quotes: those with a rank first, in their order, then the others, the newest first.

    Once the RFQ has been dealt, the ranks are those among the winner and the losers.
    """
    seen = [(q, quote_status(state, q, at)) for q in state.quotes]
    counted = {QuoteStatus.QUOTED, QuoteStatus.WON, QuoteStatus.LOST}
    order = ranked(state.terms.side, (q.quote for q, s in seen if s in counted))
    rank = {q.quote_id: n for n, q in enumerate(order, 1)}
    views = [QuoteView(q.quote, s, rank.get(q.quote.quote_id), q.reason) for q, s in seen]
    return sorted(
        views, key=lambda v: (v.rank is None, v.rank or 0, -v.quote.received_at, v.quote.quote_id)
    )


def best_quote_id(state: Rfq, at: Instant) -> str | None:
    """The best quote that can be dealt now; None when there is none, or when the RFQ is over."""
    if state.status in TERMINAL:
        return None
    live = live_quotes(state, at)
    return live[0].quote_id if live else None


def accepted_line(state: Rfq) -> QuoteLine | None:
    """The quote of the accept that holds, or None."""
    return state.line(state.acceptance.quote_id) if state.acceptance else None


def next_deadline(state: Rfq) -> Instant | None:
    """The instant at which time itself acts on the RFQ: its expiry, or the end of a last look."""
    if state.status in OPEN:
        return state.terms.expires_at
    if state.status is Status.ACCEPTED and state.acceptance and not state.acceptance.final:
        return state.acceptance.deadline
    return None


def is_live(state: Rfq) -> bool:
    """False when nothing can happen to it any more."""
    return state.status not in TERMINAL
