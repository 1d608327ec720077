"""Running projections: a consumer whose effect is row operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from orion.platform.bus.abandoned import kept
from orion.platform.bus.port import Bus, Record
from orion.platform.bus.topics import Topic
from orion.platform.consume import Consumer, ConsumerLimits
from orion.platform.errors import InvalidMessage
from orion.platform.project import Projection, RowOperation
from orion.platform.project_rows import statements
from orion.platform.store.port import Sql, Store


def operations(projection: Projection, records: Sequence[Record]) -> list[RowOperation]:
    """All row operations of these records. `rows` is pure: where it fails once it always fails."""
    found: list[RowOperation] = []
    for record in kept(records):
        try:
            found.extend(projection.rows(record))
        except InvalidMessage:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise InvalidMessage(record.topic, record.part, record.offset, reason) from error
    for operation in found:
        if operation.table not in projection.tables or "tenant" not in operation.key:
            raise ValueError(
                f"{projection.name}: {operation.table} is not its own, or no tenant in the key"
            )
    return found


async def write(
    projection: Projection,
    records: Sequence[Record],
    sql: Any,
    rename: Mapping[str, str] | None = None,
) -> None:
    """Applies the records to the projection's tables (or to those they are renamed to)."""
    # A read model of many counters names those that every row has (never null): then its rows are
    # of one shape, and its statements stay few and prepared.
    counters = getattr(projection, "counters", None)
    found = operations(projection, records)
    for statement, rows in statements(found, projection.service, rename, counters):
        await sql.execute(statement, rows)


def projector(
    projection: Projection,
    *,
    bus: Bus,
    store: Store,
    version: str = "1",
    limits: ConsumerLimits | None = None,
    specs: Mapping[str, Topic] | None = None,
) -> Consumer:
    """The consumer that keeps the read model; `run` it."""

    async def handle(records: Sequence[Record], sql: Sql) -> None:
        await write(projection, records, sql)

    return Consumer(
        projection.name, projection.service, projection.topics, handle, bus, store, version,
        limits or ConsumerLimits(), specs,
    )  # fmt: skip
