"""A dealer's temper, as dealers.toml describes it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from orion.platform.config import ConfigError


@dataclass(frozen=True, slots=True)
class Delay:
    """A log-normal time in milliseconds."""

    median: float
    sigma: float = 1.4


@dataclass(frozen=True, slots=True)
class Profile:
    """How one dealer prices, waits, tires and looks twice. Widths in pips, sizes in parts of the
    largest size."""

    lp_id: str
    half_spread: Mapping[str, Decimal]
    impact: Decimal
    inventory_bias: Decimal
    full_book: Decimal
    noise: Decimal
    delay: Delay
    life_ms: int
    refreshes: int
    max_size: Decimal
    no_interest: float
    per_second: int
    last_look: Delay
    last_look_max_drift: Decimal


def read_profiles(path: Path) -> list[Profile]:
    """All dealers of the file. Raises ConfigError with what is wrong."""
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise _wrong(f"{path} cannot be read ({error})") from None
    return [_profile(lp_id, row) for lp_id, row in table.items()]


def _profile(lp_id: str, row: Any) -> Profile:
    wanted = {f.name for f in fields(Profile)} - {"lp_id", "last_look_max_drift"}
    if not isinstance(row, dict) or set(row) != wanted:
        raise _wrong(f"[{lp_id}] must have exactly: {', '.join(sorted(wanted))}")
    try:
        look = row["last_look"]
        return Profile(
            lp_id=lp_id,
            half_spread={k: Decimal(v) for k, v in row["half_spread"].items()},
            impact=Decimal(row["impact"]),
            inventory_bias=Decimal(row["inventory_bias"]),
            full_book=Decimal(row["full_book"]),
            noise=Decimal(row["noise"]),
            delay=Delay(float(row["delay"]["median"]), float(row["delay"]["sigma"])),
            life_ms=int(row["life_ms"]),
            refreshes=int(row["refreshes"]),
            max_size=Decimal(row["max_size"]),
            no_interest=float(row["no_interest"]),
            per_second=int(row["per_second"]),
            last_look=Delay(float(look["median"])),
            last_look_max_drift=Decimal(look["max_drift"]),
        )
    except (KeyError, ValueError, ArithmeticError, AttributeError) as error:
        raise _wrong(f"[{lp_id}] has a value that cannot be used ({error!r})") from None


def _wrong(problem: str) -> ConfigError:
    return ConfigError("ORION_LP_BOTS_DEALERS_FILE", problem, "Mend the file")
