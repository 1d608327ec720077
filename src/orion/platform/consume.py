"""Consumers: at-least-once in, exactly-once effect. The effect and the log position are one
transaction.

Up to 500 records or 20 ms go into one effect, of any partitions of the group; consume_crew.py has
the round, in which groups that hear the same share their effects. What fails is tried alone: an
invalid record goes to the dead letters at once, any other failure is retried with growing pauses
first, while the other partitions go on. A dead letter parks its entity: later records of it follow
it there, and a replay brings them back in order through the same handler.
"""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from orion.platform import telemetry
from orion.platform.bus.abandoned import is_kept
from orion.platform.bus.port import Bus, Record
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.consume_crew import Crew, ends_of
from orion.platform.errors import InvalidMessage, Unavailable
from orion.platform.store.letters import OPEN
from orion.platform.store.port import (
    Advance,
    CheckpointMoved,
    DeadLetter,
    DiskFull,
    OutcomeUnknown,
    Refused,
    Sql,
    Store,
)

Handle = Callable[[Sequence[Record], Sql], Awaitable[None]]
INVALID = (InvalidMessage, msgspec.MsgspecError, Refused, UnicodeError)

_APPLIED = telemetry.counter("consumed_total", "Records applied", ("group", "topic"))
_LAG = telemetry.gauge("consumer_lag", "Records not yet applied", ("group", "topic"))
_STOPPED = telemetry.gauge(
    "consumer_stopped", "1: stopped at its limit of dead letters", ("group",)
)


@dataclass(frozen=True)
class ConsumerLimits:
    """The named bounds of a consumer."""

    batch: int = 500
    piece: int = 250  # of one partition at least, when so much waits: turning to another costs
    pace_ms: float = 20.0  # between the beginnings of two rounds
    pace_per_record_ms: float = 0.0  # more for each record of the last one: busy, few and full
    longest_pace_ms: float = 20.0
    retries_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0)
    dead_letters_per_tenant: int = 100  # open ones; beyond it the consumer stops and alerts
    standby_s: float = 1.0  # after another copy was first
    look_s: float = 1.0  # for replays, lag and the limit

    def pace_s(self, records: int) -> float:
        """The pace after a round of so many records."""
        busy = min(self.pace_ms + self.pace_per_record_ms * records, self.longest_pace_ms)
        return max(self.pace_ms, busy) / 1000


@dataclass(slots=True)
class _Trouble:
    """A partition whose next record fails: not before `until`."""

    offset: int
    attempts: int
    until: float


