"""Records as they lie on Kafka: the body is the event, everything else about it is in headers.

The log position goes along, because Kafka's own offsets are others: markers of transactions and
repeats count there too. `Order` gives a partition its log order back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic

Headers = list[tuple[str, bytes]]


class _Keyed(msgspec.Struct):
    payload: dict[str, msgspec.Raw]


_KEYED = msgspec.json.Decoder(_Keyed)


def key_of(record: Record, topic: Topic) -> bytes:
    """What topics.toml names as the key: the entity's id, else a field of the payload."""
    if topic.key_field:
        try:
            return msgspec.json.decode(
                _KEYED.decode(record.body).payload[topic.key_field], type=str
            ).encode()
        except (msgspec.MsgspecError, KeyError):
            pass  # the partition is set by the log, so that order does not hang on it
    return record.entity.encode()


def headers_of(record: Record, lost: int | None = None) -> Headers:
    """`lost`: the log no longer has what was to come before this record, from that offset on."""
    headers = [
        ("offset", str(record.offset).encode()),
        ("at", str(record.at).encode()),
        ("tenant", record.tenant.encode()),
        ("entity", record.entity.encode()),
        ("seq", str(record.seq).encode()),
        ("type", record.type.encode()),
        ("eventId", record.event_id.encode()),
    ]
    if trace := telemetry.traceparent(record.body):
        headers.append(("traceparent", trace.encode()))
    if lost is not None:
        headers.append(("lost", str(lost).encode()))
    return headers


def record_of(message: Any, topic: str) -> tuple[Record, int | None]:
    """The record of a message, and its `lost`. Raises ValueError for one that is not ours."""
    try:
        found: Mapping[str, bytes] = dict(message.headers() or ())
        record = Record(
            topic,
            message.partition(),
            int(found["offset"]),
            int(found["at"]),
            found["tenant"].decode(),
            found["entity"].decode(),
            int(found["seq"]),
            found["type"].decode(),
            found["eventId"].decode(),
            message.value(),
        )
        return record, int(found["lost"]) if "lost" in found else None
    except (KeyError, UnicodeError) as error:
        raise ValueError(f"not a record of the log: {error!r}") from None


class Order:
    """What comes next in a partition. `next` None: whatever comes first is the beginning."""

    TAKE, REPEAT, GAP = "take", "repeat", "gap"

    def __init__(self, next_: int | None = None) -> None:
        self.next = next_

    def look(self, offset: int, lost: int | None = None) -> str:
        """TAKE moves on. After a gap nothing is taken until what is missing comes: then it heals by
        itself.
        """
        if self.next is not None and offset < self.next:
            return self.REPEAT
        is_told = lost is not None and self.next is not None and lost <= self.next
        if self.next is not None and offset > self.next and not is_told:
            return self.GAP
        self.next = offset + 1
        return self.TAKE
