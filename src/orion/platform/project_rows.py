"""Row operations of a batch, folded so that a row is touched once per statement, as set-based SQL.

Every statement takes one parameter: the rows as JSON, which PostgreSQL reads by the table's own
column types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from orion.platform.project import Delete, RowOperation, Upsert

MODES = ("values", "add", "once", "least", "greatest")
_Form = tuple[tuple[str, ...], ...]  # the columns of an operation, by mode
_FORMS: dict[_Form, _Form] = {}
MAX_FORMS = 5_000
_Shape = tuple[str, bool, tuple[str, ...], tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class _Pending:
    """What one statement will do to one row."""

    key: Mapping[str, Any]
    is_delete: bool
    forms: tuple[_Form, ...] = ()  # of the operations folded in, each once
    row: dict[str, Any] = field(default_factory=dict)

    def takes(self, operation: Upsert, form: _Form) -> bool:
        """Folds the operation in, if it can be: each column keeps its mode, and is comparable here
        as it is there.
        """
        if self.is_delete:
            return False
        if form not in self.forms:
            forms = (*self.forms, form)
            if _modes(forms) is None:
                return False
            self.forms = forms
        row = self.row
        values, add, once, least, greatest = form
        if values:
            row.update(operation.values)
        if add:
            for column, value in operation.add.items():
                row[column] = row[column] + value if column in row else value
        if once:
            for column, value in operation.once.items():
                row.setdefault(column, value)
        if least:
            for column, value in operation.least.items():
                row[column] = _chosen(min, row.get(column), value)
        if greatest:
            for column, value in operation.greatest.items():
                row[column] = _chosen(max, row.get(column), value)
        return True

    def padded(self, counters: Iterable[str]) -> None:
        """Adds nothing to the counters that no operation was about, so that all rows have one
        shape.
        """
        form: _Form = ((), tuple(counters), (), (), ())
        if self.is_delete or _modes((*self.forms, form)) is None:
            return
        self.forms = (*self.forms, form)
        for column in form[1]:
            self.row.setdefault(column, 0)

    def shape(self, table: str) -> _Shape:
        """Rows of one shape go into one statement."""
        return _shape(table, self.is_delete, tuple(self.key), self.forms)


def _form(operation: Upsert) -> _Form:
    form = (
        tuple(operation.values), tuple(operation.add), tuple(operation.once),
        tuple(operation.least), tuple(operation.greatest),
    )  # fmt: skip
    # One object per form: comparing them is then comparing addresses.
    if len(_FORMS) > MAX_FORMS:
        _FORMS.clear()
    return _FORMS.setdefault(form, form)


@lru_cache(200)
def _values(columns: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Any]:
    """Gives a key's values in the order of its columns' names."""
    return itemgetter(*sorted(columns))


@lru_cache(5_000)
def _modes(forms: tuple[_Form, ...]) -> Mapping[str, str] | None:
    """The mode of each column; None where one has two."""
    found: dict[str, str] = {}
    for form in forms:
        for mode, columns in zip(MODES, form, strict=True):
            for column in columns:
                if found.setdefault(column, mode) != mode:
                    return None
    return found


@lru_cache(5_000)
def _shape(table: str, is_delete: bool, key: tuple[str, ...], forms: tuple[_Form, ...]) -> _Shape:
    return (table, is_delete, tuple(sorted(key)), tuple(sorted((_modes(forms) or {}).items())))


def _chosen(pick: Callable[[Any, Any], Any], old: Any, new: Any) -> Any:
    return new if old is None else old if new is None else pick(old, new)


def _are_numbers(operation: Upsert) -> bool:
    # Texts have another order in the database than here.
    for values in (operation.least, operation.greatest):
        for value in values.values():
            if value is None or (isinstance(value, (int, Decimal)) and not isinstance(value, bool)):
                continue
            return False
    return True


def statements(
    operations: Iterable[RowOperation],
    schema: str,
    rename: Mapping[str, str] | None = None,
    counters: Mapping[str, tuple[str, ...]] | None = None,
) -> list[tuple[str, str]]:
    """(SQL, JSON of the rows) in the order in which they must run. `counters`: by table, columns
    that every row has and that are only added to.
    """
    waves: list[dict[tuple[Any, ...], _Pending]] = []
    last: dict[tuple[Any, ...], int] = {}
    for operation in operations:
        key = operation.key
        name = (operation.table, _values(tuple(key))(key))
        wave = last.get(name, -1)
        if isinstance(operation, Upsert):
            form = _form(operation)
            can_fold = wave >= 0 and (not (form[3] or form[4]) or _are_numbers(operation))
            if can_fold and waves[wave][name].takes(operation, form):
                continue
            pending = _Pending(operation.key, False)
            pending.takes(operation, form)
        else:
            pending = _Pending(operation.key, True)
        wave += 1
        if wave == len(waves):
            waves.append({})
        waves[wave][name] = pending
        last[name] = wave
    return [s for wave in waves for s in _of_wave(wave, schema, rename or {}, counters or {})]


def _of_wave(
    wave: Mapping[tuple[Any, ...], _Pending],
    schema: str,
    rename: Mapping[str, str],
    counters: Mapping[str, tuple[str, ...]],
) -> list[tuple[str, str]]:
    groups: dict[_Shape, list[dict[str, Any]]] = {}
    for name, pending in wave.items():
        table = name[0]
        if table in counters:
            pending.padded(counters[table])
        shape = pending.shape(rename.get(table, table))
        groups.setdefault(shape, []).append({**pending.key, **pending.row})
    return [
        (_delete(schema, s) if s[1] else _upsert(schema, s), _json(rows))
        for s, rows in groups.items()
    ]


def _json(rows: list[dict[str, Any]]) -> str:
    for row in rows:
        if bytes in map(type, row.values()):
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
