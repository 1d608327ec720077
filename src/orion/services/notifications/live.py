"""New notifications as they happen: one reader of the bus, any number of bounded streams."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from typing import Any

from orion.core.permissions import Permission
from orion.platform import telemetry
from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.errors import Coded, InvalidMessage
from orion.services.notifications.projections import LETTERS, TOPICS, opened
from orion.services.notifications.words import (
    Note,
    Party,
    note_of,
    notice_of,
    party_of,
    title,
)
from orion.wire.stubs import notifications_pb2

PARTIES = 50_000  # RFQs whose requester is remembered; an RFQ lives at most five minutes
LOOK_BACK_US = 15 * 60 * 1_000_000
_TOLD = telemetry.counter("notifications_told", "Notifications handed to streams", ("kind",))


class Live:
    """Follows the topics; `stream` gives what is new."""

    def __init__(self, bus: Bus, clock: Clock, max_queue: int):
        self._bus, self._clock, self._max_queue = bus, clock, max_queue
        self._parties: OrderedDict[tuple[str, str], Party] = OrderedDict()
        self._orphans: dict[tuple[str, str], list[Note]] = {}
        self._queues: set[asyncio.Queue[notifications_pb2.Notification]] = set()
        self.is_ready = False

    async def run(self) -> None:
        """Follows for ever. Records older than the start only teach who the parties are."""
        start = self._clock.now()
        async for records in self._bus.tail((*TOPICS, LETTERS), since=start - LOOK_BACK_US):
            if not records:
                self.is_ready = True
            for record in records:
                self._hear(record, is_new=record.at >= start)

    def _hear(self, record: Record, *, is_new: bool) -> None:
        try:
            event = opened(record)
        except InvalidMessage:
            return  # the projection makes a dead letter of it; screens need not wait for that
        if record.topic == LETTERS:
            if is_new:
                self._notice(record, event)
            return
        party = party_of(event)
        if party is not None:
            key = (record.tenant, party.rfq_id)
            self._parties[key] = party
            while len(self._parties) > PARTIES:
                self._parties.popitem(last=False)
            for note in self._orphans.pop(key, ()):
                self._tell(record.tenant, party, note)
        note = note_of(event, record.tenant, record.event_id)
        if note is None or not is_new:
            return
        key = (record.tenant, note.rfq_id)
        if key in self._parties:
            self._tell(record.tenant, self._parties[key], note)
        elif len(self._orphans) < PARTIES:
            # Topics have no order among each other: the trade may be here before its RFQ.
            self._orphans.setdefault(key, []).append(note)

    def _tell(self, tenant: str, party: Party, note: Note) -> None:
        message = notifications_pb2.Notification(
            notification_id=note.notification_id,
            tenant_id=tenant,
            user=party.requester,
            kind=note.kind,
            severity=note.severity,
            title=title(note.kind, party.display_id),
            text=note.text,
            at_us=note.at,
            correlation_id=party.correlation,
            rfq_id=note.rfq_id,
            trade_id=note.trade_id,
        )
        _TOLD.labels(note.kind).inc()
        self.tell([message])

    def _notice(self, record: Record, event: Any) -> None:
        notice = notice_of(event, record.tenant, record.event_id)
        if notice is None:
            return
        _TOLD.labels(notice.kind).inc()
        message = notifications_pb2.Notification(
            notification_id=notice.notification_id,
            tenant_id=record.tenant,
            permission=Permission.OPERATIONS_READ.value,
            kind=notice.kind,
            severity=notice.severity,
            title=notice.title,
            text=notice.text,
            at_us=notice.at,
        )
        self.tell([message])

    def tell(self, messages: Sequence[notifications_pb2.Notification]) -> None:
        """Hands these to all streams: new ones, or known ones that were read."""
        for message in messages:
            for queue in tuple(self._queues):
                try:
                    queue.put_nowait(message)
                except asyncio.QueueFull:
                    self._queues.discard(queue)  # its stream ends and begins anew with a snapshot

    async def stream(self) -> AsyncIterator[list[notifications_pb2.Notification]]:
        """New notifications, in batches. Raises WS-503 when the reader fell too far behind."""
        queue: asyncio.Queue[notifications_pb2.Notification] = asyncio.Queue(self._max_queue)
        self._queues.add(queue)
        try:
            yield []  # registered: what happens from here on will come
            while True:
                batch = [await queue.get()]
                while not queue.empty():
                    batch.append(queue.get_nowait())
                yield batch
                if queue not in self._queues:
                    raise Coded("WS-503")
        finally:
            self._queues.discard(queue)
