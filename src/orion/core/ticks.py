"""Ticks: raw market data made usable, lateness, staleness, crosses. Pure: instants come in with the
data.

A malformed tick is dropped with a reason and counted by the caller; a doubtful one is flagged and
kept. Nothing here raises for bad data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeAlias

from orion.core.values import MILLISECOND, SECOND, Instant, Micros, Price, ceil_to, floor_to, mid_of

MAX_DECIMALS = 12
MAX_PRICE = Decimal(10) ** 9
_ZERO = Decimal(0)


class Flag(str, Enum):
    """What a reader should know of a tick."""

    LATE = "LATE"               # its source time is behind a newer one of the same instrument
    STALE = "STALE"             # set on snapshots when the feed is silent
    CROSSED = "CROSSED"         # bid above ask
    LOCKED = "LOCKED"           # bid equals ask
    ONE_SIDED = "ONE_SIDED"     # bid or ask alone
    INDICATIVE = "INDICATIVE"   # not dealable
    DERIVED = "DERIVED"         # a cross, computed from its legs
    OFF_TICK = "OFF_TICK"       # finer than the instrument's tick size


class DropReason(str, Enum):
    """Why a raw tick was not used."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    NOT_A_NUMBER = "NOT_A_NUMBER"
    NOT_POSITIVE = "NOT_POSITIVE"
    TOO_LARGE = "TOO_LARGE"
    TOO_MANY_DECIMALS = "TOO_MANY_DECIMALS"
    EMPTY = "EMPTY"             # neither bid nor ask
    CROSSED = "CROSSED"         # only where the rule says drop
    BAD_TIME = "BAD_TIME"
    FROM_FUTURE = "FROM_FUTURE"


@dataclass(frozen=True, slots=True)
class Tick:
    """A market data update of one instrument."""

    instrument_id: str
    bid: Price | None
    ask: Price | None
    mid: Price | None
    timestamp: Instant              # the source's time (rebased in replay)
    received_at: Instant            # when ingest had it
    source: str
    flags: tuple[Flag, ...] = ()
    source_timestamp: Instant | None = None   # as recorded, when timestamp was rebased


MarketTickReceived: TypeAlias = Tick
"""The event of the raw stream is the tick itself: nothing is wrapped, nothing is conflated."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How strict to be."""

    # behind the newest source time by more than this: LATE
    late_after_us: Micros = 250 * MILLISECOND
    # ahead of the receive time by more than this: dropped
    future_after_us: Micros = 5 * SECOND
    drop_crossed: bool = False                    # otherwise flagged
    max_decimals: int = MAX_DECIMALS


@dataclass(frozen=True, slots=True)
class Dropped:
    """A raw tick that was not used, and why."""

    reason: DropReason
    detail: str


STANDARD = Rules()


def normalise(
    instrument_id: str, bid: str | Decimal | None, ask: str | Decimal | None, *,
    timestamp: Instant | None, received_at: Instant, source: str,
    newest: Instant | None = None, tick_size: Decimal | None = None,
    source_timestamp: Instant | None = None, rules: Rules = STANDARD,
) -> Tick | Dropped:
    """A usable tick, or why not. `newest` is the newest source time seen for this instrument."""
    if timestamp is None or timestamp <= 0:
        return Dropped(DropReason.BAD_TIME, "no usable source time")
    if timestamp - received_at > rules.future_after_us:
        return Dropped(DropReason.FROM_FUTURE, f"ahead by {timestamp - received_at} us")
    sides: list[Price | None] = []
    for name, raw in (("bid", bid), ("ask", ask)):
        side = _price(name, raw, rules)
        if isinstance(side, Dropped):
            return side
        sides.append(side)
    low, high = sides
    if low is None and high is None:
        return Dropped(DropReason.EMPTY, "neither bid nor ask")
    flags = _flags(low, high, tick_size)
    if Flag.CROSSED in flags and rules.drop_crossed:
        return Dropped(DropReason.CROSSED, f"bid {low} above ask {high}")
    if newest is not None and newest - timestamp > rules.late_after_us:
        flags = (*flags, Flag.LATE)
    mid = mid_of(low, high) if low is not None and high is not None else None
    return Tick(
        instrument_id, low, high, mid, timestamp, received_at, source, flags, source_timestamp
    )


def _price(name: str, raw: str | Decimal | None, rules: Rules) -> Price | Dropped | None:
    if raw is None or raw == "":
        return None
    try:
        price = raw if isinstance(raw, Decimal) else Decimal(raw)
    except InvalidOperation:
        return Dropped(DropReason.NOT_A_NUMBER, f"{name} {str(raw)[:40]!r}")
    if not price.is_finite():
        return Dropped(DropReason.NOT_A_NUMBER, f"{name} {price}")
    if price <= _ZERO:
        return Dropped(DropReason.NOT_POSITIVE, f"{name} {price}")
    if price >= MAX_PRICE:
        return Dropped(DropReason.TOO_LARGE, f"{name} {price:.3e}")
    if isinstance(raw, str) and len(raw) <= rules.max_decimals and "e" not in raw.lower():
        return price    # too short for too many decimals, and plain already
    exponent = price.as_tuple().exponent
    assert isinstance(exponent, int)
    if -exponent > rules.max_decimals:
        return Dropped(DropReason.TOO_MANY_DECIMALS, f"{name} has {-exponent} decimals")
    # "1e2" is a number too; keep it as it travels, without an exponent.
    return price if exponent <= 0 else price.quantize(Decimal(1))


