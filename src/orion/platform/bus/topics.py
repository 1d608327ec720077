"""What contracts/topics.toml says about each topic, as far as the machinery needs it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache

from orion.platform.errors import CONTRACTS


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: how many partitions, how long it is kept, and in which tree of the log."""

    key: str
    partitions: int = 8
    retention_hours: int = 2_160
    hourly: bool = False
    cap_mb: int | None = None
    owner: str = ""
    major: int = 1
    key_field: str = ""  # of the payload, where Kafka's key is not the entity's id
    cleanup: str = "delete"  # on Kafka; what is read by position must not be compacted
    consumers: tuple[str, ...] = ()

    def name(self, env: str) -> str:
        """The full name on the bus."""
        return f"{env}.{self.key}.v{self.major}"


@cache
def catalogue() -> dict[str, Topic]:
    """All topics by key, read once."""
    document = tomllib.loads((CONTRACTS / "topics.toml").read_text())
    defaults = document["defaults"]
    found = {
        key: Topic(
            key,
            partitions=row.get("partitions", defaults["partitions"]),
            retention_hours=row["retention_hours"],
            hourly=row.get("storage") == "hourly",
            cap_mb=row.get("cap_mb"),
            owner=row["owner"],
            major=row.get("major", defaults["major"]),
            key_field=_key_field(row["key"], row["entity"]),
            cleanup=row.get("cleanup", "delete"),
            consumers=tuple(row["consumers"]),
        )
        for key, row in document["topics"].items()
    }
    # Where the dead letters of each service that consumes lie whole.
    services = sorted({consumer for topic in found.values() for consumer in topic.consumers})
    letters = [Topic(f"{defaults['dlq']}.{name}", 1, owner="platform") for name in services]
    return found | {topic.key: topic for topic in letters}


def _key_field(key: str, entity: str) -> str:
    """Empty where the key is the id of the topic's own entity."""
    return "" if key.lower() in (f"{entity}id".lower(), "entityid") else key
