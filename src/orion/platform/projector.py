"""All read models of a service together: one consumer each, and the instant up to which they are
known to be true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.consume import Consumer
from orion.platform.project import Projection, RowOperation
from orion.platform.project_run import projector
from orion.platform.store.port import Store


class _Noting:
    """A projection that notes the instant of the newest record it has turned into rows."""

    def __init__(self, inner: Projection):
        self._inner = inner
        self.name, self.service = inner.name, inner.service
        self.topics, self.tables = inner.topics, inner.tables
        self.at = 0

    def rows(self, record: Record) -> Sequence[RowOperation]:
        found = self._inner.rows(record)
        self.at = max(self.at, record.at)
        return found


class Projector:
    """Runs the read models of a service. `run` works until cancelled."""

    def __init__(self, projections: Sequence[Projection], store: Store, bus: Bus, clock: Clock):
        self._bus, self._clock = bus, clock
        self._noting = [_Noting(p) for p in projections]
        self.consumers: list[Consumer] = [projector(p, bus=bus, store=store) for p in self._noting]

    async def run(self) -> None:
        """Keeps all of them."""
        async with asyncio.TaskGroup() as group:
            for consumer in self.consumers:
                group.create_task(consumer.run())

    def ready(self) -> str | None:
        """None, or which of them is not up to date."""
        return next((why for c in self.consumers if (why := c.ready())), None)

    async def as_of(self) -> int:
        """The instant up to which every read model holds what was said: now, unless one is
        behind."""
        known = self._clock.now()
        for consumer, noting in zip(self.consumers, self._noting, strict=True):
            positions: Any = consumer.positions
            if not positions or await self._bus.wait_any(positions, 0):
                known = min(known, noting.at)
        return known
