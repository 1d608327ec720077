"""Value dates as a desk would say them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from orion.core.instrument import AssetClass
from orion.core.settlement import (
    HOLIDAYS,
    add_business_days,
    is_business_day,
    settlement_date,
    settlement_problem,
    trade_day,
)
from tests.core.rfq_world import BOND, EURUSD, T0

FX = [
    # pair, days, traded, settles, why
    ("EUR+USD", 2, "2026-02-09", "2026-02-11", "an ordinary Monday"),
    ("EUR+USD", 2, "2026-02-12", "2026-02-17", "weekend, then Presidents' Day on the value date"),
    ("EUR+USD", 2, "2026-02-13", "2026-02-17", "Presidents' Day between does not hold it up"),
    ("EUR+USD", 2, "2026-04-01", "2026-04-07", "Good Friday and Easter Monday are TARGET holidays"),
    ("EUR+USD", 2, "2026-11-24", "2026-11-27", "Thanksgiving on the value date"),
    ("USD+CAD", 1, "2026-02-09", "2026-02-10", "USD/CAD settles in one day"),
    ("USD+CAD", 1, "2026-06-30", "2026-07-02", "Canada Day"),
    ("USD+JPY", 2, "2026-04-30", "2026-05-07", "Golden Week"),
    ("EUR+JPY", 2, "2026-07-01", "2026-07-03", "a cross"),
    ("EUR+GBP", 2, "2026-11-24", "2026-11-27", "a cross does not settle on Thanksgiving"),
    ("EUR+USD", 2, "2026-02-14", "2026-02-17", "dealt on a Saturday"),
    ("EUR+USD", 2, "2027-12-30", "2028-01-03", "over the end of the table"),
]


@pytest.mark.parametrize(
    ("calendar", "days", "traded", "settles", "why"), FX, ids=[r[4] for r in FX]
)
def test_fx_value_dates(calendar, days, traded, settles, why):
    pair = replace(EURUSD, calendar=calendar, settlement_days=days)
    assert settlement_date(pair, date.fromisoformat(traded)).isoformat() == settles, why


def test_bonds_and_equities_count_their_own_calendar():
    assert settlement_date(BOND, date(2026, 11, 25)) == date(2026, 11, 27)  # over Thanksgiving
    share = replace(BOND, asset_class=AssetClass.EQUITY, calendar="EUR", settlement_days=2)
    assert settlement_date(share, date(2026, 4, 2)) == date(2026, 4, 8)     # over Easter


def test_asked_dates_are_checked():
    today = date(2026, 2, 9)
    assert settlement_problem(EURUSD, today, date(2026, 2, 11)) is None
    assert settlement_problem(EURUSD, today, date(2026, 3, 2)) is None
    assert "earliest" in (settlement_problem(EURUSD, today, date(2026, 2, 10)) or "")
    assert "not a business day" in (settlement_problem(EURUSD, today, date(2026, 2, 14)) or "")
    assert "not a business day" in (settlement_problem(EURUSD, today, date(2026, 2, 16)) or "")
    assert "a year" in (settlement_problem(EURUSD, today, date(2027, 6, 1)) or "")


def test_the_tables_hold_weekdays_only_in_every_currency_of_the_field():
    assert set(HOLIDAYS) == {"USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK"}
    for currency, days in HOLIDAYS.items():
        assert all(day.weekday() < 5 for day in days), currency
        assert len(days) >= 8, currency


def test_zero_days_is_the_first_business_day():
    assert add_business_days(("USD",), date(2026, 2, 14), 0) == date(2026, 2, 17)
    assert not is_business_day(("USD", "EUR"), date(2026, 5, 1))
    assert trade_day(T0) == date(2026, 2, 9)
