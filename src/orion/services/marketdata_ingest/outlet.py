"""Ticks and status changes onto their topics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from orion.core.ids import event_id
from orion.core.ticks import Status, Tick
from orion.platform import telemetry
from orion.platform.bus.port import Record
from orion.platform.errors import NotOwner, Unavailable
from orion.platform.publish import Publisher
from orion.platform.transact_words import Fact
from orion.wire.envelope import encode
from orion.wire.registry import BY_CLASS

TICKS, STATUS = "marketdata.ticks", "marketdata.status"
SHARED = "shared"
PRODUCER = "marketdata_ingest"
PATIENCE_S = 0.5


class _Topic:
    """One publisher, and how much of what it took is durable."""

    def __init__(self, publisher: Publisher):
        self.publisher = publisher
        self.accepted = self.committed = 0
        self._progress = asyncio.Event()
        publisher.on_commit(self._done)

    def _done(self, records: Sequence[Record]) -> None:
        self.committed += len(records)
        self._progress.set()

    def offer(self, entity: str, event: Any, at: int) -> None:
        """Accepts one event. Raises NotOwner or Unavailable."""
        sequence = self.publisher.sequence(SHARED, entity)
        topic = self.publisher.topic
        # An instrument has a sequence in each topic, so the topic is part of what makes an event
        # unique.
        name = event_id(SHARED, topic, entity, sequence)
        body = encode(
            event,
            tenant=SHARED,
            entity_id=entity,
            sequence=sequence,
            at=at,
            producer=PRODUCER,
            correlation_id=f"feed-{entity}",
            causation_id=f"feed-{entity}",
            event_id_=name,
        )
        fact = Fact(topic, entity, sequence, BY_CLASS[type(event)].event_type, name, body)
        if not self.publisher.offer(SHARED, entity, fact):
            raise Unavailable("Too many events wait for the log")
        self.accepted += 1

    async def durable(self) -> None:
        """Waits until all that was accepted lies on the bus, or is lost with the ownership
        (counted).
        """
        while self.committed < self.accepted:
            self._progress.clear()
            try:
                # Not wait_for: before Python 3.12 it can swallow a cancellation.
                async with asyncio.timeout(PATIENCE_S):
                    await self._progress.wait()
            except TimeoutError:
                # Also when the topic is owned again meanwhile: what was given up does not come.
                if self.publisher.is_idle:
                    self._count_lost()

    def _count_lost(self) -> None:
        if lost := self.accepted - self.committed:
            telemetry.counter("md_ticks_lost", "Ticks lost with the ownership of their topic").inc(
                lost
            )
            telemetry.log.error("ticks lost: another copy owns the topic", lost=lost)
            self.committed = self.accepted


class BusOutlet:
    """Tells the bus. One copy of ingest owns both topics; another waits until it may."""

    def __init__(self, ticks: Publisher, status: Publisher):
        self._ticks, self._status = _Topic(ticks), _Topic(status)

    def ready(self) -> str | None:
        """None when this copy may publish."""
        return self._ticks.publisher.ready() or self._status.publisher.ready()

    def is_elsewhere(self) -> bool:
        """True when another copy publishes."""
        return self._ticks.publisher.is_elsewhere() or self._status.publisher.is_elsewhere()

    @property
    def leader(self) -> str:
        """The address of the copy that publishes; empty: this one, or nobody."""
        return self._ticks.publisher.leader

    async def until_elsewhere(self) -> None:
        """Waits until another copy owns the topics: a pause of the own ownership is none."""
        while not self.is_elsewhere():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.1)

    async def until_ready(self) -> None:
        """Waits until this copy owns the topics."""
        while self.ready() is not None:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)

    async def tell(self, ticks: Sequence[Tick], status: Sequence[Status]) -> None:
        """See ingest.Outlet. All or nothing is accepted: ownership cannot change between two lines
        of this loop.
        """
        if (reason := self.ready()) is not None:
            raise Unavailable(reason)
        try:
            for tick in ticks:
                self._ticks.offer(tick.instrument_id, tick, tick.received_at)
            for event in status:
                self._status.offer(event.instrument_id, event, event.at)
        except NotOwner as error:
            raise Unavailable(str(error)) from error
        await self._ticks.durable()
        await self._status.durable()
