"""Settings of reference data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_REFERENCE_<FIELD>."""

    seeds: Path = option(
        Path(__file__).with_name("seeds"),
        "Folder of instruments.toml, venues.toml and dealers.toml",
    )
