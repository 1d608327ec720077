"""Dealers' pricing, last look, notional."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orion.core.limits import notional_usd, usd_rate
from orion.core.quoting import (
    Circumstances,
    PricingModel,
    drift_pips,
    last_look_passes,
    quote_price,
    spread_to_mid,
)
from orion.core.values import Side, parse_decimal, plain, round_money
from tests.core.rfq_world import BOND, EURUSD, T0

MODEL = PricingModel(
    D("0.3"), size_pips=D("0.1"), volatility_factor=D("0.5"), inventory_pips=D("0.4"),
    inventory_limit=D("50000000"),
)


def now(**more):
    return Circumstances(D("1.14624"), D("0.0001"), D("0.00001"), **more)


ROWS = [
    # half spread 0.3 + 5 × 0.1 = 0.8 pips
    ("flat", now(), Side.BUY, "1.14632"),
    ("flat, sell", now(), Side.SELL, "1.14616"),
    ("moving market", now(volatility_pips=D("1.0")), Side.BUY, "1.14637"),
    ("long: cheaper offer", now(inventory=D("50000000")), Side.BUY, "1.14628"),
    ("long: lower bid", now(inventory=D("50000000")), Side.SELL, "1.14612"),
    ("short beyond the limit", now(inventory=D("-90000000")), Side.BUY, "1.14636"),
]


@pytest.mark.parametrize(("name", "circumstances", "side", "price"), ROWS)
def test_prices(name, circumstances, side, price):
    assert quote_price(MODEL, circumstances, side, D("5000000")) == D(price)


@given(
    st.decimals("0.5", "200", places=5), st.decimals("0", "20", places=2),
    st.decimals("-60000000", "60000000", places=0), st.integers(1, 50),
)
def test_prices_are_whole_ticks_rounded_in_the_dealers_favour(mid, volatility, inventory, millions):
    here = Circumstances(mid, D("0.0001"), D("0.00001"), volatility, inventory)
    size = D(millions) * 1_000_000
    offer, bid = (quote_price(MODEL, here, side, size) for side in (Side.BUY, Side.SELL))
    assert offer % here.tick_size == 0
    assert bid % here.tick_size == 0
    assert offer > bid > 0
    assert quote_price(MODEL, here, Side.BUY, size * 2) >= offer


def test_last_look_looks_at_drift_and_time():
    def passes(mid, waited_us, side=Side.BUY):
        return last_look_passes(
            side, D("1.14624"), D(mid), pip=D("0.0001"), max_drift_pips=D("0.5"),
            asked_at=T0, now=T0 + waited_us, hold_us=200_000,
        )

    assert passes("1.14629", 1000)
    assert not passes("1.14630", 1000)                   # 0.6 pips up: against a dealer that sells
    assert passes("1.14630", 1000, Side.SELL)            # and for one that buys
    assert passes("1.14000", 200_000)
    assert not passes("1.14624", 200_001)
    assert drift_pips(Side.SELL, D("1.1462"), D("1.1460"), D("0.0001")) == 2


def test_spread_to_mid_is_what_the_requester_pays():
    assert spread_to_mid(Side.BUY, D("1.14640"), D("1.14624")) == D("0.00016")
    assert spread_to_mid(Side.SELL, D("1.14640"), D("1.14624")) == D("-0.00016")
    assert spread_to_mid(Side.BUY, D("1.14640"), None) is None


def test_notional_in_dollars():
    mids = {"EURUSD": D("1.25"), "USDJPY": D("160")}
    assert (usd_rate("EUR", mids), usd_rate("JPY", mids)) == (D("1.25"), D("0.00625"))
    assert (usd_rate("USD", {}), usd_rate("CHF", mids)) == (D(1), None)
    assert notional_usd(EURUSD, D("1000000"), D("1.25"), D(1)) == D("1250000.00")
    assert notional_usd(BOND, D("1000000"), D("99.5"), D(1)) == D("995000.00")


@pytest.mark.parametrize("text", ["1", "0.5", "-3.25", "999999999999999999.999999999999"])
def test_plain_decimals_are_read(text):
    assert plain(parse_decimal(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1e3", "NaN", "Infinity", "+1", "01", "1.", ".5", "1_000", "1٣", "1" * 19, "1\n"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="plain decimal"):
        parse_decimal(text)


def test_money_is_rounded_to_its_minor_units():
    assert round_money(D("2.345"), "USD") == D("2.34")
    assert round_money(D("1234.5"), "JPY") == D("1234")
    assert plain(D("1E-8")) == "0.00000001"
