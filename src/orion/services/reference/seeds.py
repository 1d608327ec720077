"""The seed files as core's words. Everything is checked here, so that a wrong file stops the start
with a sentence.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from orion.core.instrument import (
    AssetClass,
    Dealer,
    Display,
    DisplayKind,
    Instrument,
    Venue,
    is_open,
)

SHARED = "shared"


class SeedError(Exception):
    """A seed file holds something that cannot be used."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """All that the files say, in their order."""

    instruments: tuple[Instrument, ...]
    venues: tuple[Venue, ...]
    dealers: tuple[Dealer, ...]


def load(folder: Path) -> Seeds:
    """Reads and checks the three files. Raises SeedError."""
    instruments = _instruments(_table(folder / "instruments.toml"))
    venues = tuple(_venue(i, row) for i, row in _table(folder / "venues.toml").items())
    dealers = tuple(
        _dealer(i, row, instruments) for i, row in _table(folder / "dealers.toml").items()
    )
    known = {v.venue_id for v in venues}
    for instrument in instruments:
        if missing := set(instrument.venue_ids) - known:
            raise SeedError(
                f"{instrument.instrument_id} names venues that are not there: {missing}"
            )
    return Seeds(instruments, venues, dealers)


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SeedError(f"{path} cannot be read: {error}") from None


def _instruments(table: Mapping[str, Any]) -> tuple[Instrument, ...]:
    classes = table["classes"]
    return tuple(_instrument(i, _whole(row, classes)) for i, row in table["instruments"].items())


def _whole(row: Mapping[str, Any], classes: Mapping[str, Any]) -> dict[str, Any]:
    """The row with what its class (and the class that is like) says besides."""
    name: str | None = row["class"]
    merged: dict[str, Any] = dict(row)
    while name is not None:
        merged = {**classes[name], **merged}
        name = classes[name].get("like")
    return merged


def _instrument(instrument_id: str, row: Mapping[str, Any]) -> Instrument:
    try:
        made = _made(instrument_id, row)
        is_open(made.trading_hours, 0)
    except (KeyError, ValueError, TypeError, InvalidOperation) as error:
        raise SeedError(f"instrument {instrument_id}: {error!r}") from None
    _check(made)
    return made


def _made(instrument_id: str, row: Mapping[str, Any]) -> Instrument:
    asset_class = AssetClass(row["asset_class"])
    is_fx = asset_class is AssetClass.FX
    currency = instrument_id[:3] if is_fx else row["currency"]
    quote = instrument_id[3:] if is_fx else row["currency"]
    size_units = {AssetClass.FX: currency, AssetClass.EQUITY: "shares"}
    return Instrument(
        instrument_id=instrument_id,
        symbol=row.get("symbol") or (f"{currency}/{quote}" if is_fx else instrument_id),
        display_name=row["display_name"],
        asset_class=asset_class,
        group=row["group"],
        currency=currency,
        quote_currency=quote,
        tenor=row["tenor"],
        settlement_days=row["settlement_days"],
        calendar=f"{currency}+{quote}" if is_fx else currency,
        trading_hours=row.get("trading_hours", "24x7"),
        tick_size=Decimal(row["tick_size"]),
        lot_size=Decimal(row["lot_size"]),
        min_size=Decimal(row["min_size"]),
        max_size=Decimal(row["max_size"]),
        pip=Decimal(row["pip"]),
        display=Display(**{**row["display"], "kind": DisplayKind(row["display"]["kind"])}),
        spread_unit=row["spread_unit"],
        size_unit=size_units.get(asset_class, f"{currency} nominal"),
        contract_size=Decimal(row["contract_size"]),
        venue_ids=tuple(row["venue_ids"]),
        stale_amber_ms=row["stale_amber_ms"],
        stale_red_ms=row["stale_red_ms"],
        isin=row.get("isin"),
        issuer=row.get("issuer"),
        coupon=Decimal(row["coupon"]) if "coupon" in row else None,
        maturity=date.fromisoformat(row["maturity"]).isoformat() if "maturity" in row else None,
        curve=row.get("curve"),
    )


def _check(i: Instrument) -> None:
    problems = []
    if not 0 < i.tick_size <= i.pip:
        problems.append("the tick is not between nothing and a pip")
    if i.min_size % i.lot_size or i.max_size % i.lot_size or not 0 < i.min_size <= i.max_size:
        problems.append("sizes are not whole lots in order")
    if not 0 < i.stale_amber_ms <= i.stale_red_ms:
        problems.append("the stale thresholds are not in order")
    if i.isin is not None and not is_isin(i.isin):
        problems.append(f"{i.isin} is no ISIN")
    decimals = i.tick_size.normalize().as_tuple().exponent
    if isinstance(decimals, int) and -decimals > i.display.decimals:
        problems.append("the display has fewer decimals than the tick")
    if problems:
        raise SeedError(f"instrument {i.instrument_id}: {'; '.join(problems)}")


def is_isin(text: str) -> bool:
    """True when the check digit is right (ISO 6166: letters as two digits, then Luhn)."""
    if len(text) != 12 or not text.isalnum() or not text[:2].isalpha() or not text[11].isdigit():
        return False
    digits = [int(d) for c in text.upper() for d in str(int(c, 36))]
    doubled = [
        d if n % 2 == 0 else (2 * d - 9 if d > 4 else 2 * d) for n, d in enumerate(reversed(digits))
    ]
    return sum(doubled) % 10 == 0


def _venue(venue_id: str, row: Mapping[str, Any]) -> Venue:
    try:
        return Venue(
            venue_id=venue_id,
            mic=row["mic"],
            name=row["name"],
            execution_type=row["execution_type"],
            asset_classes=tuple(AssetClass(a) for a in row["asset_classes"]),
            session=row["session"],
            enabled=row["enabled"],
        )
    except (KeyError, ValueError) as error:
        raise SeedError(f"venue {venue_id}: {error!r}") from None


def _dealer(lp_id: str, row: Mapping[str, Any], instruments: tuple[Instrument, ...]) -> Dealer:
    try:
        classes, left_out = set(row["asset_classes"]), set(row.get("except", ()))
        quoted = tuple(
            i.instrument_id
            for i in instruments
            if i.asset_class.value in classes and i.instrument_id not in left_out
        )
        if not row["enabled"] and not row.get("reason"):
            raise ValueError("a dealer that is not enabled needs a reason")
        return Dealer(
            lp_id=lp_id,
            name=row["name"],
            instrument_ids=quoted,
            max_requests_per_second=row["max_requests_per_second"],
            quote_life_ms=row["quote_life_ms"],
            enabled=row["enabled"],
            reason=row.get("reason"),
            tenant_ids=tuple(row.get("tenants", ())),
            last_look=row["last_look"],
            last_look_ms=row["last_look_ms"],
            last_look_max_drift=Decimal(row["last_look_max_drift"]),
        )
    except (KeyError, ValueError, InvalidOperation) as error:
        raise SeedError(f"dealer {lp_id}: {error!r}") from None
