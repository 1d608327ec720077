"""Raw ticks made usable, lateness, silence, crosses."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orion.core.ticks import (
    STANDARD,
    Cross,
    Dropped,
    Freshness,
    Leg,
    Rules,
    Tick,
    cross_tick,
    look,
    normalise,
    sign_of_life,
)
from orion.core.values import MILLISECOND, SECOND
from tests.core.rfq_world import T0

TICK = D("0.00001")


def take(bid, ask, *, at=T0, newest=None, rules=STANDARD, received_at=T0):
    return normalise(
        "EURUSD", bid, ask, timestamp=at, received_at=received_at, source="TEST", newest=newest,
        tick_size=TICK, rules=rules,
    )


BAD = [
    ("zero", ("0", "1.1"), {}, "NOT_POSITIVE"),
    ("negative", ("-1", "1.1"), {}, "NOT_POSITIVE"),
    ("words", ("abc", "1.1"), {}, "NOT_A_NUMBER"),
    ("NaN", ("NaN", "1.1"), {}, "NOT_A_NUMBER"),
    ("infinite", ("1.1", "Infinity"), {}, "NOT_A_NUMBER"),
    ("nothing", ("", None), {}, "EMPTY"),
    ("thirteen decimals", ("1.1000000000001", "1.2"), {}, "TOO_MANY_DECIMALS"),
    ("huge", ("1.1", "1e9"), {}, "TOO_LARGE"),
    ("no time", ("1.1", "1.2"), {"at": None}, "BAD_TIME"),
    ("from the future", ("1.1", "1.2"), {"at": T0 + 6 * SECOND}, "FROM_FUTURE"),
    ("crossed, strict", ("1.2", "1.1"), {"rules": Rules(drop_crossed=True)}, "CROSSED"),
]


@pytest.mark.parametrize(("name", "prices", "more", "reason"), BAD)
def test_dropped_with_a_reason(name, prices, more, reason):
    outcome = take(*prices, **more)
    assert isinstance(outcome, Dropped)
    assert outcome.reason.value == reason


GOOD = [
    ("clean", ("1.14605", "1.14643"), {}, ()),
    ("crossed", ("1.2", "1.1"), {}, ("CROSSED",)),
    ("locked", ("1.2", "1.2"), {}, ("LOCKED",)),
    ("bid alone", ("1.2", None), {}, ("ONE_SIDED",)),
    ("finer than the tick", ("1.146051", "1.14643"), {}, ("OFF_TICK",)),
    ("late", ("1.1", "1.2"), {"newest": T0 + 251 * MILLISECOND}, ("LATE",)),
    ("just not late", ("1.1", "1.2"), {"newest": T0 + 250 * MILLISECOND}, ()),
    ("crossed and late", ("1.2", "1.1"), {"newest": T0 + SECOND}, ("CROSSED", "LATE")),
]


@pytest.mark.parametrize(("name", "prices", "more", "flags"), GOOD)
def test_kept_and_flagged(name, prices, more, flags):
    tick = take(*prices, **more)
    assert isinstance(tick, Tick)
    assert tuple(f.value for f in tick.flags) == flags


def test_the_mid_is_exact_and_only_there_with_both_sides():
    both, one = take("1.14605", "1.14643"), take("1.14605", None)
    assert isinstance(both, Tick)
    assert isinstance(one, Tick)
    assert (both.mid, one.mid) == (D("1.14624"), None)


@given(st.one_of(st.none(), st.text(max_size=30)), st.one_of(st.none(), st.text(max_size=30)))
def test_nothing_that_arrives_as_text_raises(bid, ask):
    assert isinstance(take(bid, ask), Tick | Dropped)


def test_stale_once_per_silence_and_recovered_once():
    state = Freshness("EURUSD", 5000, T0, T0)
    state, early = look(state, T0 + 4_999_999)
    state, event = look(state, T0 + 5 * SECOND)
    state, again = look(state, T0 + 60 * SECOND)
    assert (early, again) == (None, None)
    assert event is not None
    assert (event.last_tick_at, event.at) == (T0, T0 + 5 * SECOND)
    state, recovered = sign_of_life(state, T0 + 61 * SECOND, is_tick=True)
    assert recovered is not None
    assert recovered.stale_since == T0 + 5 * SECOND
    assert sign_of_life(state, T0 + 62 * SECOND, is_tick=True)[1] is None


def test_heartbeats_keep_a_quiet_symbol_fresh():
    state = Freshness("EURUSD", 5000, T0, T0)
    for second in range(4, 60, 4):
        state, _ = sign_of_life(state, T0 + second * SECOND, is_tick=False)
        state, event = look(state, T0 + (second + 3) * SECOND)
        assert event is None
    assert state.last_tick_at == T0


@given(st.lists(st.tuples(st.sampled_from("tbl"), st.integers(-3000, 9000)), max_size=40))
def test_stale_and_recovered_alternate(steps):
    state, at, told = Freshness("X", 5000, T0, T0), T0, []
    for kind, step in steps:
        at += step * MILLISECOND
        if kind == "l":
            state, event = look(state, at)
        else:
            state, event = sign_of_life(state, at, is_tick=kind == "t")
        if event is not None:
            told.append(type(event).__name__)
    expected = ["MarketDataStaleDetected", "MarketDataRecovered"] * len(told)
    assert told == expected[: len(told)]


def leg(bid, ask, at=T0):
    return Tick("LEG", D(bid), D(ask), None, at, at, "TEST")


def test_crosses_multiply_and_divide_and_never_look_too_good():
    eurjpy = Cross("EURJPY", "EURUSD", Leg.TIMES, "USDJPY", Leg.TIMES, D("0.001"))
    usdjpy = leg("109.676", "109.687", T0 + 5)
    made = cross_tick(eurjpy, leg("1.14605", "1.14643"), usdjpy, source="T")
    assert made is not None
    # 1.14605 × 109.676 = 125.6941798, 1.14643 × 109.687 = 125.7484674
    assert (made.bid, made.ask, made.timestamp) == (D("125.694"), D("125.749"), T0 + 5)
    eurgbp = Cross("EURGBP", "EURUSD", Leg.TIMES, "GBPUSD", Leg.OVER, TICK)
    made = cross_tick(eurgbp, leg("1.14605", "1.14643"), leg("1.27000", "1.27010"), source="T")
    assert made is not None
    # 1.14605 ÷ 1.27010 = 0.9023305, 1.14643 ÷ 1.27000 = 0.9027008
    assert (made.bid, made.ask) == (D("0.90233"), D("0.90271"))


def test_a_cross_needs_both_sides_of_both_legs():
    rule = Cross("X", "A", Leg.TIMES, "B", Leg.TIMES, TICK)
    half = Tick("A", D("1.1"), None, None, T0, T0, "T")
    assert cross_tick(rule, half, leg("1", "2"), source="T") is None
