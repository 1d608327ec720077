"""Quoting: how a dealer prices, how quotes rank, what a quote costs against the mid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeVar

from orion.core.values import Instant, Price, Quantity, Side, ceil_to, floor_to


class Ranked(Protocol):
    """What ranking needs to know of a quote."""

    @property
    def quote_id(self) -> str: ...
    @property
    def price(self) -> Price: ...
    @property
    def received_at(self) -> Instant: ...


Q = TypeVar("Q", bound=Ranked)


def ranked(side: Side, quotes: Iterable[Q]) -> list[Q]:
    """Best price first, then the earliest;
    the id decides what is left, so the order is total and the same everywhere.
    """
    sign = 1 if side is Side.BUY else -1
    return sorted(quotes, key=lambda q: (q.price * sign, q.received_at, q.quote_id))


def spread_to_mid(side: Side, price: Price, mid: Price | None) -> Decimal | None:
    """In price units, positive: what the requester pays over the mid (or gets below it)."""
    if mid is None:
        return None
    return price - mid if side is Side.BUY else mid - price


@dataclass(frozen=True, slots=True)
class PricingModel:
    """A dealer's way of pricing. Distances in pips of the instrument."""

    half_spread_pips: Decimal
    size_pips: Decimal = Decimal(0)         # added per `size_unit` of size
    size_unit: Quantity = Decimal(1_000_000)
    volatility_factor: Decimal = Decimal(0)  # × the recent volatility in pips
    inventory_pips: Decimal = Decimal(0)    # the shift of the mid at a full book
    inventory_limit: Quantity = Decimal(0)  # a full book; 0: no inventory is kept
    max_half_spread_pips: Decimal = Decimal(500)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a dealer knows when asked."""

    mid: Price
    pip: Decimal
    tick_size: Decimal
    volatility_pips: Decimal = Decimal(0)
    inventory: Quantity = Decimal(0)        # positive: long


def half_spread_pips(model: PricingModel, now: Circumstances, size: Quantity) -> Decimal:
    """Half of the spread for this size, wider when the market moves, never wider than the model's
    limit.
    """
    by_size = model.size_pips * size / model.size_unit
    by_volatility = model.volatility_factor * now.volatility_pips
    return min(model.half_spread_pips + by_size + by_volatility, model.max_half_spread_pips)


def inventory_shift_pips(model: PricingModel, inventory: Quantity) -> Decimal:
    """How far the dealer moves its mid: down when long (it wants to sell), up when short;
    bounded by a full book.
    """
    if model.inventory_limit <= 0:
        return Decimal(0)
    fill = max(Decimal(-1), min(Decimal(1), inventory / model.inventory_limit))
    return -fill * model.inventory_pips


def quote_price(model: PricingModel, now: Circumstances, side: Side, size: Quantity) -> Price:
    """The dealer's price for a requester's `side`: BUY gets the offer, rounded up;
    SELL the bid, rounded down to the tick.
    """
    centre = now.mid + inventory_shift_pips(model, now.inventory) * now.pip
    half = half_spread_pips(model, now, size) * now.pip
    if side is Side.BUY:
        return max(ceil_to(centre + half, now.tick_size), now.tick_size)
    return max(floor_to(centre - half, now.tick_size), now.tick_size)


def drift_pips(side: Side, quoted_mid: Price, mid: Price, pip: Decimal) -> Decimal:
    """How far the mid has moved against the dealer since it quoted, in pips; negative:
    in its favour.
    """
    moved = mid - quoted_mid if side is Side.BUY else quoted_mid - mid
    return moved / pip


def last_look_passes(
    side: Side, quoted_mid: Price, mid: Price, *, pip: Decimal, max_drift_pips: Decimal,
    asked_at: Instant, now: Instant, hold_us: int,
) -> bool:
    """A dealer stands by its quote unless the mid went too far against it or its own hold time is
    over.
    """
    if now - asked_at > hold_us:
        return False
    return drift_pips(side, quoted_mid, mid, pip) <= max_drift_pips
