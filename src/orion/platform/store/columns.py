"""A batch as columns: the order in which bus.append and a service's put take their arrays."""

from __future__ import annotations

from typing import Any

from orion.platform.store.port import Batch, Row


def _heads(batch: Batch) -> tuple[Any, ...]:
    h = batch.heads
    return (
        [x.topic for x in h],
        [x.part for x in h],
        [x.start for x in h],
        [x.end for x in h],
        [x.epoch for x in h],
        [x.at for x in h],
    )


_NONE: list[Any] = []  # where the function goes through the array; elsewhere null is quicker


def _advances(batch: Batch) -> tuple[Any, ...]:
    a = batch.advances
    if not a:
        return (_NONE,) * 5
    return (
        [x.consumer for x in a],
        [x.topic for x in a],
        [x.part for x in a],
        [x.start for x in a],
        [x.end for x in a],
    )


def _entries(batch: Batch) -> tuple[Any, ...]:
    e = batch.entries
    if not e:
        return (None,) * 8
    return (
        [x.tenant for x in e],
        [x.part for x in e],
        [x.key.subject for x in e],
        [x.key.operation for x in e],
        [x.key.key for x in e],
        [x.key.hash for x in e],
        [x.reply for x in e],
        [x.at for x in e],
    )


def _absent(batch: Batch) -> tuple[Any, ...]:
    if not batch.absent:
        return (None,) * 2
    return [x[0] for x in batch.absent], [x[1] for x in batch.absent]


def _new(rows: list[Row]) -> tuple[Any, ...]:
    if not rows:
        return (None,) * 10
    n = [r.snapshot for r in rows]
    return (
        [x.tenant for x in rows],
        [x.id for x in rows],
        [x.part for x in rows],
        [s.version for s in n],
        [s.schema for s in n],
        [s.live for s in n],
        [s.status for s in n],
        [s.deadline for s in n],
        [s.ordinal for s in n],
        [s.body for s in n],
    )


def _changed(rows: list[Row]) -> tuple[Any, ...]:
    if not rows:
        return (None,) * 9
    u = [r.snapshot for r in rows]
    return (
        [x.tenant for x in rows],
        [x.id for x in rows],
        [x.start for x in rows],
        [s.version for s in u],
        [s.schema for s in u],
        [s.live for s in u],
        [s.status for s in u],
        [s.deadline for s in u],
        [s.body for s in u],
    )


def _head_numbers(batch: Batch) -> list[int]:
    numbers = {(h.topic, h.part): i for i, h in enumerate(batch.heads, 1)}
    return [numbers[line.record.topic, line.record.part] for line in batch.lines]


def put_columns(batch: Batch) -> tuple[Any, ...]:
    """The arguments of <service>.put."""
    new = [r for r in batch.rows if r.start == 0]
    old = [r for r in batch.rows if r.start != 0]
    lines, r = batch.lines, [line.record for line in batch.lines]
    return (
        list(batch.tenants),
        *_heads(batch),
        *_advances(batch),
        *_entries(batch),
        *_absent(batch),
        *_new(new),
        *_changed(old),
        _head_numbers(batch),
        [x.offset for x in r],
        [x.at for x in r],
        [x.tenant for x in r],
        [line.root for line in lines],
        [x.entity for x in r],
        [x.seq for x in r],
        [x.type for x in r],
        [x.event_id for x in r],
        [x.body for x in r],
    )


def append_columns(batch: Batch) -> tuple[Any, ...]:
    """The arguments of bus.append."""
    r = [line.record for line in batch.lines]
    s = batch.sequences
    return (
        list(batch.tenants),
        *_heads(batch),
        "hour" if batch.hourly else "day",
        _head_numbers(batch),
        [x.offset for x in r],
        [x.at for x in r],
        [x.tenant for x in r],
        [x.entity for x in r],
        [x.seq for x in r],
        [x.type for x in r],
        [x.event_id for x in r],
        [x.body for x in r],
        *([x[n] for x in s] if s else None for n in range(6)),
    )
