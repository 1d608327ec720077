"""Settings of the simulated dealers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_LP_BOTS_<FIELD>."""

    dealers_file: Path = option(
        Path(__file__).with_name("dealers.toml"), "How the dealers behave (TOML)"
    )
    delay_scale: float = option(
        1.0, "Factor on all of the dealers' delays; 0 answers at once", min=0.0, max=100.0
    )
    throttle_scale: float = option(
        1.0, "Factor on the dealers' own throttles", min=0.01, max=10_000.0
    )
    no_interest_scale: float = option(
        1.0, "Factor on how often dealers pass for want of interest", min=0.0, max=100.0
    )
    gap_ms: int = option(
        4, "A busy stream is written at most once in so many milliseconds", min=0, max=100
    )
    address: str = option("", "The gateway's gRPC address; empty: the platform's own")
