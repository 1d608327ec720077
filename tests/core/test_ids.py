"""Ids: the same parts give the same id for ever, and an id carries its slot."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orion.core import ids

TEXT = st.text(max_size=12)


def test_ids_are_fixed_for_good():
    """Written down once: an id that changed would let a retry make a second RFQ."""
    assert ids.rfq_id("alpha", "trader@alpha", "u-1", "key-00001") == RFQ
    assert ids.event_id("alpha", "RFQ", RFQ, 1) == EVENT


RFQ = "9394h326jbf2ol6s6hoq3ruaph2dyy"
EVENT = "127b81f0-b11a-8b50-b062-3831e6886615"


@given(st.integers(0, 65_535), st.lists(TEXT, min_size=1, max_size=4))
def test_an_id_carries_its_slot(slot, parts):
    made = ids.derived(slot, *parts)
    assert ids.is_id(made)
    assert (ids.slot_in(made), ids.partition_of(made, 8)) == (slot, slot % 8)


@given(TEXT, TEXT, TEXT, TEXT)
def test_other_parts_are_another_id(a, b, c, d):
    same = (a, b) == (c, d)
    assert (ids.derived(1, a, b) == ids.derived(1, c, d)) == same
    assert (ids.event_id("t", a, b, 1) == ids.event_id("t", c, d, 1)) == same
    assert ids.event_id("t", a, b, 1) != ids.event_id("t", a, b, 2)


def test_what_belongs_together_shares_a_slot():
    quote = ids.quote_id(RFQ, "ASH", "1")
    trade = ids.trade_id(RFQ, quote)
    family = [RFQ, quote, trade, ids.correlation_id(RFQ)]
    assert len({ids.slot_in(x) for x in family}) == 1
    assert len(set(family)) == 4


def test_event_ids_are_uuids_of_version_8():
    made = uuid.UUID(ids.event_id("alpha", "RFQ", RFQ, 1))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert re.fullmatch(r"[0-9a-f-]{36}", str(made))


NONE = ["", "zzzz", RFQ[:-1], RFQ + "a", RFQ.upper(), RFQ + "\n", "'; drop"]


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_id_is_refused(text):
    assert not ids.is_id(text)
    with pytest.raises(ValueError, match="not an id"):
        ids.slot_in(text)
