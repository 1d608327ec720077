"""Tailing and waiting over `read` and a ring: the same for every adapter whose log can be read by
offset.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

from orion.platform.bus.abandoned import kept
from orion.platform.bus.port import Record
from orion.platform.bus.ring import Ring
from orion.platform.errors import Unavailable

AGAIN_S = 0.25  # between tries while the database is away
BATCH = 500
FEW = 4  # who waits for more partitions than these listens to whole topics


class Following:
    """Gives an adapter with `read`, `ends` and `offset_at` its `tail` and `wait`. The adapter keeps
    the ring informed.
    """

    ring: Ring

    async def read(
        self, topic: str, part: int, offset: int, limit: int = BATCH
    ) -> Sequence[Record]:
        """See the port."""
        raise NotImplementedError

    async def ends(self, topic: str) -> dict[int, int]:
        """See the port."""
        raise NotImplementedError

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """See the port."""
        raise NotImplementedError

    async def wait(self, topic: str, part: int, offset: int, timeout_s: float) -> bool:
        """See the port. Looks into memory only; others' writes are known a moment later."""
        return await self.wait_any({(topic, part): offset}, timeout_s)

    async def wait_any(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """See the port."""
        if self._is_beyond(positions):
            return True
        if timeout_s <= 0:
            return False
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        places: set[str | tuple[str, int]] = (
            set(positions) if len(positions) <= FEW else {topic for topic, _ in positions}
        )
        event = self.ring.listen(places)
        try:
            while not self._is_beyond(positions):
                left = end - loop.time()
                if left <= 0:
                    return False
                event.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await event.wait()
            return True
        finally:
            self.ring.forget(event, places)

    def behind(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """See the port."""
        known = self.ring.known
        return {head: end - at for head, at in positions.items() if (end := known(*head)) > at}

    def _is_beyond(self, positions: Mapping[tuple[str, int], int]) -> bool:
        known = self.ring.known
        return any(known(topic, part) > at for (topic, part), at in positions.items())

    async def tail(
        self,
        topics: Sequence[str],
        *,
        since: int | None = None,
        start: Mapping[tuple[str, int], int] | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        """See the port."""
        event = self.ring.listen(topics)
        try:
            cursors = await self._start(topics, since, start)
            caught_up = False
            while True:
                event.clear()
                progress = False
                for (topic, part), cursor in cursors.items():
                    while self.ring.known(topic, part) > cursors[topic, part]:
                        records = await self._read(topic, part, cursors[topic, part])
                        if not records:
                            break
                        cursors[topic, part] = records[-1].offset + 1
                        if heard := kept(records):
                            yield heard
                    progress = progress or cursors[topic, part] > cursor
                if progress:
                    continue
                if not caught_up:
                    caught_up = True
                    yield ()
                await event.wait()
        finally:
            self.ring.forget(event, topics)

    async def _start(
        self,
        topics: Sequence[str],
        since: int | None,
        start: Mapping[tuple[str, int], int] | None,
    ) -> dict[tuple[str, int], int]:
        while True:
            try:
                cursors = {}
                for topic in topics:
                    for part, end in (await self.ends(topic)).items():
                        self.ring.hint(topic, part, end)
                        if start is not None:
                            cursors[topic, part] = start.get((topic, part), 0)
                        elif since is not None:
                            cursors[topic, part] = await self.offset_at(topic, part, since)
                        else:
                            cursors[topic, part] = end
                return cursors
            except Unavailable:
                await asyncio.sleep(AGAIN_S)

    async def _read(self, topic: str, part: int, offset: int) -> Sequence[Record]:
        while True:
            try:
                return await self.read(topic, part, offset, BATCH)
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
