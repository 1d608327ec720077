"""Conditions of lists: what a caller wrote never becomes SQL."""

from __future__ import annotations

from decimal import Decimal

import pytest

from orion.platform.caller import Caller
from orion.platform.errors import Coded
from orion.platform.listing import Where, visible


def test_values_are_parameters_in_order() -> None:
    where = Where()
    where.equal("a", "x' or 1=1 --")
    where.equal("skipped", "")
    where.among("b", ["y", "z"])
    where.number("c", "1.50")
    where.contains(("d", "e"), "50%_\\")
    assert where.text == (
        "a = $1 and b = any ($2) and c::numeric = $3::numeric and (d ilike $4 or e ilike $4)"
    )
    assert where.values == ["x' or 1=1 --", ["y", "z"], Decimal("1.5"), "%50\\%\\_\\\\%"]


@pytest.mark.parametrize("text", ["many", "NaN", "Infinity", "1e", "1" * 101])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Coded, match="API-100"):
        Where().number("size", text)


def test_reach_never_leaves_the_tenant() -> None:
    caller = Caller(
        tenant="alpha", subject="s", user="u@alpha", display_name="U", desk="macro",
        roles=frozenset(), grants=None, session_id="", issued_at=0, expires_at=0, token="",
    )  # fmt: skip
    assert visible(caller, "tenant").values == ["alpha"]
    assert visible(caller, "desk").values == ["alpha", "macro", "u@alpha"]
    assert visible(caller, "own").values == ["alpha", "u@alpha"]
    with pytest.raises(ValueError, match="reach"):
        visible(caller, "all")
