"""How far each partition of the log has been published: the relay's own table.

A mark is written after the broker's acknowledgement, so it is never too high; after a crash it may
be too low, and then some records are published again, which readers drop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from orion.platform import telemetry
from orion.platform.bus.abandoned import Abandoned, Range
from orion.platform.errors import Unavailable
from orion.platform.store.connection import PLAIN, Pool

Head = tuple[str, int]
AGAIN_S = 0.5
DECLARED = "select topic, part, first, until, at from bus.abandoned"


@dataclass(frozen=True, slots=True)
class Mark:
    """`offset`: the next to publish. `epoch`: of the lease under which it was written."""

    offset: int
    epoch: int


class RelayMarks:
    """Reads and writes bus.relayed. Raises Unavailable."""

    def __init__(self, dsn: str) -> None:
        self._pool = Pool(dsn, {**PLAIN, "synchronous_commit": "off"}, size=2, name="relay")

    async def begin(self, topic: str, part: int, epoch: int) -> Mark:
        """The mark; a new one begins at the first record that the log still has."""
        rows = await self._pool.fetch(
            "select * from bus.begin_relay($1, $2, $3)", topic, part, epoch
        )
        return Mark(rows[0][0], rows[0][1])

    async def bounds(self, topic: str, part: int) -> tuple[int, int]:
        """The first offset that the log keeps, and its next one."""
        rows = await self._pool.fetch(
            "select kept, next from bus.head where topic = $1 and part = $2", topic, part
        )
        return (rows[0][0], rows[0][1]) if rows else (0, 0)

    async def write(self, marks: Mapping[Head, Mark]) -> None:
        """Moves marks forward. One of an older epoch changes nothing."""
        await self._pool.execute(
            "update bus.relayed r set offs = m.offs, epoch = m.epoch from"
            " unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[])"
            " as m(topic, part, offs, epoch)"
            " where r.topic = m.topic and r.part = m.part and r.epoch <= m.epoch"
            " and r.offs <= m.offs",
            [t for t, _ in marks], [p for _, p in marks],
            [m.offset for m in marks.values()], [m.epoch for m in marks.values()],
        )  # fmt: skip

    async def read(self) -> dict[Head, Mark]:
        """All marks."""
        rows = await self._pool.fetch("select topic, part, offs, epoch from bus.relayed")
        return {(r[0], r[1]): Mark(r[2], r[3]) for r in rows}

    async def abandoned(self) -> Abandoned:
        """What restores have abandoned. It changes only while nothing runs."""
        return Abandoned(Range(*r) for r in map(tuple, await self._pool.fetch(DECLARED)))

    async def patiently_abandoned(self) -> Abandoned:
        """The same, however long the database is away: no process may read without it."""
        while True:
            try:
                return await self.abandoned()
            except Unavailable as error:
                telemetry.log.warning("the start waits for the database", error=error.detail)
                await asyncio.sleep(AGAIN_S)

    async def close(self) -> None:
        """Closes the connections."""
        await self._pool.close()
