"""Settings of the notification service."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.config import option


@dataclass(frozen=True)
class Config:
    """Section `notifications`."""

    max_listed: int = option(200, "Most notifications of one answer", min=1, max=1000)
    snapshot_minutes: int = option(60, "How far back a new stream begins", min=1, max=1440)
    max_queue: int = option(
        5_000, "Notifications a slow stream may fall behind", min=100, max=100_000
    )
