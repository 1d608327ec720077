"""State rows: what is written is what is read, for every history."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest
from hypothesis import given, settings

from orion.core import trade
from orion.core.limits import Check
from orion.core.rfq import Rfq
from orion.core.rfq.state import Acceptance, DealerLine, Discard, QuoteLine
from orion.core.rfq.words import Quote, Routed, Terms
from orion.wire.envelope import InvalidEvent
from orion.wire.payloads import make_room, shape_of
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


@pytest.mark.parametrize("core", SCHEMAS)
@pytest.mark.parametrize("full", [True, False])
def test_rows_of_the_second_schema_are_read(core, full):
    state = sample(core, full=full)
    assert decode_state(core, msgspec.json.encode(state), 2) == state


# Rows out there say by place what these names say. A field may come at the end, with a default.
PLACES = {
    Rfq: "terms status version revision checks dealers quotes declined discards acceptance answered"
    " ended_at trade_id trade_display_id reason_code reason",
    Terms: "rfq_id display_id correlation_id tenant_id subject requester desk instrument_id side"
    " size currency quote_currency min_size partial_allowed venue_id settlement_date"
    " expiry_seconds created_at expires_at mid_at_request tick_size lot_size contract_size",
    Check: "check passed actual limit code",
    DealerLine: "routed status reason response_us",
    Routed: "lp_id name excluded last_look last_look_ms last_look_max_drift",
    QuoteLine: "quote sequence taken_back reason",
    Quote: "quote_id lp_id lp_name dealer_quote_ref price size received_at expires_at response_us"
    " spread_to_mid",
    Acceptance: "quote_id lp_id trade_id at command_id final deadline",
    Discard: "quote_id code reason",
    trade.Trade: "trade_id display_id rfq_id quote_id correlation_id tenant_id subject requester"
    " desk instrument_id side quantity quantity_currency price notional currency contract_size"
    " buyer seller lp_id lp_name venue_id traded_at settlement_date status",
}


@pytest.mark.parametrize("core", PLACES)
def test_places_are_for_ever(core):
    fields = dataclasses.fields(core)
    known = PLACES[core].split()
    assert [f.name for f in fields[: len(known)]] == known
    assert all(f.default is not dataclasses.MISSING for f in fields[len(known) :])


def test_a_field_added_later_is_ignored_and_one_with_a_default_may_be_absent():
    row = json.loads(encode_state(play(create())))
    assert decode_state(Rfq, json.dumps([*row, 1]).encode()) == play(create())
    defaults = sum(f.default is not dataclasses.MISSING for f in dataclasses.fields(Rfq))
    shorter = row[: len(row) - defaults + 2]  # checks and dealers are there, all after them absent
    assert decode_state(Rfq, json.dumps(shorter).encode()) == play(create())


def test_parts_that_are_written_once_are_those_of_their_own_state():
    first, second = play(create()), play(create())
    other = dataclasses.replace(second.terms, desk="another")
    for _ in range(2):
        assert decode_state(Rfq, encode_state(first)) == first
        moved = dataclasses.replace(second, terms=other)
        assert decode_state(Rfq, encode_state(moved)).terms.desk == "another"


def test_a_newer_schema_is_not_guessed_at():
    newer = SCHEMAS[Rfq] + 1
    with pytest.raises(InvalidEvent, match=f"schema {newer}"):
        decode_state(Rfq, encode_state(play(create())), newer)
    for body in (b"{}", b"[]", b"[1]", b"x"):
        with pytest.raises(InvalidEvent, match="state"):
            decode_state(trade.Trade, body)


def test_the_oldest_make_room_for_new_ones():
    kept = {n: n for n in range(16)}
    make_room(kept, 17)
    assert list(kept) == list(range(16))
    make_room(kept, 16)
    assert list(kept) == list(range(2, 16))
    few = {1: 1}
    make_room(few, 1)
    assert not few
