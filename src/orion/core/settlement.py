"""Settlement: business days per currency and the date on which a trade made today settles.

The holiday tables are those of the currencies' payment systems (Fedwire, TARGET, CHAPS, BOJ-NET,
SIC, RITS, Lynx, ESAS, RIX, NBO), weekdays only, for the years named. Outside these years only
weekends, 1 January and 25 December are known.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

from orion.core.instrument import AssetClass, Instrument
from orion.core.values import SECOND, Instant

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)

_TABLE: dict[str, dict[int, str]] = {
    "USD": {
        2026: "01-01 01-19 02-16 05-25 06-19 09-07 10-12 11-11 11-26 12-25",
        2027: "01-01 01-18 02-15 05-31 07-05 09-06 10-11 11-11 11-25",
    },
    "EUR": {
        2026: "01-01 04-03 04-06 05-01 12-25",
        2027: "01-01 03-26 03-29",
    },
    "GBP": {
        2026: "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28",
        2027: "01-01 03-26 03-29 05-03 05-31 08-30 12-27 12-28",
    },
    "JPY": {
        2026: "01-01 01-02 01-12 02-11 02-23 03-20 04-29 05-04 05-05 05-06 07-20 08-11 09-21 09-22 "
              "09-23 10-12 11-03 11-23 12-31",
        2027: "01-01 01-11 02-11 02-23 03-22 04-29 05-03 05-04 05-05 07-19 08-11 09-20 09-23 10-11 "
              "11-03 11-23 12-31",
    },
    "CHF": {
        2026: "01-01 01-02 04-03 04-06 05-01 05-14 05-25 12-25",
        2027: "01-01 03-26 03-29 05-06 05-17",
    },
    "AUD": {
        2026: "01-01 01-26 04-03 04-06 06-08 10-05 12-25 12-28",
        2027: "01-01 01-26 03-26 03-29 06-14 10-04 12-27 12-28",
    },
    "CAD": {
        2026: "01-01 02-16 04-03 05-18 07-01 08-03 09-07 09-30 10-12 11-11 12-25 12-28",
        2027: "01-01 02-15 03-26 05-24 07-01 08-02 09-06 09-30 10-11 11-11 12-27 12-28",
    },
    "NZD": {
        2026: "01-01 01-02 02-06 04-03 04-06 04-27 06-01 07-10 10-26 12-25 12-28",
        2027: "01-01 01-04 02-08 03-26 03-29 04-26 06-07 06-25 10-25 12-27 12-28",
    },
    "SEK": {
        2026: "01-01 01-06 04-03 04-06 05-01 05-14 06-19 12-24 12-25 12-31",
        2027: "01-01 01-06 03-26 03-29 05-06 06-25 12-24 12-31",
    },
    "NOK": {
        2026: "01-01 04-02 04-03 04-06 05-01 05-14 05-25 12-24 12-25",
        2027: "01-01 03-25 03-26 03-29 05-06 05-17 12-24",
    },
}

HOLIDAYS: dict[str, frozenset[date]] = {
    currency: frozenset(
        date(year, int(day[:2]), int(day[3:]))
        for year, days in years.items() for day in days.split()
    )
    for currency, years in _TABLE.items()
}
YEARS = frozenset({2026, 2027})


def currencies_of(calendar: str) -> tuple[str, ...]:
    """The currencies of a calendar's name: "EUR+USD" → EUR, USD."""
    return tuple(calendar.split("+"))


def is_business_day(currencies: Iterable[str], day: date) -> bool:
    """True when banks of all these currencies are open. An unknown currency knows weekends only."""
    if day.weekday() >= 5:
        return False
    if day.year not in YEARS and (day.month, day.day) in {(1, 1), (12, 25)}:
        return False
    return all(day not in HOLIDAYS.get(c, frozenset()) for c in currencies)


def next_business_day(currencies: tuple[str, ...], day: date) -> date:
    """The first business day that is not before `day`."""
    while not is_business_day(currencies, day):
        day += _DAY
    return day


def add_business_days(currencies: tuple[str, ...], day: date, count: int) -> date:
    """`count` business days after `day`; with 0 the first one that is not before it."""
    if count == 0:
        return next_business_day(currencies, day)
    for _ in range(count):
        day = next_business_day(currencies, day + _DAY)
    return day


def fx_value_date(currencies: tuple[str, ...], today: date, days: int) -> date:
    """Spot: each currency counts its own days, the dollar's holidays count only on the value date
    itself, which is good in all of them.

    A cross settles on a day that is good in New York too (ACI Model Code, spot date convention).
    """
    own = [c for c in currencies if c != "USD"]
    if days == 1:  # USD/CAD: one day, good for both
        return add_business_days(tuple({*currencies, "USD"}), today, 1)
    latest = max(add_business_days((c,), today, days) for c in own)
    return next_business_day(tuple({*currencies, "USD"}), latest)


def settlement_date(instrument: Instrument, today: date) -> date:
    """The standard settlement date of a trade agreed `today`."""
    is_fx = instrument.asset_class is AssetClass.FX
    return _standard(instrument.calendar, today, instrument.settlement_days, is_fx)


@lru_cache(maxsize=4096)
def _standard(calendar: str, today: date, days: int, is_fx: bool) -> date:
    currencies = currencies_of(calendar)
    if is_fx:
        return fx_value_date(currencies, today, days)
    return add_business_days(currencies, today, days)


def settlement_problem(instrument: Instrument, today: date, wanted: date) -> str | None:
    """Why `wanted` cannot be the settlement date, or None.

    It is a business day, not before the standard date, within a year.
    """
    standard = settlement_date(instrument, today)
    if wanted < standard:
        return f"the earliest settlement date is {standard.isoformat()}"
    if wanted > today + timedelta(days=366):
        return "the settlement date is more than a year away"
    currencies = currencies_of(instrument.calendar)
    if instrument.asset_class is AssetClass.FX:
        currencies = (*currencies, "USD")
    if not is_business_day(currencies, wanted):
        return f"{wanted.isoformat()} is not a business day of {instrument.calendar}"
    return None


def trade_day(at: Instant) -> date:
    """The UTC date of an instant: the platform's trade date (venues trade round the clock)."""
    return _EPOCH + timedelta(days=at // (86_400 * SECOND))
