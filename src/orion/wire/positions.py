"""Core dataclasses ⇄ JSON arrays by position, for rows that only their own service reads.

The place of a field is its name. So fields are added at the end, with a default, and never change
places; anything else is a new schema (tests/wire/test_states.py holds rows that must stay
readable). Parts that stay as they are while the whole changes are written once and put in again.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Union

import msgspec

from orion.wire.payloads import make_room

Convert = Callable[[Any], Any]
MAX_KEPT = 8_192
_ENCODER = msgspec.json.Encoder()


@dataclasses.dataclass(frozen=True, slots=True)
class Places:
    """How one dataclass lies in a row: `pack` gives its fields in their order, `struct` reads them,
    `unpack` makes the core value of what was read.
    """

    struct: type[msgspec.Struct]
    pack: Convert
    unpack: Convert


class _Once:
    """Writes a value that many rows carry only once. The value is kept beside its bytes, so that
    its identity cannot pass to another one.
    """

    def __init__(self, pack: Convert) -> None:
        self._pack = pack
        self._kept: dict[int, tuple[Any, msgspec.Raw]] = {}

    def __call__(self, value: Any) -> msgspec.Raw:
        kept = self._kept.get(id(value))
        if kept is not None:
            return kept[1]
        raw = msgspec.Raw(_ENCODER.encode(self._pack(value)))
        make_room(self._kept, MAX_KEPT)
        self._kept[id(value)] = (value, raw)
        return raw


@cache
def places_of(core: type, once: tuple[Any, ...] = ()) -> Places:
    """The places of a dataclass. `once`: the types of parts, or of whole tuples of them, that stay
    as they are. Raises TypeError for a field that has no form.
    """
    hints = typing.get_type_hints(core)
    members: list[Any] = []
    packed: list[str] = []
    unpacked: list[str] = []
    names: dict[str, Any] = {"core": core}
    for number, field in enumerate(dataclasses.fields(core)):
        kind, pack, unpack = _kind(hints[field.name], once)
        names[f"p{number}"], names[f"u{number}"] = pack, unpack
        packed.append(_converted(field.name, f"p{number}", pack, kind))
        unpacked.append(_converted(field.name, f"u{number}", unpack, kind))
        if field.default is dataclasses.MISSING:
            members.append((field.name, kind))
        else:
            members.append((field.name, kind, () if field.default == () else field.default))
    struct = msgspec.defstruct(
        core.__name__, members, array_like=True, frozen=True, gc=False, module=core.__module__
    )
    named = [f"{f.name}={text}" for f, text in zip(dataclasses.fields(core), unpacked, strict=True)]
    exec(
        f"def pack(value): return ({', '.join(packed)},)\n"
        f"def unpack(value): return core({', '.join(named)})\n",
        names,
    )
    return Places(struct, names["pack"], names["unpack"])


def _converted(name: str, change: str, convert: Convert | None, kind: Any) -> str:
    if convert is None:
        return f"value.{name}"
    if type(None) in typing.get_args(kind):
        return f"None if value.{name} is None else {change}(value.{name})"
    return f"{change}(value.{name})"


def _kind(hint: Any, once: tuple[Any, ...]) -> tuple[Any, Convert | None, Convert | None]:
    """The type as it is read and the two conversions (None: as it is)."""
    if isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType) and len(args) == 2 and type(None) in args:
        kind, pack, unpack = _kind(next(a for a in args if a is not type(None)), once)
        return kind | None, pack, unpack
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        kind, pack, unpack = _kind(args[0], once)
        back: Convert | None = None if unpack is None else lambda v: tuple(unpack(i) for i in v)
        out: Convert | None = None if pack is None else lambda v: [pack(i) for i in v]
        if hint in once:
            out = _Once(out or tuple)
        return tuple[kind, ...], out, back
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        places = places_of(hint, once)
        return places.struct, _Once(places.pack) if hint in once else places.pack, places.unpack
    if isinstance(hint, type) and (issubclass(hint, Enum) or hint.__module__ != "typing"):
        return hint, None, None
    raise TypeError(f"no place in a row for {hint!r}")