@dataclass
class Consumer:
    """One group over its topics. `run` works until cancelled; several copies may run, only one
    makes progress.
    """

    group: str
    service: str
    topics: Sequence[str]
    handle: Handle
    bus: Bus
    store: Store
    version: str = "1"
    limits: ConsumerLimits = field(default_factory=ConsumerLimits)
    specs: Mapping[str, Topic] | None = None

    def __post_init__(self) -> None:
        self._cursor: dict[tuple[str, int], int] = {}
        self._parked: dict[int, set[tuple[str, str, str]]] = {}  # part → (topic, tenant, entity)
        self._trouble: dict[tuple[str, int], _Trouble] = {}
        self._turn = itertools.count(1)
        self._turns: dict[tuple[str, int], int] = {}  # when a partition was last read from
        self._open_letters = 0
        self._looked = -1e9
        self.stopped: str | None = None
        self.caught_up = False

    @property
    def positions(self) -> Mapping[tuple[str, int], int]:
        """The next offset of each partition; empty before they are read."""
        return self._cursor

    def ready(self) -> str | None:
        """None, or why its effects are not up to date."""
        if self.stopped:
            return f"{self.group}: {self.stopped}"
        return None if self.caught_up else f"{self.group}: catching up"

    async def run(self) -> None:
        """Consumes until cancelled."""
        await Crew((self,)).run()

    # ---- what the crew asks for

    def is_plain(self) -> bool:
        """Nothing is parked, nothing fails: this group takes whatever comes."""
        return not (self.stopped or self._trouble or any(self._parked.values()))

    def free(self, now: float) -> dict[tuple[str, int], int]:
        """The positions from which it may go on now."""
        if not self._trouble:
            return self._cursor
        return {h: at for h, at in self._cursor.items() if not self._is_blocked(h, now)}

    def patience(self, now: float) -> float:
        """How long it may wait for news before something of its own is due."""
        due = (max(trouble.until - now, 0.001) for trouble in self._trouble.values())
        return min((self.limits.look_s, *due))

    def nothing_waits(self) -> None:
        """All that may be applied is applied."""
        self.caught_up = not self._trouble

    async def step(self, now: float, upto: Mapping[tuple[str, int], int] | None = None) -> None:
        """Applies what there is, by itself; not beyond `upto`."""
        records = await self.gather(self.free(now), upto)
        if records:
            await self.apply(records)

    def _is_blocked(self, head: tuple[str, int], now: float) -> bool:
        trouble = self._trouble.get(head)
        return trouble is not None and trouble.until > now

    async def gather(
        self,
        free: Mapping[tuple[str, int], int],
        upto: Mapping[tuple[str, int], int] | None = None,
    ) -> list[Record]:
        """Up to a batch, in order within each partition; who waited longest is the first."""
        behind = self.bus.behind(free)
        records: list[Record] = []
        share = max(self.limits.batch // max(len(behind), 1), self.limits.piece)
        for topic, part in sorted(behind, key=lambda head: self._turns.get(head, 0)):
            offset = free[topic, part]
            limit = min(share, self.limits.batch - len(records))
            if limit <= 0:
                break
            if (topic, part) in self._trouble:
                limit = 1
            if upto is not None:
                limit = min(limit, upto[topic, part] - offset)
            if limit > 0:
                records += await self.bus.read(topic, part, offset, limit)
            self._turns[topic, part] = next(self._turn)
        return records

    async def apply(self, records: Sequence[Record]) -> None:
        """Effect and positions; of several records one by one when they fail together."""
        try:
            await self._effect(records)
        except (CheckpointMoved, OutcomeUnknown, Unavailable, DiskFull):
            raise
        except Exception as error:
            if len(records) > 1:
                for record in records:  # the one that fails alone is the one to blame
                    if self.stopped:
                        return
                    head = (record.topic, record.part)
                    if self._cursor[head] == record.offset and not self._is_blocked(
                        head, asyncio.get_running_loop().time()
                    ):
                        await self.apply([record])
                return
            await self._failed(records[0], error)

    async def _effect(self, records: Sequence[Record]) -> None:
        good = [r for r in records if is_kept(r) and not self._is_parked(r)]
        letters = [
            self._letter(r, "an earlier event of this entity is a dead letter", "", 0, parked=True)
            for r in records
            if self._is_parked(r)
        ]
        ends = ends_of(records)
        tenants = {r.tenant for r in records}
        async with self.store.effect(
            self.service, sorted(tenants), self.advances(ends), letters=letters
        ) as sql:
            if good:
                await self.handle(good, sql)
        self.passed(good, ends)
        if letters:
            await self._check_limit(await self._letters())

    def advances(self, ends: Mapping[tuple[str, int], int]) -> list[Advance]:
        """How its positions move when it has applied the records before `ends`."""
        return [Advance(self.group, t, p, self._cursor[t, p], end) for (t, p), end in ends.items()]

    def passed(self, good: Sequence[Record], ends: Mapping[tuple[str, int], int]) -> None:
        """After the commit."""
        self._cursor.update(ends)
        for head in ends:
            self._trouble.pop(head, None)
        for topic, count in Counter(r.topic for r in good).items():
            _APPLIED.labels(self.group, topic).inc(count)
        telemetry.record_spans(f"consume {self.group}", good)

    async def _failed(self, record: Record, error: Exception) -> None:
        head = (record.topic, record.part)
        trouble = self._trouble.get(head)
        attempts = 1 + (trouble.attempts if trouble and trouble.offset == record.offset else 0)
        waits = self.limits.retries_s
        if not isinstance(error, INVALID) and attempts <= len(waits):
            until = asyncio.get_running_loop().time() + waits[attempts - 1]
            self._trouble[head] = _Trouble(record.offset, attempts, until)
            telemetry.log.warning(
                "consumer.retries", group=self.group, topic=record.topic, part=record.part,
                offset=record.offset, tenant=record.tenant, attempts=attempts, error=str(error),
            )  # fmt: skip
            return
        trace = "".join(traceback.format_exception(error, limit=-6))
        text = f"{type(error).__name__}: {error}"
        letter = self._letter(record, text, trace, attempts, parked=False)
        advance = Advance(self.group, record.topic, record.part, record.offset, record.offset + 1)
        await self.store.bury([letter], [advance])
        self._cursor[head] = record.offset + 1
        self._trouble.pop(head, None)
        self._parked.setdefault(record.part, set()).add(
            (record.topic, record.tenant, record.entity)
        )
        telemetry.log.error(
            "consumer.dead_letter", group=self.group, topic=record.topic, part=record.part,
            offset=record.offset, tenant=record.tenant, entity=record.entity, error=text,
        )  # fmt: skip
        await self._check_limit(await self._letters())

    def _letter(
        self, record: Record, error: str, trace: str, attempts: int, *, parked: bool
    ) -> DeadLetter:
        return DeadLetter(
            self.group, record, error, trace, self.version, attempts, parked, service=self.service
        )

    def _is_parked(self, record: Record) -> bool:
        parked = self._parked.get(record.part)
        return bool(parked) and (record.topic, record.tenant, record.entity) in parked

    # ---- what is looked at now and then

    async def look(self, now: float) -> None:
        """At most once in `look_s`: replays, the limit of dead letters, the lag."""
        if now - self._looked <= self.limits.look_s:
            return
        self._looked = now
        letters = await self._letters() if self._open_letters else []
        if any(x.status == "requested" for x in letters):
            await self._replay(letters)
            letters = await self._letters()
        await self._check_limit(letters)
        behind = self.bus.behind(self._cursor)
        for topic in self.topics:
            lag = sum(count for (name, _), count in behind.items() if name == topic)
            _LAG.labels(self.group, topic).set(lag)

    async def _letters(self) -> list[DeadLetter]:
        letters = await self.store.letters(consumer=self.group, limit=100_000)
        return [x for x in letters if x.status != "replayed"]

    async def _check_limit(self, letters: Sequence[DeadLetter]) -> None:
        self._open_letters = len(letters)
        OPEN.labels(self.group).set(len(letters))
        tenants: dict[str, int] = {}
        for letter in letters:
            tenants[letter.record.tenant] = tenants.get(letter.record.tenant, 0) + 1
        over = [t for t, n in tenants.items() if n >= self.limits.dead_letters_per_tenant]
        was = self.stopped
        self.stopped = (
            f"{tenants[over[0]]} dead letters of tenant {over[0]} wait; replay them first"
            if over
            else None
        )
        _STOPPED.labels(self.group).set(1 if over else 0)
        if self.stopped and not was:
            telemetry.log.error("consumer.stopped", group=self.group, reason=self.stopped)

    async def _replay(self, letters: Sequence[DeadLetter]) -> None:
        """In log order per entity, each in a transaction of its own with its mark in the inbox; an
        entity whose letter fails again stays parked.
        """
        stuck: set[tuple[str, str, str]] = set()
        wanted = [x for x in letters if x.status == "requested"]
        known = await self.store.processed(self.group, wanted)
        for letter in letters:
            record = letter.record
            name = (record.topic, record.tenant, record.entity)
            if name in stuck:
                continue
            if letter.status != "requested":
                stuck.add(
                    name
                )  # an earlier letter was not asked for: the later ones would overtake it
                continue
            if (record.tenant, record.event_id) in known:
                await self.store.settle([letter])  # its effect is there: not a second time
                continue
            try:
                async with self.store.effect(
                    self.service, [record.tenant], (), settled=[letter]
                ) as sql:
                    await self.handle([record], sql)
            except (CheckpointMoved, OutcomeUnknown, Unavailable, DiskFull):
                raise
            except Exception as error:
                stuck.add(name)
                await self.store.settle([letter], error=f"{type(error).__name__}: {error}")
        await self._load_parked()

    # ---- start

    async def load(self) -> None:
        """Begins where the positions say. Waits while the database is away."""
        while True:
            with suppress(Unavailable):
                await self._load()
                return
            await asyncio.sleep(0.25)

    async def _load(self) -> None:
        positions = await self.store.positions(self.group)
        specs = self.specs if self.specs is not None else catalogue()
        self._cursor = {
            (topic, part): positions.get((topic, part), 0)
            for topic in self.topics
            for part in range(specs[topic].partitions)
        }
        for topic in self.topics:
            await self.bus.ends(topic)
        await self._load_parked()

    async def _load_parked(self) -> None:
        self._parked = {}
        letters = await self._letters()
        self._open_letters = len(letters)
        for letter in letters:
            record = letter.record
            names = self._parked.setdefault(record.part, set())
            names.add((record.topic, record.tenant, record.entity))


async def consume(
    *,
    group: str,
    service: str,
    topics: Sequence[str],
    handle: Handle,
    bus: Bus,
    store: Store,
    version: str = "1",
    limits: ConsumerLimits | None = None,
) -> None:
    """Consumes until cancelled: `handle(records, sql)` writes in the transaction that also moves
    the positions.
    """
    await Consumer(
        group, service, topics, handle, bus, store, version, limits or ConsumerLimits()
    ).run()
