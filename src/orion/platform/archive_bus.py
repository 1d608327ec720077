"""A bus that reaches back to the first record: the archive, and behind its end a bus that still has
what is newer.

Positions are those of the log in both, so who reads does not notice where one ends and the other
goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orion.platform.archive_read import ArchiveReader
from orion.platform.bus.abandoned import Abandoned
from orion.platform.bus.following import BATCH, Following
from orion.platform.bus.port import Record


class ArchivedBus(Following):
    """See the port of the bus. Raises ArchiveDamaged besides, where the archive is not whole. What
    is archived later than it first looked at a topic it reads from the bus.
    """

    def __init__(
        self, archive: ArchiveReader, newer: Any, abandoned: Abandoned | None = None
    ) -> None:
        self._archive, self._newer = archive, newer  # Any: a Following, for its ring
        self._abandoned = abandoned or Abandoned()
        self.ring = newer.ring
        self._until: dict[str, dict[int, int]] = {}

    async def read(
        self, topic: str, part: int, offset: int, limit: int = BATCH
    ) -> Sequence[Record]:
        """See the port."""
        if offset < (await self._archived(topic)).get(part, 0):
            found = await self._archive.read(topic, part, offset, limit)
            return self._abandoned.of_all(found)
        return await self._newer.read(topic, part, offset, limit)

    async def ends(self, topic: str) -> dict[int, int]:
        """See the port."""
        archived = await self._archived(topic)
        newer = await self._newer.ends(topic)
        return {part: max(end, archived.get(part, 0)) for part, end in newer.items()}

    async def starts(self, topic: str) -> dict[int, int]:
        """The first offset of each partition that is archived; 0 where none is yet."""
        archived = await self._archived(topic)
        first = await self._archive.starts(topic)
        return {part: first.get(part, 0) for part in archived}

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """See the port."""
        end = (await self._archived(topic)).get(part, 0)
        found = await self._archive.offset_at(topic, part, at)
        return found if found < end else max(end, await self._newer.offset_at(topic, part, at))

    async def wait_any(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """See the port."""
        return await self._newer.wait_any(positions, timeout_s)

    def behind(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """See the port."""
        return self._newer.behind(positions)

    async def _archived(self, topic: str) -> dict[int, int]:
        if topic not in self._until:
            self._until[topic] = await self._archive.ends(topic)
        return self._until[topic]
