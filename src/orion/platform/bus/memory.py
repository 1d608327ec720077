"""The bus over a memory store: deterministic, for simulations and property tests."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orion.platform.bus.following import BATCH, Following
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.errors import Unavailable

if TYPE_CHECKING:
    from orion.platform.store.memory import MemoryStore


class MemoryBus(Following):
    """Reads what a MemoryStore has committed."""

    def __init__(self, store: MemoryStore, topics: Mapping[str, Topic] | None = None) -> None:
        self._store = store
        self.ring = store.ring
        self._topics = topics if topics is not None else catalogue()

    def _look(self) -> None:
        if self._store.down:
            raise Unavailable("the store is down")

    async def read(
        self, topic: str, part: int, offset: int, limit: int = BATCH
    ) -> Sequence[Record]:
        """See the port."""
        self._look()
        return [x.record for x in self._store.log.get((topic, part), [])[offset : offset + limit]]

    async def ends(self, topic: str) -> dict[int, int]:
        """See the port."""
        self._look()
        return {
            part: len(self._store.log.get((topic, part), ()))
            for part in range(self._topics[topic].partitions)
        }

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """See the port."""
        self._look()
        return bisect_left(self._store.log.get((topic, part), []), at, key=lambda x: x.record.at)

    async def close(self) -> None:
        """Nothing is held."""
