"""Stores. `Store` is what owners, publishers and consumers write with; `Database` gives a service's
queries.py sessions with SQL.

Adapters: postgres.py with database.py, memory.py (deterministic, for simulations and property
tests).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from orion.platform.bus.port import Record
from orion.platform.transact_words import Fact, Key, Snapshot

LETTER_TOPIC = "dlq.changes"
APPLIED, DUPLICATE, FAILED = "APPLIED", "DUPLICATE", "FAILED"


class StoreError(Exception):
    """A write that did not happen, for a reason the writer can act on."""


class Fenced(StoreError):
    """Somebody else owns a partition of the batch; nothing was written. `heads`: (topic, part)
    where it was seen.
    """

    def __init__(self, heads: Sequence[tuple[str, int]] = ()):
        self.heads = tuple(heads)
        super().__init__(f"fenced at {self.heads}")


class CheckpointMoved(StoreError):
    """Another copy of this consumer was there first; nothing was written."""


class KeyKnown(StoreError):
    """The inbox knows a key of the batch; nothing was written."""


class StateMoved(StoreError):
    """The row is not of the version that memory has; nothing was written."""


class EntityExists(StoreError):
    """An entity that memory took for new or absent is in the table; nothing was written."""


class DiskFull(StoreError):
    """The database has no room; nothing was written."""


class OutcomeUnknown(StoreError):
    """The connection was lost: the batch may or may not have been committed."""


class Refused(StoreError):
    """The database refused the batch for a reason that has no name here; nothing was written."""


@dataclass(slots=True)
class HeadMove:
    """A head the batch touches: `start` = `next` before, `end` = after; equal for a batch of
    refusals alone.
    """

    topic: str
    part: int
    start: int
    end: int
    epoch: int
    at: int


@dataclass(frozen=True, slots=True)
class Advance:
    """A log position moved by compare and set."""

    consumer: str
    topic: str
    part: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the inbox. `reply` None: only ask whether the key is known."""

    tenant: str
    part: int
    key: Key
    reply: bytes | None
    at: int


