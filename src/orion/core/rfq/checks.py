"""RFQ: what is checked before anything is sent, in a fixed order, and which dealers are asked."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from orion.core import limits
from orion.core.ids import LpId
from orion.core.instrument import is_open, size_problem
from orion.core.limits import Check, checked
from orion.core.rfq.commands import Candidate, CreateRFQ
from orion.core.rfq.words import MAX_EXPIRY_SECONDS, MIN_EXPIRY_SECONDS, Routed
from orion.core.settlement import settlement_date, settlement_problem, trade_day
from orion.core.values import is_multiple, plain

ORDER = (
    "ENTITLEMENT",
    "VENUE",
    "RATE",
    "NOTIONAL",
    "SIZE",
    "EXPIRY",
    "SETTLEMENT",
    "HOURS",
    "MARKET",
    "DEALERS",
)


def venue_of(command: CreateRFQ) -> str:
    """The venue asked for, or the instrument's first."""
    return command.venue_id or next(iter(command.instrument.venue_ids), "")


def date_of(command: CreateRFQ) -> date:
    """The settlement date asked for, or the standard one."""
    return command.settlement_date or settlement_date(command.instrument, trade_day(command.at))


def considered(command: CreateRFQ) -> tuple[Routed, ...]:
    """Every dealer with what speaks against asking it, in reference data's order."""
    return tuple(_routed(command, c) for c in command.candidates)


def _routed(command: CreateRFQ, candidate: Candidate) -> Routed:
    dealer = candidate.dealer
    return Routed(
        LpId(dealer.lp_id),
        dealer.name,
        _excluded(command, candidate),
        dealer.last_look,
        dealer.last_look_ms,
        dealer.last_look_max_drift,
    )


def _excluded(command: CreateRFQ, candidate: Candidate) -> str | None:
    dealer = candidate.dealer
    if not dealer.enabled:
        return "DISABLED"
    if command.instrument.instrument_id not in dealer.instrument_ids:
        return "INSTRUMENT"
    if dealer.tenant_ids and command.tenant_id not in dealer.tenant_ids:
        return "TENANT"
    if command.lp_ids and dealer.lp_id not in command.lp_ids:
        return "NOT_CHOSEN"
    return candidate.blocked


def check_all(command: CreateRFQ, dealers: tuple[Routed, ...]) -> tuple[Check, ...]:
    """Every check in ORDER, whatever fails before it: the record is whole."""
    c, instrument = command, command.instrument
    notional = limits.notional_usd(instrument, c.size, c.mid, c.usd_rate)
    asked = sum(d.excluded is None for d in dealers)
    return (
        limits.check_entitlement(c.grants, instrument),
        limits.check_venue(c.grants, instrument, venue_of(c), c.venue),
        limits.check_rate(c.grants, c.rate_count),
        limits.check_notional(c.grants, notional),
        _check_size(c),
        checked(
            "EXPIRY",
            MIN_EXPIRY_SECONDS <= c.expiry_seconds <= MAX_EXPIRY_SECONDS,
            actual=f"{c.expiry_seconds} s",
            limit=f"{MIN_EXPIRY_SECONDS} to {MAX_EXPIRY_SECONDS} s",
            code="API-100",
        ),
        _check_settlement(c),
        _check_hours(c),
        checked(
            "MARKET",
            not c.is_stale,
            actual="stale" if c.is_stale else "fresh",
            limit=f"{instrument.stale_red_ms} ms",
            code="RFQ-212",
        ),
        checked("DEALERS", asked > 0, actual=str(asked), limit="at least 1", code="RFQ-202"),
    )


def _check_size(command: CreateRFQ) -> Check:
    instrument = command.instrument
    problem = size_problem(instrument, command.size) or _min_size_problem(command)
    span = f"{plain(instrument.min_size)} to {plain(instrument.max_size)}"
    return checked(
        "SIZE",
        problem is None,
        actual=str(command.size),
        limit=span if problem is None else problem,
        code="RFQ-201",
    )


def _min_size_problem(command: CreateRFQ) -> str | None:
    smallest = command.min_size
    if smallest is None:
        return None
    if not command.partial_allowed:
        return "a smallest size needs partial quotes to be allowed"
    if not smallest.is_finite() or smallest <= 0 or smallest > command.size:
        return "the smallest size must be above zero and not above the size"
    if not is_multiple(smallest, command.instrument.lot_size):
        return f"the smallest size must be a multiple of {plain(command.instrument.lot_size)}"
    return None


def _check_hours(command: CreateRFQ) -> Check:
    hours = command.instrument.trading_hours
    actual = "open" if is_open(hours, command.at) else "closed"
    if not command.instrument.enabled:
        actual = "not dealable"
    return checked("HOURS", actual == "open", actual=actual, limit=hours, code="RFQ-214")


def _check_settlement(command: CreateRFQ) -> Check:
    today = trade_day(command.at)
    wanted = date_of(command)
    problem = settlement_problem(command.instrument, today, wanted)
    standard = settlement_date(command.instrument, today).isoformat()
    return checked(
        "SETTLEMENT",
        problem is None,
        actual=wanted.isoformat(),
        limit=f"{command.instrument.settlement_cycle}, {standard}" if problem is None else problem,
        code="RFQ-210",
    )


DETAILS = {
    "ENTITLEMENT": "you are not entitled to {actual}",
    "VENUE": "{actual} is not among the venues {limit}",
    "RATE": "{actual} RFQs in a minute; your limit is {limit}",
    "NOTIONAL": "the notional of {actual} USD is over your limit of {limit} USD",
    "SIZE": "{limit}",
    "EXPIRY": "an expiry of {actual} is not within {limit}",
    "SETTLEMENT": "{limit}",
    "HOURS": "the instrument is {actual}; its trading hours are {limit}",
    "MARKET": "no fresh price for longer than {limit}",
    "DEALERS": "no dealer can be asked now",
}


def sentence(check: Check) -> str:
    """A failed check as a person reads it."""
    if check.code == "RISK-105":
        return "No rate is known to measure the notional with"
    actual, limit = check.actual, check.limit
    if check.check == "NOTIONAL":
        actual, limit = f"{Decimal(actual):,f}", f"{Decimal(limit):,f}"
    text = DETAILS[check.check].format(actual=actual, limit=limit)
    return text[:1].upper() + text[1:]
