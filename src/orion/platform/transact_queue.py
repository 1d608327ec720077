"""Commands that wait for the writer: one lane per tenant, taken in turn, so that no tenant can
starve another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orion.platform.bus.port import Record
from orion.platform.transact_words import Key

if TYPE_CHECKING:
    from orion.platform.store.port import DeadLetter


@dataclass(eq=False, slots=True)
class Item:
    """A command on its way: from a caller (`answer`), from time (`due`), or from another topic
    (`record` heard by `group`).
    """

    tenant: str
    entity: str
    part: int
    command: Any
    key: Key | None = None
    answer: asyncio.Future[Any] | None = None
    began: float = 0.0  # loop time of the call
    overdue: float = 0.0  # loop time after which nobody waits any more
    due: int | None = None
    group: str = ""
    record: Record | None = None
    start: int = 0  # where the position stands before `record` is heard
    letter: DeadLetter | None = None  # the command is its replay
    tries: int = 0


class Lanes:
    """Queues taken round robin. Bounds are the caller's to check (`length`)."""

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[Item]] = {}
        self._turn: deque[Hashable] = deque()
        self.size = 0

    def length(self, lane: Hashable) -> int:
        """How many wait in this lane."""
        waiting = self._lanes.get(lane)
        return len(waiting) if waiting else 0

    def put(self, lane: Hashable, item: Item) -> None:
        """Queues at the end of the lane."""
        waiting = self._lanes.get(lane)
        if waiting is None:
            waiting = self._lanes[lane] = deque()
            self._turn.append(lane)
        waiting.append(item)
        self.size += 1

    def take(self, limit: int) -> list[Item]:
        """Up to `limit` items, one from each lane in turn; in order within a lane."""
        taken: list[Item] = []
        turn, lanes = self._turn, self._lanes
        while turn and len(taken) < limit:
            lane = turn.popleft()
            waiting = lanes[lane]
            taken.append(waiting.popleft())
            if waiting:
                turn.append(lane)
            else:
                del lanes[lane]
        self.size -= len(taken)
        return taken

    def heads(self) -> Iterator[deque[Item]]:
        """The lanes' queues, oldest first: for those who look after overdue ones."""
        return iter(list(self._lanes.values()))

    def drop(self, lane: Hashable) -> None:
        """Empties a lane."""
        waiting = self._lanes.pop(lane, None)
        if waiting is not None:
            self._turn.remove(lane)
            self.size -= len(waiting)

    def remove(self, part: int) -> list[Item]:
        """Takes out everything that waits for this partition."""
        removed: list[Item] = []
        for lane, waiting in list(self._lanes.items()):
            gone = [item for item in waiting if item.part == part]
            if not gone:
                continue
            removed += gone
            kept = deque(item for item in waiting if item.part != part)
            if kept:
                self._lanes[lane] = kept
            else:
                del self._lanes[lane]
                self._turn.remove(lane)
        self.size -= len(removed)
        return removed
