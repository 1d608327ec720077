"""JSON from outside: what two readers could understand differently is refused."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orion.wire import json_in

BAD = [
    ("a key twice", b'{"size":"1","size":"2"}'),
    ("a key twice, escaped", b'{"size":"1","si\\u007ae":"2"}'),
    ("a key twice, deep", b'{"a":[{"b":1,"b":1}]}'),
    ("NaN", b'{"a":NaN}'),
    ("Infinity", b"[-Infinity]"),
    ("too large for a double", b"[1e999]"),
    ("a huge integer", b"[" + b"9" * 19 + b"]"),
    ("an enormous integer", b"[" + b"9" * 10_000 + b"]"),
    ("NUL", b'["\\u0000"]'),
    ("NUL in a key", b'{"\\u0000":1}'),
    ("half a surrogate", b'["\\ud800"]'),
    ("half a surrogate in a key", b'{"\\udc00":1}'),
    ("deep lists", b"[" * 33 + b"]" * 33),
    ("deep objects", b'{"a":' * 33 + b"1" + b"}" * 33),
    ("very deep", b"[" * 100_000),
    ("wide", b"[" + b"1," * 30_000 + b"1]"),
    ("not UTF-8", b'["\xff"]'),
    ("a raw surrogate", b'["\xed\xa0\x80"]'),
    ("nothing", b""),
    ("two values", b"{}{}"),
    ("a trailing comma", b"[1,]"),
    ("single quotes", b"{'a':1}"),
]


@pytest.mark.parametrize("body", [r[1] for r in BAD], ids=[r[0] for r in BAD])
def test_refused_by_name(body):
    with pytest.raises(json_in.NotJson):
        json_in.loads(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_named_error(body):
    with suppress(json_in.NotJson):
        json_in.loads(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_fine_comes_through_unchanged(value):
    assert json_in.loads(json.dumps(value).encode()) == value
