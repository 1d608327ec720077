"""The bus: topics of ordered, numbered records. Topic, partition and offset mean what they mean in
Kafka.

Adapters: postgres.py (the embedded durable log), memory.py (deterministic, for simulations);
kafka.py joins unchanged. Topics are named by their key in contracts/topics.toml ("rfq.lifecycle");
adapters add environment and version.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Record:
    """One event as it lies on the bus. `body` is the JSON of the whole envelope."""

    topic: str  # key of topics.toml
    part: int
    offset: int  # from 0, gap-free per (topic, part)
    at: int  # microseconds, the owner's clock at decide
    tenant: str
    entity: str
    seq: int
    type: str
    event_id: str
    body: bytes


class Bus(Protocol):
    """Reading side of the log. Writing goes through `transact` (state and events in one
    transaction) or `Publisher`.
    """

    async def read(self, topic: str, part: int, offset: int, limit: int = 500) -> Sequence[Record]:
        """Records from `offset` on, in order, without a gap; empty at the end. Idempotent. Raises
        Unavailable.
        """
        ...

    async def ends(self, topic: str) -> dict[int, int]:
        """The next offset of each partition."""
        ...

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """The first offset whose record is not older than `at`; the end when there is none."""
        ...

    def tail(
        self,
        topics: Sequence[str],
        *,
        since: int | None = None,
        start: Mapping[tuple[str, int], int] | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        """A view in memory: batches from `since` (an instant; None = only new ones) or from the
        positions `start` (where it names none, from the beginning) and then live, for ever, in
        order per partition, without a gap or a duplicate; what a restore has abandoned is left out.
        Keeps no checkpoint. Yields an empty batch once, when it has caught up.
        """
        ...

    async def wait(self, topic: str, part: int, offset: int, timeout_s: float) -> bool:
        """Blocks until a record at `offset` exists (True) or the time is over (False). A hint is
        enough: spurious True is allowed.
        """
        ...

    async def wait_any(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """`wait` for several partitions at once: until one of them goes beyond its position."""
        ...

    def behind(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Those of the partitions that are known to go beyond their position, and how many records
        that is. Looks into memory only, as `wait` with no time does.
        """
        ...


def partition_of(entity: str, count: int) -> int:
    """The partition of an entity: the slot its id starts with (four hex digits of thirty
    characters), else a hash of the name.
    """
    if len(entity) == 30:
        try:
            return int(entity[:4], 16) % count
        except ValueError:
            pass
    return zlib.crc32(entity.encode()) % count
