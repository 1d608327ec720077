"""What this process knows of each partition without asking: the newest records, and how far the log
goes.

Writers in the same process hand their records over after the commit; other processes' writers only
send a hint. A reader keeps a cursor: what the ring still holds it takes from here, anything else it
reads from the log. So a slow reader costs nothing and no reader can miss or repeat a record.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterable, Sequence

from orion.platform.bus.port import Record

RING = 2_048  # records kept per partition


class Ring:
    """The newest records of each partition, and the readers that wait for more."""

    def __init__(self, size: int = RING) -> None:
        self._size = size
        self._records: dict[tuple[str, int], list[Record]] = {}
        self._known: dict[tuple[str, int], int] = {}
        # By topic, and by (topic, partition): whoever waits for one partition sleeps through what
        # happens in the others.
        self._waiting: dict[str | tuple[str, int], set[asyncio.Event]] = {}

    def hand_over(self, records: Sequence[Record]) -> None:
        """Takes committed records, in order per partition. Repeats are passed over: a batch may
        come again, or after the one that followed it.
        """
        grown: set[str | tuple[str, int]] = set()
        for record in records:
            head = (record.topic, record.part)
            kept = self._records.get(head)
            if kept and record.offset <= kept[-1].offset:
                continue
            if kept is None or (kept and kept[-1].offset + 1 != record.offset):
                kept = self._records[head] = []  # another process wrote in between
            kept.append(record)
            if len(kept) >= 2 * self._size:
                del kept[: self._size]
            if self._known.get(head, 0) <= record.offset:
                self._known[head] = record.offset + 1
            grown.add(head)
            grown.add(record.topic)
        self._wake(grown)

    def hint(self, topic: str, part: int, end: int) -> None:
        """Another process says that the partition goes to `end`."""
        if self._known.get((topic, part), 0) < end:
            self._known[topic, part] = end
            self._wake((topic, (topic, part)))

    def known(self, topic: str, part: int) -> int:
        """How far the partition goes, as far as is known here."""
        return self._known.get((topic, part), 0)

    def slice(self, topic: str, part: int, offset: int, limit: int) -> Sequence[Record] | None:
        """Records from `offset` on, or None when the ring does not reach back so far (or knows
        nothing).
        """
        kept = self._records.get((topic, part))
        if not kept:
            return None
        first = kept[0].offset
        if offset < first or offset > kept[-1].offset:
            return None
        start = offset - first
        return kept[start : start + limit]

    def listen(self, places: Iterable[str | tuple[str, int]]) -> asyncio.Event:
        """An event that is set whenever one of these topics or partitions grows. Give it back with
        `forget`.
        """
        event = asyncio.Event()
        for place in places:
            self._waiting.setdefault(place, set()).add(event)
        return event

    def forget(self, event: asyncio.Event, places: Iterable[str | tuple[str, int]]) -> None:
        """The reader has gone from where it listened."""
        for place in places:
            if (events := self._waiting.get(place)) is not None:
                events.discard(event)

    def wake_all(self) -> None:
        """Hints may have been lost (a connection broke): everybody looks for himself."""
        self._wake(tuple(self._waiting))

    def _wake(self, places: Iterable[str | tuple[str, int]]) -> None:
        for place in places:
            for event in self._waiting.get(place, ()):
                event.set()


_RINGS: weakref.WeakValueDictionary[str, Ring] = weakref.WeakValueDictionary()


def ring_of(dsn: str) -> Ring:
    """The ring of this process for a database: its store fills it, its bus reads from it."""
    ring = _RINGS.get(dsn)
    if ring is None:
        ring = _RINGS[dsn] = Ring()
    return ring
