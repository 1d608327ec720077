"""Limits that hold before anything is sent. Every check leaves a record:
what was measured, against what, and how it came out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from orion.core.entitlement import Grants, may_see
from orion.core.instrument import Instrument, Venue
from orion.core.records import quick
from orion.core.values import Price, Quantity, plain, round_money


@quick
@dataclass(frozen=True, slots=True)
class Check:
    """One check. `code` (of contracts/errors.toml) is there when it failed."""

    check: str
    passed: bool
    actual: str
    limit: str
    code: str | None = None

    @property
    def outcome(self) -> str:
        """As it is shown: PASSED or FAILED."""
        return "PASSED" if self.passed else "FAILED"


def checked(check: str, passed: bool, *, actual: str, limit: str, code: str) -> Check:
    """A check's record; the code is kept only when it failed."""
    return Check(check, passed, actual, limit, None if passed else code)


def check_entitlement(grants: Grants, instrument: Instrument) -> Check:
    """The asset class, and the instrument when the grants name instruments."""
    classes = ",".join(sorted(grants.asset_classes)) or "none"
    named = "" if grants.instrument_ids is None else f"; {len(grants.instrument_ids)} instruments"
    return checked(
        "ENTITLEMENT", may_see(grants, instrument.instrument_id, instrument.asset_class),
        actual=f"{instrument.asset_class.value} {instrument.instrument_id}",
        limit=classes + named, code="RISK-102",
    )


def check_venue(
    grants: Grants, instrument: Instrument, venue_id: str, venue: Venue | None
) -> Check:
    """The venue is granted to the user, trades this instrument by RFQ and is open for business."""
    limit = ",".join(sorted(grants.venue_ids)) or "none"
    trades = (
        venue is not None and venue.enabled and venue.execution_type == "RFQ"
        and venue.venue_id in instrument.venue_ids
    )
    if not trades:
        return Check("VENUE", False, venue_id, ",".join(instrument.venue_ids) or "none", "RFQ-211")
    return checked(
        "VENUE", venue_id in grants.venue_ids, actual=venue_id, limit=limit, code="RISK-104"
    )


def check_rate(grants: Grants, count: int) -> Check:
    """RFQs of this user in the last minute, this one included."""
    return checked(
        "RATE", count + 1 <= grants.rfq_per_minute,
        actual=str(count + 1), limit=str(grants.rfq_per_minute), code="RISK-101",
    )


def notional_usd(
    instrument: Instrument, size: Quantity, mid: Price | None, usd_rate: Decimal | None
) -> Decimal | None:
    """size × mid × contract size × USD per quote currency, in cents;
    None when a price or a rate is not known.
    """
    if mid is None or usd_rate is None or not size.is_finite():
        return None
    return round_money(size * mid * instrument.contract_size * usd_rate, "USD")


def check_notional(grants: Grants, notional: Decimal | None) -> Check:
    """The notional in USD. An unknown rate fails: what cannot be measured is not let through."""
    limit = plain(grants.max_notional)
    if notional is None:
        return Check("NOTIONAL", False, "unknown", limit, "RISK-105")
    return checked(
        "NOTIONAL", notional <= grants.max_notional,
        actual=plain(notional), limit=limit, code="RISK-103",
    )


def usd_rate(currency: str, mids: Mapping[str, Price]) -> Decimal | None:
    """USD for one unit of `currency`, from the mids of the pairs with USD ("EURUSD" or "USDJPY");
    None when there is none.
    """
    if currency == "USD":
        return Decimal(1)
    direct = mids.get(f"{currency}USD")
    if direct is not None and direct > 0:
        return direct
    inverse = mids.get(f"USD{currency}")
    if inverse is not None and inverse > 0:
        return Decimal(1) / inverse
    return None
