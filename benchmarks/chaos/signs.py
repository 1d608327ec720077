"""Signs of life: what a client must see again before a service counts as recovered, and how long
that took.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

EVERY_PARTITION = "every partition"


class Watch:
    """Waits for certain signs of requests that left after a moment."""

    def __init__(self, since: int, kinds: set[str], partitions: int, now: Callable[[], int]):
        self.since, self.kinds = since, kinds
        self._partitions, self._now = partitions, now
        self.first: dict[str, int] = {}  # sign → microseconds after `since`
        self._parts: set[int] = set()
        self.done = asyncio.Event()

    def missing(self) -> set[str]:
        """What was not seen yet."""
        return self.kinds - self.first.keys()

    def note(self, kind: str, left: int, part: int | None) -> None:
        """Something was answered whose request left at `left`."""
        if left < self.since:
            return
        took = self._now() - self.since
        self.first.setdefault(kind, took)
        if part is not None:
            self._parts.add(part)
            if len(self._parts) == self._partitions:
                self.first.setdefault(EVERY_PARTITION, took)
        if not self.missing():
            self.done.set()


class Signs:
    """Where the load and the probes tell what they saw."""

    def __init__(self, now: Callable[[], int], partitions: int = 8):
        self.now, self._partitions = now, partitions
        self._watches: list[Watch] = []

    def note(self, kind: str, left: int, part: int | None = None) -> None:
        """A request that left at `left` was answered now, in the way that `kind` says."""
        for watch in self._watches:
            watch.note(kind, left, part)

    def wanted(self, kind: str) -> bool:
        """Whether somebody waits for it: probes are made only then."""
        return any(kind in watch.missing() for watch in self._watches)

    async def after(self, since: int, kinds: set[str], within_s: float) -> Watch:
        """Waits until all were seen, or the time is over: then the watch misses some."""
        watch = Watch(since, kinds, self._partitions, self.now)
        self._watches.append(watch)
        try:
            async with asyncio.timeout(within_s):
                await watch.done.wait()
        except TimeoutError:
            pass
        finally:
            self._watches.remove(watch)
        return watch
