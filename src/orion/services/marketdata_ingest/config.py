"""Settings of ingest. Seed, scenario, replay file and speed are the platform's (ORION_SEED,
ORION_SCENARIO …).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orion.platform.config import ConfigError, option
from orion.services.marketdata_ingest.scenarios import SCENARIOS

RECORDINGS = Path(__file__).with_name("recordings")


@dataclass(frozen=True)
class Config:
    """Environment: ORION_MARKETDATA_INGEST_<FIELD>."""

    rate: float = option(
        17.0, "Simulated ticks a second, all instruments together", min=0.1, max=20_000.0
    )
    late_ms: int = option(
        250, "A tick this far behind a newer one of its instrument is late", min=0, max=60_000
    )
    future_ms: int = option(
        5_000, "A tick this far ahead of our clock is dropped", min=100, max=3_600_000
    )
    drop_crossed: bool = option(False, "Drop quotes with bid above ask instead of flagging them")
    look_ms: int = option(250, "How often silent feeds are looked for", min=10, max=10_000)
    in_flight: int = option(
        2_000, "Ticks that may wait for the log; feeds wait beyond that", min=100, max=1_000_000
    )
    mock_venue: bool = option(
        False, "Take GBPUSD and AUDUSD from the mock venue (the example of an adapter)"
    )


def scenario_of(name: str) -> str:
    """The scenario, or an error that lists what there is."""
    if name not in SCENARIOS:
        raise ConfigError(
            "ORION_SCENARIO", f"{name!r} is not known", f"Use one of: {', '.join(SCENARIOS)}"
        )
    return name


def speed_of(text: str) -> float | None:
    """The replay speed: a factor, or None for as fast as possible."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.01 <= speed <= 1_000:
        raise ConfigError(
            "ORION_SPEED", f"{text!r} is no speed", "Use a factor from 0.01 to 1000, or max"
        )
    return speed


def recording_of(text: str) -> Path | None:
    """The file to replay: a path, or the name of a recording that comes with the product."""
    if not text:
        return None
    for path in (Path(text).expanduser(), RECORDINGS / text, RECORDINGS / f"{text}.csv"):
        if path.is_file():
            return path
    names = ", ".join(p.stem for p in sorted(RECORDINGS.glob("*.csv")))
    raise ConfigError(
        "ORION_REPLAY", f"{text} is not a file", f"Name a file, or one that is here: {names}"
    )
