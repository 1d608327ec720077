"""What `outbox` and the processes beside it agree upon."""

from __future__ import annotations

from dataclasses import dataclass

from orion.platform.bus.topics import Topic

KEYS = ("rfq.lifecycle", "rfq.quotes")


def topics(partitions: int) -> dict[str, Topic]:
    """What is written and relayed."""
    return {key: Topic(key, partitions, owner="rfq") for key in KEYS}


@dataclass(frozen=True)
class Order:
    """What one process is to do: `what` is relay, plain (hears, keeps its position) or blotter."""

    what: str
    writer: str
    bootstrap: str
    env: str
    partitions: int
    name: str
