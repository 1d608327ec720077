"""Reference data: what can be dealt, where, and by whom it is quoted.

The field's conventions, as data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from orion.core.values import SECOND, Instant, Price, Quantity, is_multiple, plain


class AssetClass(str, Enum):
    """What kind of thing an instrument is."""

    FX = "FX"
    RATES = "RATES"
    CREDIT = "CREDIT"
    EQUITY = "EQUITY"


class DisplayKind(str, Enum):
    """How a price is shown: FX big figure and pips, plain decimals, or 32nds (US Treasuries)."""

    PIPS = "PIPS"
    DECIMAL = "DECIMAL"
    THIRTYSECONDS = "THIRTYSECONDS"


@dataclass(frozen=True, slots=True)
class Display:
    """Where the large digits of a price are. Indexes count from the decimal point."""

    kind: DisplayKind
    decimals: int
    pip_from: int
    pip_digits: int
    fraction_digits: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """One tradable thing.

    `currency` is what a size is in (base currency in FX, nominal currency for bonds).
    """

    instrument_id: str
    symbol: str
    display_name: str
    asset_class: AssetClass
    group: str
    currency: str
    quote_currency: str
    tenor: str
    settlement_days: int
    calendar: str               # currencies joined by "+", in the order of the pair: "EUR+USD"
    trading_hours: str          # "24x7", or "Mon-Fri 07:00-16:30" in UTC
    tick_size: Decimal
    lot_size: Decimal
    min_size: Decimal
    max_size: Decimal
    pip: Decimal
    display: Display
    spread_unit: str
    size_unit: str
    # notional = size × price × contract_size: FX 1, bonds 0.01, equities 1
    contract_size: Decimal
    venue_ids: tuple[str, ...]
    stale_amber_ms: int
    stale_red_ms: int
    enabled: bool = True
    version: int = 1
    source: str = "SIM"         # SIM or REPLAY
    isin: str | None = None
    issuer: str | None = None
    coupon: Decimal | None = None
    maturity: str | None = None  # ISO 8601 date
    curve: str | None = None

    @property
    def settlement_cycle(self) -> str:
        """As people write it: "T+2"."""
        return f"T+{self.settlement_days}"


@dataclass(frozen=True, slots=True)
class Venue:
    """A place to deal. `mic` follows ISO 10383 (a private X… code for invented venues)."""

    venue_id: str
    mic: str
    name: str
    execution_type: str         # RFQ or CLOB
    asset_classes: tuple[AssetClass, ...]
    session: str
    enabled: bool = True
    version: int = 1


@dataclass(frozen=True, slots=True)
class Dealer:
    """A liquidity provider and the rules it is asked under."""

    lp_id: str
    name: str
    instrument_ids: tuple[str, ...]
    max_requests_per_second: int
    quote_life_ms: int
    enabled: bool = True
    reason: str | None = None            # why it is not enabled
    tenant_ids: tuple[str, ...] = ()     # empty: all
    last_look: bool = False
    last_look_ms: int = 0                # the window it has to answer
    last_look_max_drift: Decimal = Decimal(0)  # in pips against the dealer
    version: int = 1


MAX_PRICE = Decimal(10) ** 12


def size_problem(instrument: Instrument, size: Quantity) -> str | None:
    """Why this size cannot be dealt, or None.

    Sizes are whole lots between the smallest and the largest.
    """
    if not size.is_finite() or size <= 0:
        return "the size must be greater than zero"
    if size < instrument.min_size:
        return f"the smallest size is {plain(instrument.min_size)}"
    if size > instrument.max_size:
        return f"the largest size is {plain(instrument.max_size)}"
    if not is_multiple(size, instrument.lot_size):
        return f"the size must be a multiple of {plain(instrument.lot_size)}"
    return None


def price_problem(tick_size: Decimal, price: Price) -> str | None:
    """Why this price cannot be quoted, or None. Prices are positive whole ticks."""
    if not price.is_finite() or price <= 0:
        return "the price must be greater than zero"
    if price >= MAX_PRICE:
        return "the price is too large"
    if not is_multiple(price, tick_size):
        return f"the price must be a multiple of {plain(tick_size)}"
    return None


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HOURS = re.compile(r"([A-Z][a-z]{2})-([A-Z][a-z]{2}) (\d\d):(\d\d)-(\d\d):(\d\d)")


def is_open(trading_hours: str, at: Instant) -> bool:
    """True when the hours ("24x7" or "Mon-Fri 07:00-16:30", UTC) include this instant.

    Raises ValueError for hours written in another way: reference data is checked when it is loaded.
    """
    if trading_hours == "24x7":
        return True
    match = _HOURS.fullmatch(trading_hours)
    if match is None:
        raise ValueError(f"trading hours are not understood: {trading_hours!r}")
    first, last = _DAYS.index(match[1]), _DAYS.index(match[2])
    opens, closes = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
    minutes = at // (60 * SECOND)
    weekday = (minutes // 1440 + 3) % 7  # 1 January 1970 was a Thursday
    if not _within_days(weekday, first, last):
        return False
    return opens <= minutes % 1440 < closes


def _within_days(day: int, first: int, last: int) -> bool:
    return first <= day <= last if first <= last else day >= first or day <= last
