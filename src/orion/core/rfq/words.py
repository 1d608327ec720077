"""RFQ: the words. Statuses, what was asked, who was asked, what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum

from orion.core.ids import CorrelationId, LpId, QuoteId, RfqId
from orion.core.records import quick
from orion.core.values import Instant, Micros, Price, Quantity, Side


class Status(str, Enum):
    """Where an RFQ stands."""

    CREATED = "CREATED"
    SENT = "SENT"
    QUOTING = "QUOTING"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"
    TRADED = "TRADED"
    DENIED = "DENIED"


TERMINAL = frozenset(
    {Status.REJECTED, Status.EXPIRED, Status.CANCELLED, Status.TRADED, Status.DENIED}
)
OPEN = frozenset({Status.SENT, Status.QUOTING})


class QuoteStatus(str, Enum):
    """Where a quote stands: a function of the RFQ and of time, never stored."""

    QUOTED = "QUOTED"
    PASSED = "PASSED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    LAST_LOOK_REJECTED = "LAST_LOOK_REJECTED"
    WON = "WON"
    LOST = "LOST"


class DealerStatus(str, Enum):
    """Where a dealer stands on one RFQ. EXCLUDED: not asked, with the reason."""

    PENDING = "PENDING"
    QUOTED = "QUOTED"
    PASSED = "PASSED"
    EXCLUDED = "EXCLUDED"


MIN_EXPIRY_SECONDS = 5
MAX_EXPIRY_SECONDS = 300
MAX_QUOTES_PER_DEALER = 20
"""Quotes one dealer may send on one RFQ, replaced and withdrawn ones included:
bounds state and log.
"""
MAX_DISCARDS = 64
"""Discarded quotes recorded on one RFQ; further ones are refused without a record."""
MAX_REASON = 200
"""Characters of free text kept from a person or a dealer."""


@quick
@dataclass(frozen=True, slots=True)
class Terms:
    """What was asked: fixed for good when the RFQ is created."""

    rfq_id: RfqId
    display_id: str             # R-1048, for people
    correlation_id: CorrelationId
    tenant_id: str
    subject: str                # the requester's stable id
    requester: str              # trader@alpha
    desk: str
    instrument_id: str
    side: Side
    size: Quantity
    currency: str               # the size is in it
    quote_currency: str
    min_size: Quantity | None
    partial_allowed: bool
    venue_id: str
    settlement_date: date | None   # None only on a denied RFQ for which there is none
    expiry_seconds: int
    created_at: Instant
    expires_at: Instant
    mid_at_request: Price | None
    tick_size: Decimal
    lot_size: Decimal
    contract_size: Decimal      # notional = size × price × contract_size

    @property
    def smallest(self) -> Quantity:
        """The smallest size a dealer may quote."""
        if not self.partial_allowed:
            return self.size
        return self.lot_size if self.min_size is None else self.min_size


@quick
@dataclass(frozen=True, slots=True)
class Routed:
    """A dealer as it was considered. `excluded`: why it was not asked; None: it was asked."""

    lp_id: LpId
    name: str
    excluded: str | None = None
    last_look: bool = False
    last_look_ms: int = 0
    last_look_max_drift: Decimal = Decimal(0)   # pips


@quick
@dataclass(frozen=True, slots=True)
class Quote:
    """A dealer's answer, as received."""

    quote_id: QuoteId
    lp_id: LpId
    lp_name: str
    dealer_quote_ref: str
    price: Price
    size: Quantity
    received_at: Instant
    expires_at: Instant
    response_us: Micros
    spread_to_mid: Decimal | None   # price units; positive is what the requester pays over the mid


def display_number(ordinal: int, part: int, parts: int = 8) -> int:
    """The number people see (R-1048 and T-1048):
    unique in a tenant without asking other partitions.
    """
    return 1000 + ordinal * parts + part
