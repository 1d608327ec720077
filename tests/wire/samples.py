"""One value of every event type, made from the types themselves."""

from __future__ import annotations

import dataclasses
import types
import typing
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from orion.core import ids
from tests.core.rfq_world import T0


def sample(hint: Any, *, full: bool) -> Any:
    """A value of this type. `full`: with everything that may be absent; otherwise without it."""
    if isinstance(hint, typing.NewType):
        return ids.derived(7, hint.__name__)
    args = typing.get_args(hint)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(a for a in args if a is not type(None))
        return sample(inner, full=full) if full else None
    if typing.get_origin(hint) is tuple:
        return (sample(args[0], full=full),) * 2 if full else ()
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{f.name: sample(hints[f.name], full=full) for f in dataclasses.fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return next(iter(hint))
    return {
        str: "text ❖", int: T0 + 123, bool: True, Decimal: Decimal("0.00000001"),
        date: date(2026, 2, 11),
    }[hint]
