"""Settings of the market data projection."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Environment: ORION_MARKETDATA_PROJECTION_<FIELD>."""

    cache_ms: int = option(100, "The cache is written at most this often", min=10, max=10_000)
    store_ms: int = option(1_000, "The tables are written at most this often", min=100, max=60_000)
    bar_s: int = option(5, "Length of a bar", min=1, max=300)
    keep_hours: int = option(48, "How long bars are kept", min=1, max=720)
    batch_ms: int = option(2, "Ticks that come within this time leave in one batch", min=0, max=100)
    subscriber_ticks: int = option(
        2_000,
        "Ticks that may wait for one subscriber; a slower one gets the newest only",
        min=100,
        max=1_000_000,
    )
    subscribers: int = option(200, "Most streams at a time", min=1, max=10_000)
    history_minutes: int = option(24 * 60, "Longest history one may ask for", min=1, max=10_080)
