"""The agreement that services write against: a service supplies an `Aggregate`; the platform knows
bytes and rows.

Imported through orion.platform.transact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from orion.platform.bus.port import Record

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Key:
    """The idempotency key of a command. Same key and hash: the stored reply. Same key, other hash:
    API-102.
    """

    subject: str
    operation: str  # "POST /api/v1/rfqs" or "accept <rfqId>"
    key: str
    hash: bytes


@dataclass(frozen=True, slots=True)
class Context:
    """What the owner adds to a command at the moment of decision."""

    at: int  # the owner's clock in microseconds, never below the partition's last
    tenant: str
    part: int
    ordinal: int  # 1, 2, 3 … per (tenant, part): the number a new entity would get


@dataclass(frozen=True, slots=True)
class Fact:
    """An event to be written. `topic` is a key of topics.toml; its partition is the command's."""

    topic: str
    entity_id: str
    sequence: int
    event_type: str
    event_id: str
    body: bytes  # JSON of the whole envelope


@dataclass(frozen=True, slots=True)
class Decided(Generic[S]):
    """The outcome of a decision. `state` None: nothing changes. A refusal has a reply and usually
    no facts.
    """

    state: S | None
    facts: tuple[Fact, ...] = ()
    reply: Any = None  # handed to the caller after the commit
    stored: bytes | None = (
        # the reply as kept under the key; None: this outcome is not stored (retry decides again)
        None
    )


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An entity as its row: what `dump` gives and `load` takes."""

    version: int  # grows by one with each fact: revision, not the public version
    live: bool  # False: ended, leaves memory, loaded on demand
    status: str
    deadline: int | None  # the next instant at which time itself acts on it
    ordinal: int
    body: bytes
    schema: int = 1


class Aggregate(Protocol[S]):
    """What a service gives the owner. All methods are pure and quick (no await): they run on the
    hot path.
    """

    service: str  # also the PostgreSQL schema
    topics: tuple[str, ...]  # topics it writes, each with the same number of partitions
    schema: int

    def decide(self, state: S | None, command: Any, context: Context) -> Decided[S]:
        """Decides. Never raises for a refusal. The same command on a state that has seen it gives
        no new facts.
        """
        ...

    def dump(self, state: S) -> Snapshot: ...

    def load(self, snapshot: Snapshot) -> S:
        """Reads any schema up to `schema` (upcasts)."""
        ...

    def on_deadline(self, state: S, deadline: int) -> Any:
        """The command that a due deadline stands for."""
        ...

    def reply(self, stored: bytes) -> Any:
        """The reply of a stored outcome."""
        ...

    def warm(self, part: int, records: Any) -> None:
        """Called once per partition it acquires, before any command, with the last minutes of its
        own records (rate windows live there).
        """
        ...


@dataclass(frozen=True, slots=True)
class Commit(Generic[S]):
    """What one write made true: the new states (tenant, entity, state) and its records, in log
    order.
    """

    states: tuple[tuple[str, str, S], ...]
    records: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """Another service's topic that an owner hears. Partition n of it belongs to partition n of the
    owner.

    `to_command` is pure: a record gives (entity, command), or None when it is of no concern. It
    raises InvalidMessage for a record that can never be understood.
    """

    topic: str
    group: str
    to_command: Callable[[Record], tuple[str, Any] | None]
    types: frozenset[str] | None = None  # all others are of no concern, without a look; None: any