@dataclass(frozen=True, slots=True)
class Row:
    """An aggregate's row. `start` 0: new; otherwise the version it must have."""

    tenant: str
    id: str
    part: int
    start: int
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Line:
    """An event as it goes into the log. `root`: the aggregate, where that is not the entity."""

    record: Record
    root: str | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be processed, with everything needed to see why and to try again."""

    consumer: str
    record: Record
    error: str
    trace: str
    version: str
    attempts: int
    parked: bool  # True: it only follows an earlier letter of its entity
    status: str = "waiting"  # waiting | requested | replayed
    asked_by: str = ""  # who wanted the replay
    outcome: str = ""  # of the last replay: APPLIED, DUPLICATE, FAILED
    said: int = 0  # how many events tell of it
    service: str = ""  # whose consumer it is; known while it is made only


@dataclass(frozen=True, slots=True)
class LetterChange:
    """What happened to a letter, to be said in the log. No `outcome`: it was parked. `sequence` 0:
    nothing is said of it.
    """

    letter: DeadLetter
    sequence: int
    at: int
    outcome: str = ""
    by: str = ""
    error: str = ""


Say = Callable[[LetterChange], Fact]  # puts a change into words (and bytes); pure
# The whole of a new letter, for the topic of its service's dead letters; None: it has no such.
Keep = Callable[[LetterChange], Fact | None]


@dataclass(slots=True)
class Batch:
    """One write: all of it or nothing."""

    service: str
    tenants: set[str] = field(default_factory=set)
    heads: list[HeadMove] = field(default_factory=list)  # sorted by (topic, part)
    advances: list[Advance] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    absent: list[tuple[str, str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)  # in the order of offsets per head
    letters: list[DeadLetter] = field(default_factory=list)
    settled: list[DeadLetter] = field(default_factory=list)  # letters whose effect this is
    sequences: list[tuple[str, int, str, str, int, int]] = field(default_factory=list)
    hourly: bool = False  # publisher of a topic that is kept by the hour


@dataclass(frozen=True, slots=True)
class Head:
    """What a lease gives: the next offset, the epoch that proves it, and the partition's last
    instant.
    """

    topic: str
    part: int
    next: int
    epoch: int
    at: int


@dataclass(frozen=True, slots=True)
class Holder:
    """A line of the routing directory."""

    part: int
    address: str
    is_held: bool


class Sql(Protocol):
    """A transaction. Queries as asyncpg takes them ($1, $2 …)."""

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: Any) -> Any: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def execute(self, query: str, *args: Any) -> str: ...
    async def executemany(self, query: str, args: Any) -> None: ...


class Database(Protocol):
    """SQL sessions for queries and for tables that are not event-sourced."""

    def read(self, tenant: str) -> AbstractAsyncContextManager[Sql]:
        """Reads as `tenant` (and shared): the rows of others do not exist. Read-only, bounded to 2
        s. Raises Unavailable.
        """
        ...

    def write(self, service: str, tenants: Sequence[str]) -> AbstractAsyncContextManager[Sql]:
        """One transaction that may write rows of these tenants only. Raises Unavailable."""
        ...


class Leases(Protocol):
    """Who may write a partition, until when by the store's own clock."""

    async def ensure(self, topics: Sequence[str], parts: int) -> None: ...

    async def acquire(
        self,
        topics: Sequence[str],
        part: int,
        address: str,
        instance: str,
        *,
        lease_ms: int,
        succeed: bool,
    ) -> list[Head]:
        """The partition's heads with a new epoch, or [] when it is held. `succeed`: take it from a
        holder of the same address.
        """
        ...

    async def renew(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> set[int]:
        """The partitions that are still mine."""
        ...

    async def raise_epoch(
        self, topics: Sequence[str], parts: Sequence[int], instance: str, lease_ms: int
    ) -> list[Head]:
        """After OutcomeUnknown: waits for a batch still running, makes it void if it has not
        committed, and tells the truth.
        """
        ...

    async def release(self, topics: Sequence[str], parts: Sequence[int], instance: str) -> None: ...

    async def holders(self, topic: str) -> list[Holder]: ...

    async def announce(self, service: str, instance: str, address: str, ttl_ms: int) -> list[str]:
        """Says that this copy lives (ttl 0: leaves); returns the instances that do, sorted."""
        ...


class Store(Leases, Protocol):
    """The writing side. Raises the StoreErrors above, and Unavailable from reads."""

    async def put(self, batch: Batch) -> None: ...

    async def append(self, batch: Batch) -> None:
        """Writes events without state (Publisher)."""
        ...

    def tell(self, records: Sequence[Record]) -> None:
        """Tells readers, here and in other processes, that these records are committed. Never
        blocks.
        """
        ...

    async def live(self, service: str, part: int) -> list[tuple[str, str, Snapshot]]:
        """(tenant, id, snapshot) of a partition's live aggregates."""
        ...

    async def find(
        self, service: str, keys: Sequence[tuple[str, str]]
    ) -> list[tuple[str, str, Snapshot]]: ...

    async def ordinals(self, service: str, part: int) -> dict[str, int]:
        """The largest ordinal of each tenant."""
        ...

    async def replies(
        self, service: str, keys: Sequence[tuple[str, int, Key]]
    ) -> dict[tuple[str, int, str, str, str], tuple[bytes, bytes]]:
        """(hash, reply) by (tenant, part, subject, operation, key)."""
        ...

    async def prune_inbox(self, service: str, before: int, limit: int = 1000) -> int: ...

    async def sequences(self, topic: str) -> list[tuple[int, str, str, int, int]]:
        """(part, tenant, entity, seq, upto) as last kept."""
        ...

    async def positions(self, consumer: str) -> dict[tuple[str, int], int]: ...

    def effect(
        self,
        service: str,
        tenants: Sequence[str],
        advances: Sequence[Advance],
        *,
        letters: Sequence[DeadLetter] = (),
        settled: Sequence[DeadLetter] = (),
    ) -> AbstractAsyncContextManager[Sql]:
        """A consumer's transaction: what is written in it, its positions, new dead letters and
        letters now replayed (with their marks in the inbox); or nothing of all that. Raises
        CheckpointMoved (positions, or a letter that is not there to be replayed), Refused for data
        the database does not take, Unavailable.
        """
        ...

    async def bury(self, letters: Sequence[DeadLetter], advances: Sequence[Advance]) -> None: ...

    async def letters(
        self,
        *,
        consumer: str | None = None,
        tenant: str | None = None,
        status: str | None = None,
        limit: int = 500,
    ) -> list[DeadLetter]:
        """Dead letters in log order."""
        ...

    async def request_replay(self, letters: Sequence[DeadLetter], by: str = "") -> int:
        """Marks letters for their consumer to process again; says how many were not marked yet."""
        ...

    async def processed(self, consumer: str, letters: Sequence[DeadLetter]) -> set[tuple[str, str]]:
        """(tenant, event id) of those whose effect this consumer's inbox knows."""
        ...

    async def settle(self, letters: Sequence[DeadLetter], *, error: str = "") -> None:
        """The end of a replay without an effect: waiting again with one more attempt, or (no error)
        processed before. Only of letters that somebody asked for.
        """
        ...

    async def told(self, letter: DeadLetter) -> list[Record]:
        """What the log says of a letter, in order."""
        ...

    async def close(self) -> None: ...


Positions = Mapping[tuple[str, int], int]
