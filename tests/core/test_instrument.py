"""Sizes, prices, trading hours."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from orion.core.instrument import is_open, price_problem, size_problem
from orion.core.values import SECOND
from tests.core.rfq_world import EURUSD, T0

HOUR = 3600 * SECOND
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("size", "says"),
    [("100000", None), ("50000000", None), ("99000", "smallest"), ("50001000", "largest"),
     ("100500", "multiple"), ("0", "zero"), ("-1", "zero"), ("NaN", "zero"), ("Infinity", "zero"),
     ("999999999999999999", "largest")],
)
def test_sizes(size, says):
    problem = size_problem(EURUSD, D(size))
    assert (problem is None) if says is None else (problem and says in problem)


@pytest.mark.parametrize(
    ("price", "says"),
    [("1.14640", None), ("1.146405", "multiple"), ("0", "zero"), ("NaN", "zero"),
     ("Infinity", "zero"), ("999999999999999999", "large"), ("1E+30", "large")],
)
def test_prices(price, says):
    problem = price_problem(D("0.00001"), D(price))
    assert (problem is None) if says is None else (problem and says in problem)


@pytest.mark.parametrize(
    ("hours", "at", "is_it"),
    [("24x7", T0 + 5 * DAY, True),
     ("Mon-Fri 10:30-16:30", T0, True),             # T0 is Monday 10:30
     ("Mon-Fri 10:31-16:30", T0, False),
     ("Mon-Fri 07:00-10:30", T0, False),            # closes at 10:30
     ("Mon-Fri 07:00-16:30", T0 + 4 * DAY, True),   # Friday
     ("Mon-Fri 07:00-16:30", T0 + 5 * DAY, False),  # Saturday
     ("Sun-Thu 07:00-16:30", T0 + 6 * DAY, True),
     ("Sun-Thu 07:00-16:30", T0 + 3 * DAY, True),   # Thursday, the last of them
     ("Sun-Thu 07:00-16:30", T0 + 4 * DAY, False)],
)
def test_trading_hours_in_utc(hours, at, is_it):
    assert is_open(hours, at) is is_it


@pytest.mark.parametrize("hours", ["", "always", "Mon-Fri 7-16", "Mon-Fun 07:00-16:30"])
def test_hours_written_otherwise_are_an_error_of_the_reference_data(hours):
    with pytest.raises(ValueError):
        is_open(hours, T0)
