"""The embedded durable log: records lie in PostgreSQL, numbered by their owner; the ring spares
most readers the way there.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from orion.platform import telemetry
from orion.platform.bus.following import BATCH, Following
from orion.platform.bus.port import Record
from orion.platform.bus.ring import Ring, ring_of
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.errors import Unavailable
from orion.platform.store.connection import GONE, PLAIN, Door, Pool, connect

CHANNEL = "orion_bus"
LOOK_S = 1.0  # a lost wake-up costs at most this
HINTS = 1_024


class PostgresBus(Following):
    """Reads the log as the writer role (services read all tenants; isolation is theirs to keep with
    the record's tenant).
    """

    def __init__(
        self,
        dsn: str,
        *,
        ring: Ring | None = None,
        topics: Mapping[str, Topic] | None = None,
        connections: int = 3,
    ) -> None:
        self.ring = ring or ring_of(dsn)
        self._topics = topics if topics is not None else catalogue()
        self._dsn = dsn
        self._pool = Pool(dsn, PLAIN, size=connections, name="bus")
        # The period in which a read ended, so that the next one need not look at the days before.
        self._periods: OrderedDict[tuple[str, int, int], str] = OrderedDict()
        self._watching: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, door: Door) -> AsyncIterator[PostgresBus]:
        """Opens as long as the block lasts."""
        bus = cls(door.dsn("orion_writer"))
        try:
            yield bus
        finally:
            await bus.close()

    def _topic(self, key: str) -> Topic:
        try:
            return self._topics[key]
        except KeyError:
            raise KeyError(f"{key} is not in contracts/topics.toml") from None

    async def read(
        self, topic: str, part: int, offset: int, limit: int = BATCH
    ) -> Sequence[Record]:
        """See the port."""
        held = self.ring.slice(topic, part, offset, limit)
        if held is not None:
            return held
        self._watch()
        table = "bus.log_hourly" if self._topic(topic).hourly else "bus.log"
        since = self._periods.get((topic, part, offset))
        bound = f" and period >= timestamptz '{since}'" if since else ""
        rows = await self._pool.fetch(
            "select offs, at, tenant, entity, seq, type, event_id, body, period"  # noqa: S608
            f" from {table} where topic = $1 and part = $2 and offs >= $3{bound}"
            " order by offs limit $4",
            topic, part, offset, limit,
        )  # fmt: skip
        if rows:
            self._periods[topic, part, rows[-1][0] + 1] = rows[-1][8].isoformat()
            if len(self._periods) > HINTS:
                self._periods.popitem(last=False)
        return [Record(topic, part, *row[:8]) for row in map(tuple, rows)]

    async def ends(self, topic: str) -> dict[int, int]:
        """See the port."""
        self._watch()
        ends = dict.fromkeys(range(self._topic(topic).partitions), 0)
        for row in await self._pool.fetch(
            "select part, next from bus.head where topic = $1", topic
        ):
            ends[row[0]] = row[1]
        return ends

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """See the port."""
        table = "bus.log_hourly" if self._topic(topic).hourly else "bus.log"
        rows = await self._pool.fetch(
            "select bus.offset_at($1::text::regclass, $2, $3, $4)", table, topic, part, at
        )
        return rows[0][0]

    async def wait_any(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """See the port."""
        self._watch()
        return await super().wait_any(positions, timeout_s)

    def behind(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """See the port."""
        self._watch()
        return super().behind(positions)

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._look(), name="bus.watch")

    async def _look(self) -> None:
        """Hears other processes' wake-ups, and looks at the heads now and then for those that were
        lost.
        """
        while True:
            connection = None
            try:
                connection = await connect(self._dsn, PLAIN, "bus listener")
                await connection.add_listener(CHANNEL, self._hear)
                while True:
                    for topic, part, end in await connection.fetch(
                        "select topic, part, next from bus.head"
                    ):
                        self.ring.hint(topic, part, end)
                    await asyncio.sleep(LOOK_S)
            except (Unavailable, *GONE):
                telemetry.log.warning("bus.listener_lost")
                await asyncio.sleep(0.25)
            finally:
                if connection is not None:
                    connection.terminate()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        for one in payload.split(";"):
            with suppress(ValueError):
                topic, part, end = one.split(",")
                self.ring.hint(topic, int(part), int(end))

    async def close(self) -> None:
        """Stops listening and closes the connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._pool.close()
