"""The machines of core are whole: every pair is decided, nothing leaves an end, and the diagram
of the docs is the one of MOVES.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from orion.core import rfq, trade
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq.words import Status
from orion.core.values import SECOND
from orion.wire import diagrams
from tests.core.rfq_world import accept, create, play, quote, traded
from tests.core.test_rfq_rows import END, LOOK, TWO, answer, cancel, decline, withdraw

_SENT = play(create())
_LOOKING = play(*LOOK)
STATES = {
    None: None,
    # CREATED never rests: it exists only inside the write that sends or denies.
    Status.CREATED: replace(_SENT, status=Status.CREATED, version=1),
    Status.SENT: _SENT,
    Status.QUOTING: play(*TWO),
    Status.ACCEPTED: _LOOKING,
    Status.REJECTED: None,
    Status.EXPIRED: play(*TWO, c.ExpireRFQ(at=END)),
    Status.CANCELLED: play(*TWO, cancel()),
    Status.TRADED: play(*TWO, accept("BIRCH", 3), traded("BIRCH")),
    Status.DENIED: play(create(rate_count=99)),
}
_late = END - SECOND // 10
STATES[Status.REJECTED] = play(
    create(), quote("CEDAR", "1.14630"), accept("CEDAR", 3, at=_late),
    c.ExpireLastLook(at=END + SECOND),
)
COMMANDS = {
    c.CreateRFQ: create(), c.ReceiveQuote: quote("ASH", "1.14640"), c.DeclineQuote: decline("ASH"),
    c.WithdrawQuote: withdraw(), c.AcceptQuote: accept("BIRCH", 3), c.CancelRFQ: cancel(),
    c.AnswerLastLook: answer(True), c.ExpireLastLook: c.ExpireLastLook(at=END),
    c.ExpireRFQ: c.ExpireRFQ(at=END), c.MarkTraded: traded("BIRCH"),
}


def test_the_tables_of_this_test_are_whole():
    assert set(COMMANDS) == set(get_args(c.Command))
    assert set(STATES) == {None, *Status}
    for status, state in STATES.items():
        assert (state.status if state else None) is status


@pytest.mark.parametrize("status", STATES, ids=str)
@pytest.mark.parametrize("kind", COMMANDS, ids=lambda k: k.__name__)
def test_every_pair_is_decided_or_refused(status, kind):
    state, command = STATES[status], COMMANDS[kind]
    decision = rfq.decide(state, command)
    for event in decision.events:
        state = rfq.evolve(state, event)


@pytest.mark.parametrize("machine", [rfq, trade], ids=["rfq", "trade"])
def test_no_move_leaves_a_terminal_status(machine):
    assert not [move for move in machine.MOVES if move[0] in machine.TERMINAL]


def test_every_status_can_be_reached_and_left():
    targets = set(rfq.MOVES.values())
    assert targets == set(Status)
    assert {source for source, _ in rfq.MOVES} - {None} == set(Status) - rfq.TERMINAL


def test_every_lifecycle_event_moves_and_no_quote_event_does():
    assert {event for _, event in rfq.MOVES} == set(e.LIFECYCLE)
    assert not {event for _, event in rfq.MOVES} & set(e.QUOTES)
    assert set(get_args(e.Event)) == {*e.LIFECYCLE, *e.QUOTES}


def test_a_move_that_is_not_in_the_table_is_a_bug():
    with pytest.raises(AssertionError, match="no such move"):
        rfq.evolve(STATES[Status.CANCELLED], e.RFQExpired(_SENT.terms.rfq_id, END, END, 0, None))


def test_the_diagram_of_the_docs_is_the_one_of_the_table():
    assert diagrams.TARGET.read_text() == diagrams.document()
