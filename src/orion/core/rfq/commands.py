"""RFQ: the commands. Imperative;
each carries the instant of its decision and every fact the decision needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeAlias

from orion.core.entitlement import Grants
from orion.core.ids import CorrelationId, LpId, QuoteId, RfqId, TradeId
from orion.core.instrument import Dealer, Instrument, Venue
from orion.core.records import quick
from orion.core.values import Instant, Price, Quantity, Side


@dataclass(frozen=True, slots=True)
class Candidate:
    """A dealer that could be asked. `blocked`:
    what the asking side knows against it now (THROTTLED, NOT_CONNECTED …).
    """

    dealer: Dealer
    blocked: str | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRFQ:
    """Ask dealers for a price. The service fills in the facts; the decision looks nowhere else."""

    at: Instant
    rfq_id: RfqId
    correlation_id: CorrelationId
    number: int                             # words.display_number(ordinal, part)
    tenant_id: str
    subject: str
    requester: str
    desk: str
    grants: Grants
    instrument: Instrument
    side: Side
    size: Quantity
    expiry_seconds: int
    candidates: tuple[Candidate, ...]       # every dealer of reference data, in its order
    # RFQs of this user in the last minute, this one not included
    rate_count: int
    usd_rate: Decimal | None                # USD for one unit of the instrument's quote currency
    mid: Price | None
    is_stale: bool = False
    min_size: Quantity | None = None
    partial_allowed: bool = False
    lp_ids: tuple[str, ...] = ()            # empty: all that are eligible
    venue_id: str | None = None             # None: the instrument's first venue
    # the venue of venue_id, or of the instrument's first; None: there is none
    venue: Venue | None = None
    settlement_date: date | None = None     # None: the instrument's standard date


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveQuote:
    """A dealer quotes.

    `quote_id` is derived from RFQ, dealer and the dealer's own reference, so a repeat is seen as
    one.
    """

    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    dealer_quote_ref: str
    price: Price
    size: Quantity
    life_ms: int                            # 0: as long as the RFQ
    mid: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclineQuote:
    """A dealer passes. `quote_id`: ids.quote_id(rfq, lp, "pass")."""

    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawQuote:
    """A dealer takes a quote back."""

    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    reason: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptQuote:
    """The requester deals on a quote. `version` is the RFQ's public version that the requester saw.

    """

    at: Instant
    # the idempotency key: the same accept again gives nothing new
    command_id: str
    subject: str
    quote_id: QuoteId
    version: int
    trade_id: TradeId                       # ids.trade_id(rfq, quote)
    reason: str | None = None               # needed when the quote is not the best
    mid: Price | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRFQ:
    """The requester takes the RFQ back."""

    at: Instant
    subject: str
    version: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLastLook:
    """A dealer answers its last look."""

    at: Instant
    quote_id: QuoteId
    lp_id: LpId
    passed: bool
    reason: str = ""
    drift: str | None = None                # as the dealer measured it, for the record


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireLastLook:
    """The dealer's last-look window is over: silence counts as a reject."""

    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireRFQ:
    """The RFQ's time is over."""

    at: Instant


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MarkTraded:
    """Execution made the trade."""

    at: Instant
    quote_id: QuoteId
    trade_id: TradeId
    trade_display_id: str


Command: TypeAlias = (
    CreateRFQ | ReceiveQuote | DeclineQuote | WithdrawQuote | AcceptQuote | CancelRFQ
    | AnswerLastLook | ExpireLastLook | ExpireRFQ | MarkTraded
)
