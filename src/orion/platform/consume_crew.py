"""The round of consumers: wait for news, let a little more come together, apply it.

Consumers of one service that hear the same topics go as a crew: one look at the log and one
transaction for all of them, each with its own positions in it. Whoever has trouble of its own (a
record that fails, parked entities, being behind) goes by itself until it has caught up, and the
others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orion.platform import telemetry
from orion.platform.bus.abandoned import kept
from orion.platform.errors import Unavailable
from orion.platform.store.port import CheckpointMoved, DiskFull, OutcomeUnknown

if TYPE_CHECKING:
    from orion.platform.bus.port import Record
    from orion.platform.consume import Consumer


class Crew:
    """Consumers of one service over the same topics, bus, store and limits."""

    def __init__(self, members: Sequence[Consumer]) -> None:
        self._members = tuple(members)
        first = self._members[0]
        for other in self._members:
            if (other.service, tuple(other.topics)) != (first.service, tuple(first.topics)):
                raise ValueError(f"{other.group} does not hear what {first.group} hears")
        self._bus, self._store = first.bus, first.store
        self._service, self._limits = first.service, first.limits
        self._began = 0.0
        self._last = 0  # records that waited at the beginning of the last round

    async def run(self) -> None:
        """Consumes until cancelled."""
        loop = asyncio.get_running_loop()
        await self._load()
        while True:
            try:
                for member in self._members:
                    await member.look(loop.time())
                if all(m.stopped for m in self._members):
                    await asyncio.sleep(self._limits.look_s)
                    continue
                await self._round(loop)
            except (CheckpointMoved, OutcomeUnknown):
                # Another copy was first, or nobody knows: the position tells.
                await asyncio.sleep(self._limits.standby_s)
                await self._load()
            except (Unavailable, DiskFull) as error:
                groups = [m.group for m in self._members]
                telemetry.log.warning("consumer.waits", groups=groups, error=str(error))
                await asyncio.sleep(0.5)
                await self._load()

    async def _load(self) -> None:
        for member in self._members:
            await member.load()

    async def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        working = [m for m in self._members if not m.stopped]
        heads = _hindmost([m.free(now) for m in working])
        if not self._bus.behind(heads):
            for member in working:
                member.nothing_waits()
            if not await self._bus.wait_any(heads, min(m.patience(now) for m in working)):
                return
        # At once after a pause; what comes thick and fast goes together, up to a full batch.
        left = self._began + self._limits.pace_s(self._last) - loop.time()
        waiting = sum(self._bus.behind(heads).values())
        if left > 0 and waiting < self._limits.batch:
            await asyncio.sleep(left)
            waiting = sum(self._bus.behind(heads).values())
        self._began = now = loop.time()
        self._last = waiting
        plain = [m for m in working if m.is_plain()]
        for member in working:
            if member not in plain:
                await member.step(now)
        if plain:
            await self._together(plain, now)

    async def _together(self, plain: Sequence[Consumer], now: float) -> None:
        front = max(plain, key=lambda m: sum(m.positions.values()))
        crew = [front]
        for member in plain:
            if member is front:
                continue
            if member.positions != front.positions:
                await member.step(now, front.positions)
            if member.is_plain() and member.positions == front.positions:
                crew.append(member)
        records = await front.gather(front.positions)
        if not records or (len(crew) > 1 and await self._applied(crew, records)):
            return
        for member in crew:  # each for itself: the one that fails is the one to blame
            await member.apply(records)

    async def _applied(self, crew: Sequence[Consumer], records: Sequence[Record]) -> bool:
        """True: done, all together. False: nothing was written, something fails in one of them."""
        try:
            await self._effect(crew, records)
        except (CheckpointMoved, OutcomeUnknown, Unavailable, DiskFull):
            raise
        except Exception as error:
            groups = [m.group for m in crew]
            telemetry.log.debug("consumer.crew_parts", groups=groups, error=str(error))
            return False
        return True

    async def _effect(self, crew: Sequence[Consumer], records: Sequence[Record]) -> None:
        ends = ends_of(records)
        tenants = sorted({r.tenant for r in records})
        advances = [a for member in crew for a in member.advances(ends)]
        async with self._store.effect(self._service, tenants, advances) as sql:
            heard = kept(records)
            for member in crew if heard else ():
                await member.handle(heard, sql)
        for member in crew:
            member.passed(heard, ends)


def ends_of(records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """Where each partition stands behind these records, which are in order."""
    return {(record.topic, record.part): record.offset + 1 for record in records}


def _hindmost(all_: Sequence[Mapping[tuple[str, int], int]]) -> Mapping[tuple[str, int], int]:
    """Per partition the position of the one that is furthest behind."""
    if len(all_) == 1:
        return all_[0]
    least: dict[tuple[str, int], int] = {}
    for positions in all_:
        for head, at in positions.items():
            least[head] = min(at, least.get(head, at))
    return least
