"""The simulated market: repeatable, consistent, and as wild as its scenario says."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from decimal import Decimal
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orion.core.ticks import Dropped, normalise
from orion.services.marketdata_ingest.scenarios import SCENARIOS
from orion.services.marketdata_ingest.simulator import SimRow, Simulator, bond_price, load_market
from tests.services.market_world import SECOND, T0, instruments, simulator

CROSSES = load_market()["crosses"]


def rows(sim: Simulator, count: int) -> list[SimRow]:
    return list(itertools.islice(sim.rows(), count))


def checksum(found: list[SimRow]) -> str:
    digest = hashlib.sha256()
    for r in found:
        digest.update(repr((r.instrument_id, r.bid, r.ask, r.at, r.due, r.flags)).encode())
    return digest.hexdigest()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_same_seed_same_market(scenario: str) -> None:
    one = checksum(rows(simulator(7, scenario), 3_000))
    assert one == checksum(rows(simulator(7, scenario), 3_000))
    assert one != checksum(rows(simulator(8, scenario), 3_000))


def test_the_market_of_the_default_seed_is_known() -> None:
    # Changes when the market is changed on purpose; then demos and recorded expectations change
    # with it.
    first = rows(simulator(4711), 40)
    assert {r.instrument_id for r in first} == set(instruments())
    assert all(r.at == 0 for r in first[: len(instruments())])


def test_every_row_is_usable_and_on_the_grid() -> None:
    known = instruments()
    for r in rows(simulator(), 20_000):
        i = known[r.instrument_id]
        tick = normalise(
            r.instrument_id,
            r.bid,
            r.ask,
            timestamp=T0 + r.at,
            received_at=T0 + r.due,
            source="SIM",
            tick_size=i.tick_size,
        )
        assert not isinstance(tick, Dropped), tick
        assert tick.flags == ()
        assert tick.bid is not None and tick.ask is not None and tick.bid < tick.ask


def test_rate_is_about_what_is_asked() -> None:
    for rate in (17.0, 100.0):
        found = rows(simulator(rate=rate), 6_000)
        per_second = len(found) / (found[-1].at / SECOND)
        assert 0.75 * rate < per_second < 1.25 * rate


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scenario=st.sampled_from(["calm", "volatile", "gap", "burst"]),
    rate=st.sampled_from([5.0, 17.0, 500.0]),
)
def test_no_triangle_pays(seed: int, scenario: str, rate: float) -> None:
    """At every moment, with the newest quotes, going round a triangle costs something."""
    book: dict[str, tuple[Decimal, Decimal]] = {}
    checked = 0
    # Legs move their crosses in the same instant, so look when an instant is complete.
    found = rows(simulator(seed, scenario, rate), 800)
    for _, instant in itertools.groupby(found, key=lambda r: r.at):
        book.update((r.instrument_id, (Decimal(r.bid), Decimal(r.ask))) for r in instant)
        for name, rule in CROSSES.items():
            if not {name, rule["a"], rule["b"]} <= book.keys():
                continue
            low_a, high_a = book[rule["a"]]
            low_b, high_b = book[rule["b"]]
            times = rule["op"] == "*"
            made_bid = low_a * low_b if times else low_a / high_b
            made_ask = high_a * high_b if times else high_a / low_b
            bid, ask = book[name]
            assert bid < made_ask and ask > made_bid, (name, bid, ask, made_bid, made_ask)
            checked += 1
    assert checked > 1_000


def test_spreads_widen_when_it_is_volatile() -> None:
    def spread(scenario: str) -> float:
        found = [r for r in rows(simulator(3, scenario), 8_000) if r.instrument_id == "EURUSD"]
        return mean(float(Decimal(r.ask) - Decimal(r.bid)) for r in found)

    assert spread("volatile") > 1.5 * spread("calm")


def test_prices_move_more_when_it_is_volatile() -> None:
    def movement(scenario: str) -> float:
        mids = [
            (float(r.bid) + float(r.ask)) / 2
            for r in rows(simulator(3, scenario), 30_000)
            if r.instrument_id == "GBPUSD"
        ][::20]
        return mean(abs(b - a) for a, b in itertools.pairwise(mids))

    assert movement("volatile") > 1.5 * movement("calm")


def test_stale_sources_fall_silent_and_come_back() -> None:
    sim = simulator(5, "stale")
    silent = {at: sim.silent(at * SECOND) for at in range(300)}
    assert any(silent.values()) and any(not s for s in silent.values())
    for r in rows(sim, 4_000):
        assert r.instrument_id not in sim.silent(r.at)


def test_garbage_and_late_rows_come_in_their_shares() -> None:
    spoilt = Counter()
    for r in rows(simulator(1, "garbage"), 10_000):
        made = normalise(
            r.instrument_id,
            r.bid or None,
            r.ask,
            timestamp=T0 + r.at,
            received_at=T0 + r.due,
            source="SIM",
        )
        spoilt["dropped"] += isinstance(made, Dropped)
        spoilt["crossed"] += not isinstance(made, Dropped) and "CROSSED" in [
            f.value for f in made.flags
        ]
    assert 200 < spoilt["dropped"] < 600 and 150 < spoilt["crossed"] < 450
    found = rows(simulator(1, "late"), 10_000)
    late = [r for r in found if r.due > r.at]
    assert 700 < len(late) < 1_300
    assert [r.due for r in found] == sorted(r.due for r in found)


def test_a_closed_market_is_quiet_and_indicative() -> None:
    found = rows(simulator(1, "closed"), 500)
    assert all(r.flags == ("INDICATIVE",) for r in found)
    assert len(found) / (found[-1].at / SECOND) < 3


def test_bond_price_by_hand() -> None:
    # At par when the yield is the coupon; 4 % annual for 10 years at 5 %: 92.278…
    assert bond_price(4.0, 4.0, 10.0, 1) == pytest.approx(100.0)
    assert bond_price(5.0, 4.0, 10.0, 1) == pytest.approx(92.2783, abs=1e-4)
    assert bond_price(4.25, 4.25, 9.75, 2) == pytest.approx(100.0, abs=0.01)
    assert bond_price(3.0, 4.0, 10.0, 2) > bond_price(4.0, 4.0, 10.0, 2)
