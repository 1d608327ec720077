"""Core dataclasses ⇄ structs as they travel: camelCase names, decimals as plain strings, instants
as ISO 8601 UTC.

The struct of a dataclass is made from the dataclass itself, once. Instants keep their microseconds
on the wire (nothing is lost when a history is replayed); who needs milliseconds cuts them.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, lru_cache
from operator import attrgetter
from typing import Annotated, Any, Optional, Union

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)

# Resolved annotations turn the alias Instant into int; its name in the source tells them apart.
_INSTANT = ("Instant", "Instant | None")


def moment(at: int) -> datetime:
    """The instant as an aware datetime."""
    return EPOCH + timedelta(microseconds=at)


def instant(at: datetime) -> int:
    """The datetime as microseconds since the epoch. Raises ValueError without a zone."""
    if at.tzinfo is None:
        raise ValueError("a time needs its zone")
    return (at - EPOCH) // _MICRO


def iso_micros(at: int) -> str:
    """The instant as ISO 8601 UTC with microseconds: "2026-02-09T12:34:56.789123Z"."""
    second, micros = divmod(at, 1_000_000)
    return f"{whole_second(second)}.{micros:06d}Z"


@lru_cache(maxsize=256)
def whole_second(second: int) -> str:
    """The second as ISO 8601 without its zone. Kept, because events come many to the second."""
    return moment(second * 1_000_000).isoformat(timespec="seconds").removesuffix("+00:00")


def _plain(value: Decimal) -> str:
    text = str(value)
    return format(value, "f") if "E" in text else text


Convert = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How one dataclass travels. `struct` is its type on the wire."""

    core: type
    struct: type[msgspec.Struct]
    read_core: Convert              # the core value's fields, in the struct's order
    read_struct: Convert            # the struct's fields, in the dataclass's order
    out: tuple[tuple[int, Convert], ...]
    back: tuple[tuple[int, Convert], ...]

    def to_wire(self, value: Any) -> msgspec.Struct:
        """The struct of a core value."""
        fields = list(self.read_core(value))
        for index, convert in self.out:
            if fields[index] is not None:
                fields[index] = convert(fields[index])
        return self.struct(*fields)

    def to_core(self, struct: Any) -> Any:
        """The core value of a decoded struct. Raises ValueError for a number that is none."""
        fields = list(self.read_struct(struct))
        for index, convert in self.back:
            if fields[index] is not None:
                fields[index] = convert(fields[index])
        return self.core(*fields)


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: Any
    to_wire: Convert | None
    to_core: Convert | None
    default: Any                    # msgspec.NODEFAULT: required


@cache
def shape_of(core: type) -> Shape:
    """The shape of a dataclass of core. Raises TypeError for a field that has no form on the wire.

    """
    hints = typing.get_type_hints(core)
    members = [_member(f, hints[f.name]) for f in dataclasses.fields(core)]
    # Positional structs want required fields first; the JSON object has no order that matters.
    ordered = sorted(members, key=lambda m: m.default is not msgspec.NODEFAULT)
    struct = msgspec.defstruct(
        core.__name__,
        [(m.name, m.kind) if m.default is msgspec.NODEFAULT else (m.name, m.kind, m.default)
         for m in ordered],
        rename="camel", frozen=True, gc=False, module=core.__module__,
    )
    return Shape(
        core, struct, _reader(ordered), _reader(members),
        tuple((i, m.to_wire) for i, m in enumerate(ordered) if m.to_wire),
        tuple((i, m.to_core) for i, m in enumerate(members) if m.to_core),
    )


def _reader(members: list[_Member]) -> Convert:
    names = [m.name for m in members]
    if len(names) == 1:
        get = attrgetter(names[0])
        return lambda value: (get(value),)
    return attrgetter(*names)


def _member(field: dataclasses.Field[Any], hint: Any) -> _Member:
    if str(field.type) in _INSTANT:
        nullable = str(field.type) != "Instant"
        kind: Any = Optional[_MOMENT] if nullable else _MOMENT  # noqa: UP045
        to_wire: Convert | None = iso_micros
        to_core: Convert | None = instant
    else:
        kind, to_wire, to_core = _kind(hint)
    default: Any = msgspec.NODEFAULT
    if field.default is not dataclasses.MISSING:
        default = field.default
        if default is not None and to_wire is not None:
            default = to_wire(default)
    elif type(None) in typing.get_args(kind):
        default = None      # absent and null say the same
    return _Member(field.name, kind, to_wire, to_core, default)


def _travels_as_it_is(core: type) -> bool:
    """True when neither a name nor a value changes: msgspec then reads and writes the dataclass."""
    fields, hints = dataclasses.fields(core), typing.get_type_hints(core)
    return all(
        "_" not in f.name and str(f.type) not in _INSTANT and _kind(hints[f.name])[1] is None
        for f in fields
    )


_MOMENT = Annotated[datetime, msgspec.Meta(tz=True)]
_AS_THEY_ARE = (str, int, bool, float, date)


def _kind(hint: Any) -> tuple[Any, Convert | None, Convert | None]:
    """The type on the wire and the two conversions (None: as it is)."""
    if isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType) and len(args) == 2 and type(None) in args:
        inner = next(a for a in args if a is not type(None))
        kind, to_wire, to_core = _kind(inner)
        return kind | None, to_wire, to_core
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _list_kind(args[0])
    if hint is Decimal:
        return Decimal, _plain, _finite
    if hint in _AS_THEY_ARE or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint, None, None
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if _travels_as_it_is(hint):
            return hint, None, None
        shape = shape_of(hint)
        return shape.struct, shape.to_wire, shape.to_core
    raise TypeError(f"no form on the wire for {hint!r}")


def _list_kind(item: Any) -> tuple[Any, Convert, Convert]:
    kind, to_wire, to_core = _kind(item)
    out: Convert = tuple if to_wire is None else lambda items: [to_wire(i) for i in items]
    back: Convert = tuple if to_core is None else lambda items: tuple(to_core(i) for i in items)
    return tuple[kind, ...], out, back


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("a number is not finite")
    return value
