"""Records that a restored database left behind: what others still hold of a log that no longer
knows them.

A range of positions was given out, published, perhaps archived; then the database was put back to
before it. The range is declared (orion.platform.restored), and in the log a record of its own kind
takes each place, so that positions stay gap-free for everybody who counts. Who reads elsewhere than
the log finds the old records there and is given the same ones as the log has.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

import msgspec

from orion.platform.bus.port import Record

TYPE = "RecordAbandoned"  # no service hears it; it says only that its place counts for nothing
TENANT = "shared"


@dataclass(frozen=True, slots=True)
class Range:
    """Positions of a partition that a restore abandoned, from `first`, before `until`. `at`: the
    partition's time when it began.
    """

    topic: str
    part: int
    first: int
    until: int
    at: int

    def record(self, offset: int) -> Record:
        """What takes this place: always the same."""
        entity = f"abandoned/{self.topic}/{self.part}/{self.first}"
        seq = offset - self.first + 1
        second, micros = divmod(self.at, 1_000_000)
        moment = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        body = msgspec.json.encode(
            {
                "eventId": f"{entity}/{seq}",
                "eventType": TYPE,
                "eventVersion": 1,
                "occurredAt": f"{moment}.{micros // 1000:03d}Z",
                "producer": "operator",
                "tenantId": TENANT,
                "correlationId": "",
                "causationId": "",
                "entity": {"entityType": "Log", "entityId": entity, "sequence": seq},
                "payload": {},
            }
        )
        return Record(
            self.topic, self.part, offset, self.at, TENANT, entity, seq, TYPE,
            f"{entity}/{seq}", body,
        )  # fmt: skip


class Abandoned:
    """The declared ranges of all partitions. They change only while nobody reads."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        ordered = sorted(ranges, key=lambda r: (r.topic, r.part, r.first))
        self.ranges: tuple[Range, ...] = tuple(ordered)
        self._by_head = {
            head: list(several) for head, several in groupby(ordered, lambda r: (r.topic, r.part))
        }

    def of(self, record: Record) -> Record:
        """The record, or what the log has in its place."""
        ranges = self._by_head.get((record.topic, record.part))
        if ranges is None:
            return record
        at = bisect_right(ranges, record.offset, key=lambda r: r.first) - 1
        if at < 0 or record.offset >= ranges[at].until:
            return record
        return ranges[at].record(record.offset)

    def of_all(self, records: Sequence[Record]) -> Sequence[Record]:
        """`of` each."""
        return [self.of(r) for r in records] if self._by_head else records


def is_kept(record: Record) -> bool:
    """False for one that only takes the place of an abandoned one."""
    return record.type != TYPE


def kept(records: Sequence[Record]) -> Sequence[Record]:
    """Without those that only take the place of abandoned ones."""
    return records if all(map(is_kept, records)) else [r for r in records if is_kept(r)]
