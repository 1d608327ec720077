"""Frozen dataclasses that are quick to make.

A frozen dataclass fills its fields through `object.__setattr__`, one call each: for the states,
commands and quotes of a busy book that was a tenth of all the work. `quick` fills them as if the
object were not frozen yet, and then it is. Fields, equality, hash and protection stay the same.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar, cast

T = TypeVar("T")
_become = cast(Any, object.__dict__["__class__"]).__set__


def quick(cls: type[T]) -> type[T]:
    """Decorates a `@dataclass(frozen=True, slots=True)` without factories and post-init."""
    members = fields(cast(Any, cls))
    if hasattr(cls, "__post_init__") or any(f.default_factory is not MISSING for f in members):
        raise TypeError(f"{cls.__name__} needs more than its fields")
    names: dict[str, Any] = {
        "become": _become,
        "cls": cls,
        "open": type(cls.__name__, (), {"__slots__": cls.__slots__}),  # type: ignore[attr-defined]
        "known": frozenset(f.name for f in members),
    }
    heads = ["*"] if members and members[0].kw_only else []
    if any(f.kw_only != members[0].kw_only for f in members):
        raise TypeError(f"{cls.__name__}: fields by name and by place")
    for n, f in enumerate(members):
        names[f"d{n}"] = f.default
        heads.append(f.name if f.default is MISSING else f"{f.name}=d{n}")
    fill = "".join(f"    self.{f.name} = {f.name}\n" for f in members)
    by = "{0}=" if heads[0] == "*" else ""
    gets = ", ".join(f"{by.format(f.name)}get({f.name!r}, self.{f.name})" for f in members)
    exec(
        f"def __init__(self, {', '.join(heads)}):\n"
        f"    become(self, open)\n{fill}    self.__class__ = cls\n"
        "def __replace__(self, /, **changes):\n"
        "    if not known.issuperset(changes):\n"
        "        raise TypeError(f'no such fields: {set(changes) - known}')\n"
        "    get = changes.get\n"
        f"    return cls({gets})\n",
        names,
    )
    made = cast(Any, cls)
    made.__init__, made.__replace__ = names["__init__"], names["__replace__"]
    return cls


def changed(value: T, **changes: Any) -> T:
    """A copy with other values in some fields, as `dataclasses.replace`; of a `quick` class."""
    return cast(Any, value).__replace__(**changes)
