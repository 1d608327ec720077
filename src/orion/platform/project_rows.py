"""Row operations of a batch, folded so that a row is touched once per statement, as set-based SQL.

Every statement takes one parameter: the rows as JSON, which PostgreSQL reads by the table's own
column types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from orion.platform.project import Delete, RowOperation, Upsert

MODES = ("values", "add", "once", "least", "greatest")
_Shape = tuple[str, bool, tuple[str, ...], tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Pending:
    """What one statement will do to one row."""

    key: Mapping[str, Any]
    is_delete: bool
    modes: dict[str, str] = field(default_factory=dict)
    row: dict[str, Any] = field(default_factory=dict)

    def takes(self, operation: Upsert) -> bool:
        """Whether the operation can be folded in: each column keeps its mode, and is comparable
        here as it is there.
        """
        if self.is_delete:
            return False
        for mode in MODES:
            for column, value in getattr(operation, mode).items():
                if self.modes.get(column, mode) != mode:
                    return False
                if mode in ("least", "greatest") and not _is_number(value):
                    return False
        return True

    def fold(self, operation: Upsert) -> None:
        """Adds the operation to what is pending."""
        for mode in MODES:
            for column, value in getattr(operation, mode).items():
                old = self.row.get(column)
                if column not in self.modes:
                    self.row[column] = value
                elif mode == "add":
                    self.row[column] = old + value
                elif mode == "least":
                    self.row[column] = (
                        value if old is None else old if value is None else min(old, value)
                    )
                elif mode == "greatest":
                    self.row[column] = (
                        value if old is None else old if value is None else max(old, value)
                    )
                elif mode == "values":
                    self.row[column] = value
                self.modes[column] = mode

    def shape(self, table: str) -> _Shape:
        """Rows of one shape go into one statement."""
        columns = tuple(sorted(self.modes.items()))
        return (table, self.is_delete, tuple(sorted(self.key)), columns)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, Decimal)) and not isinstance(value, bool))


def statements(
    operations: Iterable[RowOperation], schema: str, rename: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """(SQL, JSON of the rows) in the order in which they must run."""
    waves: list[dict[tuple[str, tuple[Any, ...]], _Pending]] = []
    last: dict[tuple[str, tuple[Any, ...]], int] = {}
    for operation in operations:
        name = (operation.table, tuple(sorted(operation.key.items())))
        wave = last.get(name, -1)
        if isinstance(operation, Upsert):
            if wave >= 0 and waves[wave][name].takes(operation):
                waves[wave][name].fold(operation)
                continue
            pending = _Pending(operation.key, False)
            pending.fold(operation)
        else:
            pending = _Pending(operation.key, True)
        wave += 1
        if wave == len(waves):
            waves.append({})
        waves[wave][name] = pending
        last[name] = wave
    return [s for wave in waves for s in _of_wave(wave, schema, rename or {})]


def _of_wave(
    wave: Mapping[tuple[str, tuple[Any, ...]], _Pending], schema: str, rename: Mapping[str, str]
) -> list[tuple[str, str]]:
    groups: dict[_Shape, list[dict[str, Any]]] = {}
    for (table, _), pending in wave.items():
        shape = pending.shape(rename.get(table, table))
        groups.setdefault(shape, []).append({**pending.key, **pending.row})
    return [
        (_delete(schema, s) if s[1] else _upsert(schema, s), _json(rows))
        for s, rows in groups.items()
    ]


def _json(rows: list[dict[str, Any]]) -> str:
    for row in rows:
        for column, value in row.items():
            if isinstance(value, bytes):
                row[column] = "\\x" + value.hex()
    return msgspec.json.encode(rows).decode()


def quoted(name: str) -> str:
    """An identifier as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


@lru_cache(2_000)
def _upsert(schema: str, shape: _Shape) -> str:
    table, _, key, columns = shape
    target = f"{quoted(schema)}.{quoted(table)}"
    names = [quoted(c) for c in (*key, *(c for c, _ in columns))]
    sets = []
    for column, mode in columns:
        c = quoted(column)
        match mode:
            case "values":
                sets.append(f"{c} = excluded.{c}")
            case "add":
                sets.append(f"{c} = coalesce(t.{c}, 0) + excluded.{c}")
            case "least" | "greatest":
                sets.append(f"{c} = {mode}(t.{c}, excluded.{c})")
            case _:
                continue
    action = f"update set {', '.join(sets)}" if sets else "nothing"
    return (
        f"insert into {target} as t ({', '.join(names)}) select {', '.join(names)}"  # noqa: S608
        f" from json_populate_recordset(null::{target}, $1::json)"
        f" on conflict ({', '.join(quoted(k) for k in key)}) do {action}"
    )


@lru_cache(200)
def _delete(schema: str, shape: _Shape) -> str:
    table, _, key, _ = shape
    target = f"{quoted(schema)}.{quoted(table)}"
    match_ = " and ".join(f"t.{quoted(k)} = k.{quoted(k)}" for k in key)
    return (
        f"delete from {target} t using json_populate_recordset(null::{target}, $1::json) k"  # noqa: S608
        f" where {match_}"
    )


__all__ = ["Delete", "quoted", "statements"]
