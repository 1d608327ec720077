"""State rows: what is written is what is read, for every history."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings

from orion.core import trade
from orion.core.rfq import Rfq
from orion.wire.envelope import InvalidEvent
from orion.wire.payloads import shape_of
from orion.wire.states import SCHEMAS, decode_state, encode_state
from tests.core.rfq_world import create, play
from tests.core.test_rfq_properties import HISTORIES, _run
from tests.wire.samples import sample


@settings(max_examples=100, deadline=None)
@given(HISTORIES)
def test_every_state_survives_its_row(steps):
    for _, _, _, state, _ in _run(steps):
        assert decode_state(Rfq, encode_state(state)) == state


@pytest.mark.parametrize("core", SCHEMAS)
@pytest.mark.parametrize("full", [True, False])
def test_states_made_of_everything_survive(core, full):
    state = sample(core, full=full)
    assert decode_state(core, encode_state(state)) == state


@pytest.mark.parametrize("core", SCHEMAS)
@pytest.mark.parametrize("full", [True, False])
def test_rows_of_the_first_schema_are_read(core, full):
    state = sample(core, full=full)
    row = msgspec.json.encode(shape_of(core).to_wire(state))
    assert decode_state(core, row, 1) == state


def test_a_field_added_later_is_ignored_and_one_with_a_default_may_be_absent():
    row = json.loads(encode_state(play(create())))
    row["added"] = 1
    for name in ("answered", "discards", "trade_id"):
        del row[name]
    assert decode_state(Rfq, json.dumps(row).encode()) == play(create())


def test_a_newer_schema_is_not_guessed_at():
    with pytest.raises(InvalidEvent, match="schema 3"):
        decode_state(Rfq, encode_state(play(create())), 3)
    with pytest.raises(InvalidEvent, match="state"):
        decode_state(trade.Trade, b"{}")
