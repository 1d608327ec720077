"""The words of value that all of core speaks: instants, sides, prices, quantities."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from enum import Enum
from typing import TypeAlias

Instant: TypeAlias = int
"""A moment: microseconds since 1970-01-01T00:00:00Z. Core never reads a clock;
instants are handed in.
"""

Micros: TypeAlias = int
"""A duration in microseconds."""

Price: TypeAlias = Decimal
Quantity: TypeAlias = Decimal

SECOND: Micros = 1_000_000
MILLISECOND: Micros = 1_000


class Side(str, Enum):
    """The requester's side (FIX tag 54): BUY pays the ask, SELL takes the bid."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        """The other party's side."""
        return Side.SELL if self is Side.BUY else Side.BUY

    def is_better(self, price: Price, than: Price) -> bool:
        """True when `price` is strictly better for this side: lower to buy, higher to sell."""
        return price < than if self is Side.BUY else price > than

PLAIN_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12})?")

# ISO 4217 minor units that are not two.
_MINOR_UNITS = {"JPY": 0, "KRW": 0, "HUF": 2}


def parse_decimal(text: str) -> Decimal:
    """A decimal written plainly ("1250000.50"): no exponent, sign only when negative, at most 18 +
    12 digits.

    Raises ValueError for anything else (NaN, Infinity, "1e9", " 1").
    """
    if not PLAIN_DECIMAL.fullmatch(text):
        raise ValueError("not a plain decimal")
    return Decimal(text)


def plain(value: Decimal) -> str:
    """The decimal without an exponent, as it travels: "0.00000001", never "1E-8"."""
    return format(value, "f")


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """True when `value` is a whole number of steps."""
    return value % step == 0


def round_money(amount: Decimal, currency: str) -> Decimal:
    """The amount in the currency's minor units (ISO 4217), half to even."""
    digits = _MINOR_UNITS.get(currency, 2)
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def mid_of(bid: Price, ask: Price) -> Price:
    """The arithmetic middle, exact."""
    return (bid + ask) / 2


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not above `value`."""
    return (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step