def _flags(low: Price | None, high: Price | None, tick_size: Decimal | None) -> tuple[Flag, ...]:
    flags: list[Flag] = []
    if low is None or high is None:
        flags.append(Flag.ONE_SIDED)
    elif low > high:
        flags.append(Flag.CROSSED)
    elif low == high:
        flags.append(Flag.LOCKED)
    if tick_size is not None and (
        (low is not None and low % tick_size) or (high is not None and high % tick_size)
    ):
        flags.append(Flag.OFF_TICK)
    return tuple(flags)


# ---- staleness ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MarketDataStaleDetected:
    """No sign of life of this instrument's feed for longer than allowed."""

    at: Instant
    instrument_id: str
    last_tick_at: Instant
    last_sign_at: Instant       # the last tick or heartbeat
    stale_after_ms: int


@dataclass(frozen=True, slots=True)
class MarketDataRecovered:
    """The feed lives again."""

    at: Instant
    instrument_id: str
    stale_since: Instant
    last_tick_at: Instant


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether an instrument's feed lives. `stale_since` None: it does."""

    instrument_id: str
    stale_after_ms: int
    last_tick_at: Instant
    last_sign_at: Instant
    stale_since: Instant | None = None

    @property
    def stale_at(self) -> Instant:
        """The instant at which silence becomes stale: when to look again."""
        return self.last_sign_at + self.stale_after_ms * MILLISECOND


Status: TypeAlias = MarketDataStaleDetected | MarketDataRecovered
"""What changes in the life of a feed."""


def sign_of_life(
    state: Freshness, at: Instant, *, is_tick: bool
) -> tuple[Freshness, MarketDataRecovered | None]:
    """A tick (or a heartbeat) arrived at `at`. Instants that run backwards never make it younger.

    """
    sign = max(at, state.last_sign_at)
    tick = max(at, state.last_tick_at) if is_tick else state.last_tick_at
    alive = replace(state, last_sign_at=sign, last_tick_at=tick, stale_since=None)
    if state.stale_since is None:
        return alive, None
    return alive, MarketDataRecovered(sign, state.instrument_id, state.stale_since, tick)


def look(state: Freshness, at: Instant) -> tuple[Freshness, MarketDataStaleDetected | None]:
    """Time went on to `at`: stale exactly once per silence."""
    if state.stale_since is not None or at < state.stale_at:
        return state, None
    event = MarketDataStaleDetected(
        at, state.instrument_id, state.last_tick_at, state.last_sign_at, state.stale_after_ms
    )
    return replace(state, stale_since=at), event


# ---- crosses ------------------------------------------------------------------------------------


class Leg(str, Enum):
    """How a leg enters a cross: multiplied (EURUSD in EURJPY), or divided by (GBPUSD in EURGBP)."""

    TIMES = "TIMES"
    OVER = "OVER"


@dataclass(frozen=True, slots=True)
class Cross:
    """A pair computed from two others:
    cross = first × or ÷ second, the first as it is or turned over.
    """

    instrument_id: str
    first: str
    first_leg: Leg
    second: str
    second_leg: Leg
    tick_size: Decimal


def cross_tick(rule: Cross, first: Tick, second: Tick, *, source: str) -> Tick | None:
    """The cross of two ticks, or None when a side is missing.

    Bid rounds down and ask up, so the cross never looks too good.
    """
    if first.bid is None or first.ask is None or second.bid is None or second.ask is None:
        return None
    low_1, high_1 = _turned(rule.first_leg, first.bid, first.ask)
    low_2, high_2 = _turned(rule.second_leg, second.bid, second.ask)
    bid = floor_to(low_1 * low_2, rule.tick_size)
    ask = ceil_to(high_1 * high_2, rule.tick_size)
    if bid <= 0:
        return None
    stamps = (first.source_timestamp, second.source_timestamp)
    recorded = max((s for s in stamps if s is not None), default=None)
    flags = (*_flags(bid, ask, None), Flag.DERIVED)
    return Tick(
        rule.instrument_id, bid, ask, mid_of(bid, ask), max(first.timestamp, second.timestamp),
        max(first.received_at, second.received_at), source, flags, recorded,
    )


def _turned(leg: Leg, bid: Price, ask: Price) -> tuple[Price, Price]:
    return (bid, ask) if leg is Leg.TIMES else (1 / ask, 1 / bid)
