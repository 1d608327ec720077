"""Settings of the relay."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `relay`."""

    batch: int = option(1000, "Most records in one transaction of Kafka", min=1, max=10_000)
    threads: int = option(16, "Transactions under way at once", min=1, max=64)
