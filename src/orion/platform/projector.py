"""All read models of a service together: one consumer each, those of the same topics as one crew,
and the instant up to which they are known to be true."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.consume_crew import Crew
from orion.platform.project import Projection, RowOperation
from orion.platform.project_run import projector
from orion.platform.store.port import Store

# What comes within this time goes into one transaction; after a pause the first goes at once. After
# a hundred records it is a fifth of a second, and never more than a quarter.
LIMITS = ConsumerLimits(pace_ms=100.0, pace_per_record_ms=1.0, longest_pace_ms=250.0)


class _Noting:
    """A projection that notes the instant of the newest record it has turned into rows."""

    def __init__(self, inner: Projection):
        self._inner = inner
        self.name, self.service = inner.name, inner.service
        self.topics, self.tables = inner.topics, inner.tables
        self.counters = getattr(inner, "counters", None)
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
        self.consumers: list[Consumer] = [
            projector(p, bus=bus, store=store, limits=LIMITS) for p in self._noting
        ]

    async def run(self) -> None:
        """Keeps all of them."""
        crews: dict[tuple[str, ...], list[Consumer]] = {}
        for consumer in self.consumers:
            crews.setdefault(tuple(consumer.topics), []).append(consumer)
        async with asyncio.TaskGroup() as group:
            for crew in crews.values():
                group.create_task(Crew(crew).run())

    def ready(self) -> str | None:
        """None, or which of them is not up to date."""
        return next((why for c in self.consumers if (why := c.ready())), None)

    async def as_of(self) -> int:
        """The instant up to which every read model holds what was said: now, unless one is
        behind."""
        known = self._clock.now()
        for consumer, noting in zip(self.consumers, self._noting, strict=True):
            positions = consumer.positions
            if not positions or self._bus.behind(positions):
                known = min(known, noting.at)
        return known
