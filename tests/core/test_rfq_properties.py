"""What must hold for every history of an RFQ, found by chance and shrunk."""

from __future__ import annotations

from decimal import Decimal as D
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from orion.core import ids, rfq
from orion.core.quoting import ranked
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq import view
from orion.core.rfq.words import TERMINAL, Quote, QuoteStatus, Status
from orion.core.values import MILLISECOND, Side
from tests.core.rfq_world import SUBJECT, T0, accept, create, quote, quote_id, traded

LPS = st.sampled_from(["ASH", "BIRCH", "CEDAR", "ELM"])
REFS = st.sampled_from(["1", "2", "3"])
SUBJECTS = st.sampled_from([SUBJECT, SUBJECT, SUBJECT, "u-2"])
# Gaps that fall around the last look (500 ms) and the expiry (5 s).
STEPS = st.sampled_from([0, 1, 200, 499, 500, 1500, 4999, 5000, 9000])
PRICES = st.sampled_from(["1.14630", "1.14638", "1.14640", "1.146401"])
SIZES = st.sampled_from(["5000000", "2000000", "1000000", "100"])
LIVES = st.sampled_from([0, 300, 2000])


@st.composite
def moves(draw):
    """A command without its instant and version: those come from the run."""
    kind = draw(st.integers(0, 11))
    lp, ref, step = draw(LPS), draw(REFS), draw(STEPS)
    if kind <= 3:
        made = quote(lp, draw(PRICES), ref=ref, size=draw(SIZES), life_ms=draw(LIVES))
    elif kind <= 6:
        offset = draw(st.sampled_from([0, 0, 0, -1]))
        made = accept(
            lp, offset, ref=ref, key=draw(st.sampled_from(["a", "b"])), subject=draw(SUBJECTS),
            reason=draw(st.sampled_from([None, "why"])),
        )
    else:
        made = _other(kind, lp, ref, draw)
    return step, made


def _other(kind, lp, ref, draw):
    chosen, dealer = quote_id(lp, ref), ids.LpId(lp)
    match kind:
        case 7:
            return c.WithdrawQuote(at=0, quote_id=chosen, lp_id=dealer)
        case 8:
            return c.DeclineQuote(at=0, quote_id=quote_id(lp, "pass"), lp_id=dealer)
        case 9:
            return c.AnswerLastLook(at=0, quote_id=chosen, lp_id=dealer, passed=draw(st.booleans()))
        case 10:
            return draw(st.sampled_from([c.ExpireRFQ(at=0), c.ExpireLastLook(at=0)]))
        case _:
            return draw(st.sampled_from([
                c.CancelRFQ(at=0, subject=SUBJECT), traded(lp, ref=ref), create(expiry_seconds=5),
            ]))


HISTORIES = st.lists(moves(), max_size=25)


def _run(steps):
    """Plays a history; yields (before, command, decision, after, recorded)."""
    from dataclasses import replace

    at, state = T0, None
    first = create(expiry_seconds=5, partial_allowed=True, min_size=D("1000000"))
    for step, command in [(0, first), *steps]:
        at += step * MILLISECOND
        command = replace(command, at=at)
        if isinstance(command, c.AcceptQuote) and state is not None:
            command = replace(command, version=state.version + command.version)
        decision = rfq.decide(state, command)
        after, recorded = rfq.fold(state, decision.events)
        yield state, command, decision, after, recorded
        state = after


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_only_legal_moves_and_gap_free_sequences(steps):
    sequences: dict[tuple[str, str], int] = {}
    for before, _, _, after, recorded in _run(steps):
        for record in recorded:
            entity = (record.entity_type, record.entity_id)
            assert record.sequence == sequences.get(entity, 0) + 1
            sequences[entity] = record.sequence
        if before is not None and before.status in TERMINAL:
            assert after.status is before.status
            assert after.version == before.version
        assert after.revision == sum(sequences.values())


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_replaying_the_events_gives_the_live_state(steps):
    events, live = [], None
    for _, _, decision, after, _ in _run(steps):
        events += decision.events
        live = after
    replayed, _ = rfq.fold(None, events)
    assert replayed == live


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_the_same_command_twice_gives_nothing_new(steps):
    for _, command, decision, after, _ in _run(steps):
        if decision.events:
            assert rfq.decide(after, command).events == ()


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_accepts_only_what_stands_at_that_instant(steps):
    final = 0
    for before, command, decision, after, _ in _run(steps):
        for event in decision.events:
            if isinstance(event, e.QuoteAccepted):
                assert command.subject == before.terms.subject
                assert command.at < before.terms.expires_at
                assert command.at < event.quote.expires_at
                line = before.line(event.quote.quote_id)
                assert view.quote_status(before, line, command.at) is QuoteStatus.QUOTED
                assert before.status is Status.QUOTING
                assert event.was_best == (event.rank == 1)
            if isinstance(event, e.LastLookPassed) or (
                isinstance(event, e.QuoteAccepted) and event.final
            ):
                final += 1
            if isinstance(event, e.RFQTraded):
                assert before.acceptance.final
        won = [v for v in view.quotes(after, command.at) if v.status is QuoteStatus.WON]
        assert len(won) <= 1
    assert final <= 1


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_every_open_rfq_has_a_deadline_and_no_ended_one(steps):
    for _, _, _, after, _ in _run(steps):
        held = after.acceptance
        waits_for_trade = after.status is Status.ACCEPTED and held.final
        needs = after.status not in TERMINAL and not waits_for_trade
        assert (view.next_deadline(after) is not None) == needs
        assert (after.ended_at is not None) == (after.status in TERMINAL)


QUOTES = st.builds(
    lambda n, price, at: Quote(
        ids.QuoteId(f"q{n:02}"), ids.LpId("L"), "L", str(n), D(price) / 100000, D(1), at,
        at + 10, 0, None,
    ),
    st.integers(0, 99), st.integers(1, 5), st.integers(0, 3),
)


@settings(deadline=None)
@given(st.lists(QUOTES, unique_by=lambda q: q.quote_id), st.sampled_from(Side), st.randoms())
def test_ranking_is_a_total_order_whatever_comes_in_first(quotes, side, chance):
    order = ranked(side, quotes)
    shuffled = list(quotes)
    chance.shuffle(shuffled)
    assert ranked(side, shuffled) == order
    for better, worse in pairwise(order):
        assert not side.is_better(worse.price, better.price)
        if worse.price == better.price:
            assert better.received_at <= worse.received_at
