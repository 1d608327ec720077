"""Tenure: which partitions this copy of a service owns. Acquires, renews, shares with other copies,
hands over, loses.

The lease row says who may write; the epoch, checked in every write, proves it. A tenure that is
wrong about itself for a moment does no harm: its writes are fenced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.ids import new_token
from orion.platform.store.port import Fenced, Head, Leases

LEASE_MS = 2_000
RENEW_MS = 500
ENSURE_S = 0.25
_HELD = telemetry.gauge("leases_held", "Partitions that this process owns", ("service",))
_ALL = telemetry.gauge("leases_all", "Partitions that the copies share", ("service",))
FIRST = 0  # who has this partition of what is not shared takes the others too


@dataclass(slots=True)
class Part:
    """A partition this copy owns: its heads by topic, and when the lease was proven (ticks)."""

    number: int
    heads: dict[str, Head]
    epoch: int
    proven: int
    at: int
    next: dict[str, int] = field(default_factory=dict)


@dataclass
class Tenure:
    """The lease keeping of one service in one process. `took` is awaited before a partition is
    used, `lost` is called when it is gone, `drain` is awaited before one is handed over.
    """

    service: str
    topics: Sequence[str]
    count: int
    store: Leases
    clock: Clock
    address: str
    took: Callable[[Part], Awaitable[None]]
    lost: Callable[[int], None]
    drain: Callable[[int], Awaitable[None]]
    share: bool = True  # False: one copy has all partitions, or none
    # Whether this copy can do the work: not shared, without it it has nothing; shared, until then
    # it leaves the work to the others, if there are any.
    may: Callable[[], bool] = lambda: True
    lease_ms: int = LEASE_MS
    renew_ms: int = RENEW_MS
    instance: str = field(default_factory=lambda: new_token(12))
    parts: dict[int, Part] = field(default_factory=dict)
    elsewhere: dict[int, str] = field(default_factory=dict)
    settled: asyncio.Event = field(default_factory=asyncio.Event)  # first look around is over
    _leaving: bool = False
    _grown: bool = False  # it could, once
    _fell: set[int] = field(default_factory=set)  # deposed here: no second succession

    def __post_init__(self) -> None:
        self.topics = sorted(self.topics)

    def is_proven(self, part: int) -> bool:
        """Whether the lease of a partition that is ours cannot have been taken yet."""
        mine = self.parts.get(part)
        return mine is not None and self.clock.ticks() - mine.proven < self.lease_ms * 1_000_000

    async def run(self) -> None:
        """Keeps the leases until cancelled; then hands them over."""
        renewing = asyncio.create_task(self._repeat(self.renew))
        try:
            await self._repeat(self.step)
        finally:
            renewing.cancel()
            with suppress(Exception, asyncio.CancelledError):
                async with asyncio.timeout(3):
                    await self.leave()

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        # Two rhythms: taking a partition loads it, which must not keep the other leases from being
        # renewed.
        while True:
            try:
                await step()
            except Unavailable:
                telemetry.log.warning("lease.store_unavailable", service=self.service)
            _HELD.labels(self.service).set(sum(map(self.is_proven, self.parts)))
            _ALL.labels(self.service).set(self.count)
            await asyncio.sleep(self.renew_ms / 1000)

    async def ensure(self) -> None:
        """Makes the heads that the leases lie in where there are none; waits for a store that is
        away.
        """
        while True:
            with suppress(Unavailable):
                return await self.store.ensure(self.topics, self.count)
            await asyncio.sleep(ENSURE_S)

    async def step(self) -> None:
        """One round: see who lives, give what is too much, take what is free."""
        if self._leaving:
            wanted = 0
            if self.share:
                await self.store.announce(self.service, self.instance, self.address, 0)
        else:
            wanted = await self._share() if self.share else self._all_or_nothing()
        while len(self.parts) > wanted:
            await self._hand_over(max(self.parts))
        if len(self.parts) < self.count:  # who has all of them has nothing to look for
            await self._take(wanted)
        self.settled.set()

    @property
    def is_owned(self) -> bool:
        """Whether every partition was somebody's at the last look around."""
        return self.settled.is_set() and all(
            n in self.parts or self.elsewhere.get(n) for n in range(self.count)
        )

    def _all_or_nothing(self) -> int:
        # Two copies that each hold some would wait for each other for ever.
        is_torn = bool(self.parts) and FIRST not in self.parts
        return self.count if self.may() and not is_torn else 0

    async def withdraw(self) -> None:
        """Hands over everything while the service still answers, and returns when others have all
        of it; `elsewhere` says who. The caller bounds it: perhaps nobody is there.
        """
        self._leaving = True
        while self.parts or not self.is_owned:  # noqa: ASYNC110 (the rounds go on)
            await asyncio.sleep(0.02)

    async def _share(self) -> int:
        """How many partitions are this copy's. Says that it lives: the others count it too."""
        self._grown = self._grown or self.may()
        if not self._grown:
            others = await self.store.announce(self.service, self.instance, self.address, 0)
            return 0 if others else self.count
        alive = await self.store.announce(
            self.service, self.instance, self.address, 4 * self.renew_ms
        )
        if len(alive) < 2:
            return self.count
        # The first ones by name take the odd partitions: all copies compute the same shares.
        each, odd = divmod(self.count, len(alive))
        place = alive.index(self.instance) if self.instance in alive else 0
        return each + (place < odd)

    async def renew(self) -> None:
        """Lengthens the leases; a partition that is no longer ours is given up.

        Each service by itself: one statement for all of a process would hold the heads of all
        while it waits for one's batch, and one that is stuck would cost all of them their leases.
        """
        if not self.parts:
            return
        asked = self.clock.ticks()
        numbers = sorted(self.parts)
        mine = await self.store.renew(self.topics, numbers, self.instance, self.lease_ms)
        for number in numbers:
            if number not in mine:
                self.depose(number)
            elif part := self.parts.get(number):
                part.proven = asked

    async def _take(self, wanted: int) -> None:
        # A copy that died is not alive any more, so its share is wanted by the others at the next
        # round.
        for holder in await self.store.holders(self.topics[0]):
            if holder.part in self.parts:
                continue
            self.elsewhere[holder.part] = holder.address if holder.is_held else ""
            if not self.share and holder.part != FIRST and FIRST not in self.parts:
                continue
            succeed = holder.address == self.address and holder.part not in self._fell
            if (holder.is_held and not succeed) or len(self.parts) >= wanted:
                continue
            await self._acquire(holder.part, succeed)

    async def _acquire(self, number: int, succeed: bool) -> None:
        asked = self.clock.ticks()
        heads = await self.store.acquire(
            self.topics,
            number,
            self.address,
            self.instance,
            lease_ms=self.lease_ms,
            succeed=succeed,
        )
        if not heads:
            return
        part = Part(
            number,
            {h.topic: h for h in heads},
            heads[0].epoch,
            asked,
            max(h.at for h in heads),
            {h.topic: h.next for h in heads},
        )
        self.parts[number] = part
        try:
            await self.took(part)
        except BaseException:
            self.parts.pop(number, None)
            with suppress(Exception):
                await self.store.release(self.topics, [number], self.instance)
            raise
        self._fell.discard(number)
        self.elsewhere.pop(number, None)
        telemetry.log.info("lease.acquired", service=self.service, part=number, epoch=part.epoch)

    async def _hand_over(self, number: int) -> None:
        await self.drain(number)
        self.parts.pop(number, None)
        self.lost(number)
        await self.store.release(self.topics, [number], self.instance)
        telemetry.log.info("lease.handed_over", service=self.service, part=number)

    def depose(self, number: int) -> None:
        """Somebody else owns it now."""
        if self.parts.pop(number, None) is not None:
            self._fell.add(number)
            self.lost(number)
            telemetry.log.warning("lease.deposed", service=self.service, part=number)

    async def leave(self) -> None:
        """Hands everything over, for a standby to take at once."""
        for number in list(self.parts):
            await self.drain(number)
        numbers = sorted(self.parts)
        for number in numbers:
            self.parts.pop(number, None)
            self.lost(number)
        await self.store.release(self.topics, numbers, self.instance)
        if self.share:
            await self.store.announce(self.service, self.instance, self.address, 0)

    async def reprove(self, numbers: Sequence[int]) -> dict[tuple[str, int], int]:
        """After a lost connection: raises the own epoch until the store answers. Returns `next` by
        head; raises Fenced where a partition is no longer ours (it is deposed then).
        """
        while True:
            asked = self.clock.ticks()
            try:
                heads = await self.store.raise_epoch(
                    self.topics, sorted(numbers), self.instance, self.lease_ms
                )
                break
            except Unavailable:
                await asyncio.sleep(0.05)
        found = {(h.topic, h.part): h for h in heads}
        missing = [(t, n) for n in numbers for t in self.topics if (t, n) not in found]
        for number in {n for _, n in missing}:
            self.depose(number)
        for number in numbers:
            if part := self.parts.get(number):
                part.epoch = found[self.topics[0], number].epoch
                part.proven = asked
        if missing:
            raise Fenced(missing)
        return {key: head.next for key, head in found.items()}
