"""What every decision of core looks like: events, or a refusal with a code, or both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Reject:
    """A business refusal: a value, never an exception. `code` is one of contracts/errors.toml."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decision(Generic[E]):
    """What a command leads to. Neither events nor a refusal: it has been done before, nothing new.

    Both at once is possible: an accept that comes too late is refused *and* lets the RFQ expire.
    """

    events: tuple[E, ...] = ()
    reject: Reject | None = None


@dataclass(frozen=True, slots=True)
class Recorded(Generic[E]):
    """An event with its place in the history of its entity.

    Sequences are gap-free from 1 per entity.
    """

    event: E
    entity_type: str
    entity_id: str
    sequence: int
