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
from itertools import islice
from typing import Annotated, Any, Optional, Union

import msgspec

from orion.core.rfq.words import Terms

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


def make_room(kept: dict[Any, Any], most: int) -> None:
    """Forgets the oldest when there are `most`: an eighth of them at once. One by one, each would
    be looked for behind the gaps that all earlier ones have left.
    """
    if len(kept) >= most:
        for oldest in tuple(islice(kept, max(1, most // 8))):
            del kept[oldest]


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """How one dataclass travels. `struct` is its type on the wire.

    `to_wire` gives the struct of a core value; `to_core` the core value of a decoded struct, and
    raises ValueError for a number that is none. Both are written out field by field when the shape
    is made: they run for every event.
    """

    core: type
    struct: type[msgspec.Struct]
    to_wire: Convert
    to_core: Convert


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: Any
    to_wire: Convert | None
    to_core: Convert | None
    default: Any                    # msgspec.NODEFAULT: required
    nullable: bool


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
        core, struct,
        _written_out(struct, ordered, lambda m: m.to_wire),
        _written_out(core, members, lambda m: m.to_core),
    )


def _written_out(
    target: type, members: list[_Member], convert: Callable[[_Member], Convert | None]
) -> Convert:
    """A function that makes `target` from the same-named fields of its argument, in this order."""
    names: dict[str, Any] = {"target": target}
    fields: list[str] = []
    for index, member in enumerate(members):
        change = convert(member)
        if change is None:
            fields.append(f"value.{member.name}")
            continue
        names[f"c{index}"] = change
        if member.nullable:
            fields.append(f"None if value.{member.name} is None else c{index}(value.{member.name})")
        else:
            fields.append(f"c{index}(value.{member.name})")
    exec(f"def made(value): return target({', '.join(fields)})", names)
    return names["made"]


def _member(field: dataclasses.Field[Any], hint: Any) -> _Member:
    if str(field.type) in _INSTANT:
        kind: Any = _MOMENT if str(field.type) == "Instant" else Optional[_MOMENT]  # noqa: UP045
        to_wire: Convert | None = iso_micros
        to_core: Convert | None = instant
    else:
        kind, to_wire, to_core = _kind(hint)
    nullable = type(None) in typing.get_args(kind)
    default: Any = msgspec.NODEFAULT
    if field.default is not dataclasses.MISSING:
        default = field.default
        if default is not None and to_wire is not None:
            default = to_wire(default)
    elif nullable:
        default = None      # absent and null say the same
    return _Member(field.name, kind, to_wire, to_core, default, nullable)


def _travels_as_it_is(core: type) -> bool:
    """True when neither a name nor a value changes: msgspec then reads and writes the dataclass."""
    fields, hints = dataclasses.fields(core), typing.get_type_hints(core)
    return all(
        "_" not in f.name and str(f.type) not in _INSTANT and _kind(hints[f.name])[1] is None
        for f in fields
    )


class _Once:
    """Writes a value that many events carry only once: the bytes are kept and put in again.

    The value itself is kept beside them, so that its identity cannot pass to another one.
    """

    def __init__(self, to_wire: Convert) -> None:
        self._to_wire = to_wire
        self._kept: dict[int, tuple[Any, msgspec.Raw]] = {}

    def __call__(self, value: Any) -> msgspec.Raw:
        kept = self._kept.get(id(value))
        if kept is not None:
            return kept[1]
        raw = msgspec.Raw(_ENCODER.encode(self._to_wire(value)))
        make_room(self._kept, MAX_KEPT)
        self._kept[id(value)] = (value, raw)
        return raw


MAX_KEPT = 4_096
_ENCODER = msgspec.json.Encoder()
_REPEATED = (Terms,)            # the same in every event of an RFQ that carries them
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
        to_wire = _Once(shape.to_wire) if hint in _REPEATED else shape.to_wire
        return shape.struct, to_wire, shape.to_core
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
