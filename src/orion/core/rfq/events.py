"""RFQ: the events. Past tense, frozen; what happened, with all that a reader needs.

Two families. Lifecycle events belong to the entity RFQ (topic rfq.lifecycle) and count in its
public version. Quote events belong to the entity Quote (topic rfq.quotes), each quote
with its own sequence from 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

from orion.core.ids import LpId, QuoteId, RfqId, TradeId
from orion.core.limits import Check
from orion.core.records import quick
from orion.core.rfq.words import Quote, Routed, Terms
from orion.core.values import Instant, Price, Quantity


@quick
@dataclass(frozen=True, slots=True)
class RFQCreated:
    """The RFQ exists, with every check that was made before anything is sent."""

    rfq_id: RfqId
    at: Instant
    terms: Terms
    checks: tuple[Check, ...]
    considered: tuple[Routed, ...]


@dataclass(frozen=True, slots=True)
class RFQDenied:
    """We refused it: nothing was sent. Final."""

    rfq_id: RfqId
    at: Instant
    code: str
    reason: str
    terms: Terms


@quick
@dataclass(frozen=True, slots=True)
class RFQSent:
    """It goes to these dealers. Carries all that a dealer needs."""

    rfq_id: RfqId
    at: Instant
    terms: Terms
    dealers: tuple[Routed, ...]     # only those asked


@quick
@dataclass(frozen=True, slots=True)
class RFQQuoting:
    """The first quote is there."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId


@quick
@dataclass(frozen=True, slots=True)
class QuoteAccepted:
    """The requester dealt. `final`: the trade stands.

    Otherwise the dealer has a last look until `deadline`.
    """

    rfq_id: RfqId
    at: Instant
    terms: Terms
    quote: Quote
    trade_id: TradeId
    final: bool
    deadline: Instant | None
    command_id: str
    rank: int                       # 1: the best
    was_best: bool
    cover_price: Price | None       # the best price of another quote that could be dealt
    quotes_live: int
    reason: str | None              # why not the best
    mid: Price | None
    last_look_max_drift: Decimal | None = None


@dataclass(frozen=True, slots=True)
class LastLookPassed:
    """The dealer stands by the quote: the trade stands."""

    rfq_id: RfqId
    at: Instant
    terms: Terms
    quote: Quote
    trade_id: TradeId
    drift: str | None = None


@dataclass(frozen=True, slots=True)
class QuoteAcceptanceRejected:
    """The dealer did not stand by its quote (RFQ-207), or did not answer in time (RFQ-213)."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    code: str
    reason: str
    price: Price
    size: Quantity
    drift: str | None = None


@dataclass(frozen=True, slots=True)
class RFQRejected:
    """After a last-look reject there was no time left. Final."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RFQExpired:
    """Time ran out. Final."""

    rfq_id: RfqId
    at: Instant
    expires_at: Instant
    quotes: int                     # received in all
    best_price: Price | None        # of the quotes that could be dealt to the end


@dataclass(frozen=True, slots=True)
class RFQCancelled:
    """The requester took it back. Final."""

    rfq_id: RfqId
    at: Instant
    by: str
    reason: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class RFQTraded:
    """The trade is made. Final."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    trade_id: TradeId
    trade_display_id: str
    price: Price
    size: Quantity


@quick
@dataclass(frozen=True, slots=True)
class QuoteReceived:
    """A dealer quoted. `first`: the dealer's first answer to this RFQ."""

    rfq_id: RfqId
    at: Instant
    instrument_id: str
    quote: Quote
    first: bool
    mid: Price | None = None


@dataclass(frozen=True, slots=True)
class QuoteDeclined:
    """A dealer passed."""

    rfq_id: RfqId
    at: Instant
    instrument_id: str
    quote_id: QuoteId
    lp_id: LpId
    reason: str
    response_us: int


@dataclass(frozen=True, slots=True)
class QuoteWithdrawn:
    """A dealer took a quote back, or replaced it (`replaced_by`)."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    reason: str
    replaced_by: QuoteId | None = None


@dataclass(frozen=True, slots=True)
class QuoteDiscarded:
    """A quote came too late or could not be used. Kept for the record, never dealt."""

    rfq_id: RfqId
    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    dealer_quote_ref: str
    price: Decimal
    size: Decimal
    code: str
    reason: str


LifecycleEvent: TypeAlias = (
    RFQCreated | RFQDenied | RFQSent | RFQQuoting | QuoteAccepted | LastLookPassed
    | QuoteAcceptanceRejected | RFQRejected | RFQExpired | RFQCancelled | RFQTraded
)
QuoteEvent: TypeAlias = QuoteReceived | QuoteDeclined | QuoteWithdrawn | QuoteDiscarded
Event: TypeAlias = LifecycleEvent | QuoteEvent

LIFECYCLE: tuple[type, ...] = (
    RFQCreated, RFQDenied, RFQSent, RFQQuoting, QuoteAccepted, LastLookPassed,
    QuoteAcceptanceRejected, RFQRejected, RFQExpired, RFQCancelled, RFQTraded,
)
QUOTES: tuple[type, ...] = (QuoteReceived, QuoteDeclined, QuoteWithdrawn, QuoteDiscarded)
