"""Core as gRPC messages: nothing lost, absent stays absent, status and rank as of the instant."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal as D

import pytest
from hypothesis import given, settings

from orion.core import rfq, trade
from orion.core.instrument import Dealer, Venue
from orion.core.rfq import view
from orion.core.ticks import Flag, Tick
from orion.core.values import SECOND, Side
from orion.wire import proto
from tests.core.rfq_world import (
    BOND,
    CEDAR,
    EURUSD,
    T0,
    VENUE,
    accept,
    create,
    play,
    quote,
    quote_id,
    traded,
)
from tests.core.test_rfq_properties import HISTORIES, _run
from tests.core.test_rfq_rows import LOOK, TWO, decline

DAY = date(2026, 2, 9)


@pytest.mark.parametrize(
    "instrument",
    [EURUSD, BOND, replace(BOND, isin="XS0000000009", issuer="Aldermoor plc", enabled=False)],
    ids=["pair", "bond", "corporate"],
)
def test_instruments_there_and_back(instrument):
    message = proto.instrument_to_proto(instrument, DAY)
    read = type(message).FromString(message.SerializeToString())
    assert proto.instrument_from_proto(read) == instrument
    assert message.settlement_date > DAY.isoformat()


@pytest.mark.parametrize(
    "tick",
    [Tick("EURUSD", D("1.1"), D("1.2"), D("1.15"), T0, T0 + 1, "SIM"),
     Tick("EURUSD", None, D("1.2"), None, T0, T0 + 1, "R", (Flag.LATE, Flag.ONE_SIDED), T0 - 5)],
)
def test_ticks_there_and_back(tick):
    assert proto.tick_from_proto(proto.tick_to_proto(tick)) == tick


def test_dealers_and_venues_there_and_back():
    away = replace(CEDAR, enabled=False, reason="maintenance", tenant_ids=("alpha",))
    for dealer in (CEDAR, away):
        back = proto.dealer_from_proto(proto.dealer_to_proto(dealer))
        assert isinstance(back, Dealer)
        assert back == dealer
    venue = proto.venue_from_proto(proto.venue_to_proto(VENUE))
    assert isinstance(venue, Venue)
    assert venue == VENUE


@settings(max_examples=100, deadline=None)
@given(HISTORIES)
def test_every_message_tells_what_a_fresh_look_would(steps):
    for _, _, _, state, _ in _run(steps):
        if state is None:
            continue
        at = state.terms.created_at + SECOND
        message = proto.rfq_to_proto(state, at)
        seen = view.quotes(state, at)
        told = [(q.quote_id, q.status, q.rank or None, q.reason or None) for q in message.quotes]
        assert told == [(v.quote.quote_id, v.status.value, v.rank, v.reason) for v in seen]
        assert [(d.lp_id, d.status, d.reason or None) for d in message.dealers] == [
            (d.routed.lp_id, d.status.value, d.reason or None) for d in state.dealers
        ]
        assert (message.best_quote_id or None) == view.best_quote_id(state, at)
        assert (message.version, message.revision) == (state.version, state.revision)
        assert len(message.checks) == len(state.checks)


def test_an_open_rfq():
    state = play(*TWO, decline("CEDAR"))
    message = proto.rfq_to_proto(state, T0 + SECOND)
    assert (message.status, message.version, message.revision) == ("QUOTING", 3, 6)
    assert [(q.lp_id, q.rank, q.status, q.spread_to_mid) for q in message.quotes] == [
        ("BIRCH", 1, "QUOTED", "0.00014"), ("ASH", 2, "QUOTED", "0.00016")
    ]
    assert message.best_quote_id == quote_id("BIRCH")
    assert [(d.lp_id, d.status) for d in message.dealers] == [
        ("ASH", "QUOTED"), ("BIRCH", "QUOTED"), ("CEDAR", "PASSED")
    ]
    assert message.quotes[0].response_ms == 50.0
    assert message.checks[0].check == "ENTITLEMENT"
    for absent in ("ended_at_us", "min_size", "accepted_quote_id", "trade_id", "last_look"):
        assert not message.HasField(absent), absent
    row = proto.rfq_to_proto(state, T0 + SECOND, parts=False)
    assert (len(row.quotes), len(row.dealers), len(row.checks)) == (0, 0, 0)


def test_an_accept_shows_the_trade_it_will_become():
    state = play(*TWO, accept("BIRCH", 3))
    message = proto.rfq_to_proto(state, T0 + SECOND)
    done = proto.rfq_to_proto(play(traded("BIRCH"), state=state), T0 + 3 * SECOND)
    assert message.trade_id == done.trade_id != ""
    assert message.trade_display_id == done.trade_display_id == "T-1048"
    assert [q.status for q in done.quotes] == ["WON", "LOST"]
    assert done.ended_at_us == T0 + 2 * SECOND


def test_a_last_look_shows_its_deadline_and_no_trade():
    message = proto.rfq_to_proto(play(*LOOK), T0 + SECOND)
    assert (message.last_look.lp_id, message.last_look.deadline_us) == ("CEDAR", T0 + 1_500_000)
    assert not message.HasField("trade_id")


def test_a_denied_rfq_shows_why():
    message = proto.rfq_to_proto(play(create(rate_count=10, expiry_seconds=-3)), T0)
    assert (message.status, message.reason_code) == ("DENIED", "RISK-101")
    failed = [c for c in message.checks if not c.passed]
    assert [c.code for c in failed] == ["RISK-101", "API-100"]


def test_a_trade():
    state = play(create(side=Side.SELL), quote("ASH", "1.14610"))
    event = rfq.decide(state, accept("ASH", 3)).events[0]
    made = trade.decide(None, trade.command_of(event, T0 + SECOND)).events[0].trade
    message = proto.trade_to_proto(made)
    assert (message.buyer, message.seller, message.notional, message.currency) == (
        "ASH", "alpha", "5730500.00", "USD"
    )
    assert (message.settlement_date, message.status) == ("2026-02-11", "EXECUTED")


def test_a_side_that_was_not_given_is_refused():
    assert proto.side_from_proto(proto.side_to_proto(Side.SELL)) is Side.SELL
    with pytest.raises(ValueError, match="side"):
        proto.side_from_proto(0)
