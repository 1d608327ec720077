"""The words of value that all of core speaks: instants, sides, prices, quantities."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import TypeAlias

Instant: TypeAlias = int
"""A moment: microseconds since 1970-01-01T00:00:00Z. Core never reads a clock; instants are handed in."""

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
