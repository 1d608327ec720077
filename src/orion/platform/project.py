"""Projections: pure event → row operations, written with the checkpoint in one transaction,
rebuildable into a shadow and compared.

This file holds the agreement that services write against.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from orion.platform.bus.port import Record


@dataclass(frozen=True, slots=True)
class Upsert:
    """Inserts the row or changes these columns of it. `key` must hold tenant and the rest of the
    primary key.

    `add` increments (commutes: topics have no order among each other); `values` overwrite; `once`
    is set only on insert; `least`/`greatest` keep the smaller or larger of old and new.
    """

    table: str
    key: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)
    once: Mapping[str, Any] = field(default_factory=dict)
    least: Mapping[str, Any] = field(default_factory=dict)
    greatest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes the row with this key, if there is one."""

    table: str
    key: Mapping[str, Any]


RowOperation = Upsert | Delete


class Projection(Protocol):
    """A read model. `rows` is pure: the same record gives the same operations."""

    name: str  # the read model's name, "rm_rfq_blotter": also the consumer group
    service: str  # the PostgreSQL schema
    topics: tuple[str, ...]
    tables: tuple[str, ...]

    def rows(self, record: Record) -> Sequence[RowOperation]: ...


class Fold(Protocol):
    """A read model in the making, held in memory until it is written."""

    async def begin(self, sql: Any) -> None:
        """Looks at the live tables, before anything is taken."""
        ...

    def take(self, records: Sequence[Record]) -> None:
        """Records in order per partition; the first of a partition need not be its first ever."""
        ...

    async def write(self, sql: Any, tables: Mapping[str, str]) -> list[str]:
        """Fills the (empty) tables that stand for its own. What the log no longer tells is taken
        over from the live ones; returns what that was, in sentences.
        """
        ...


class Folded(Protocol):
    """A read model whose service keeps it by itself and saves it now and then, with its positions
    under `name`. It can be made anew from what the log still holds.
    """

    name: str
    service: str
    topics: tuple[str, ...]
    tables: tuple[str, ...]

    def fold(self) -> Fold: ...


ReadModel = Projection | Folded


def project(projection: Projection, *, bus: Any, store: Any, version: str = "1") -> Any:
    """The consumer that keeps this read model (orion.platform.consume.Consumer): await its `run`,
    ask its `ready`.
    """
    from orion.platform.project_run import projector  # it imports the words above

    return projector(projection, bus=bus, store=store, version=version)


def __getattr__(name: str) -> Any:
    # `Projector` builds on consumers, which build on the words above.
    if name == "Projector":
        from orion.platform.projector import Projector

        return Projector
    raise AttributeError(name)
