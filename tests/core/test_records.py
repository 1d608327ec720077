"""Quick records are frozen dataclasses like any other."""

from __future__ import annotations

import copy
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from orion.core.records import changed, quick


@dataclass(frozen=True, slots=True)
class Plain:
    """As dataclasses make it."""

    name: str
    size: int = 3
    note: str | None = None


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, quick."""

    name: str
    size: int = 3
    note: str | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ByName:
    """With fields given by name, defaults first."""

    size: int = 3
    name: str


def test_they_are_made_compared_and_shown_like_others():
    assert Quick("a") == Quick("a", 3, None) != Quick("b")
    assert hash(Quick("a", 4)) == hash(Quick("a", size=4)) == hash(("a", 4, None))
    assert repr(Quick("a")) == repr(Plain("a")).replace("Plain", "Quick")
    assert type(Quick("a")) is Quick and [f.name for f in fields(Quick)] == ["name", "size", "note"]
    assert copy.copy(Quick("a")) == copy.deepcopy(Quick("a")) == Quick("a")
    assert ByName(name="a") == ByName(name="a", size=3)
    with pytest.raises(TypeError):
        Quick()  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError):
        ByName("a")  # pyright: ignore[reportCallIssue]


def test_nothing_of_them_can_be_changed():
    one = Quick("a")
    with pytest.raises(FrozenInstanceError):
        one.size = 4  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FrozenInstanceError):
        del one.size  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("made", [Quick("a", 5, "n"), ByName(name="a", size=5)])
def test_a_changed_copy_is_what_dataclasses_would_give(made):
    assert changed(made, size=6) == replace(made, size=6) != made
    assert changed(made) == made
    with pytest.raises(TypeError, match="no such fields"):
        changed(made, weight=1)


def test_what_it_cannot_do_it_refuses():
    with pytest.raises(TypeError):

        @quick
        @dataclass(frozen=True, slots=True)
        class Listed:  # pyright: ignore[reportUnusedClass]
            names: list[str] = field(default_factory=list)
