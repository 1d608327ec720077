"""One accepted quote, one trade."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal as D

from orion.core import ids, rfq, trade
from orion.core.rfq import commands as c
from orion.core.values import SECOND, Side
from tests.core.rfq_world import RFQ_ID, T0, accept, create, play, quote, quote_id

AT = T0 + 2 * SECOND


def accepted(side: Side = Side.BUY, lp: str = "BIRCH"):
    state = play(create(side=side), quote(lp, "1.14638"))
    return rfq.decide(state, accept(lp, 3)).events[0], state


def test_the_trade_says_who_bought_what_from_whom():
    event, _ = accepted()
    made = trade.decide(None, trade.command_of(event, AT)).events[0].trade
    assert made.trade_id == ids.trade_id(RFQ_ID, quote_id("BIRCH"))
    assert (made.display_id, made.buyer, made.seller) == ("T-1048", "alpha", "BIRCH")
    assert (made.quantity, made.price, made.notional, made.currency) == (
        D("5000000"), D("1.14638"), D("5731900.00"), "USD"
    )
    assert (made.settlement_date, made.traded_at) == (date(2026, 2, 11), AT)
    event, _ = accepted(Side.SELL)
    sold = trade.decide(None, trade.command_of(event, AT)).events[0].trade
    assert (sold.buyer, sold.seller) == ("BIRCH", "alpha")


def test_bonds_are_priced_in_percent_of_nominal():
    event, _ = accepted()
    terms = replace(event.terms, contract_size=D("0.01"))
    command = replace(trade.command_of(event, AT), terms=terms)
    made = trade.decide(None, command).events[0].trade
    assert made.notional == D("57319.00")


def test_the_same_accept_twice_is_one_trade():
    event, _ = accepted()
    command = trade.command_of(event, AT)
    first = trade.decide(None, command).events[0]
    state = trade.evolve(None, first)
    assert trade.decide(state, replace(command, at=AT + SECOND)).events == ()
    assert trade.place(first).sequence == 1


def test_no_trade_while_the_dealer_looks():
    event, state = accepted(lp="CEDAR")
    assert trade.command_of(event, AT) is None
    state = rfq.evolve(state, event)
    passed = rfq.decide(state, c.AnswerLastLook(
        at=T0 + SECOND + 1, quote_id=quote_id("CEDAR"), lp_id=ids.LpId("CEDAR"), passed=True
    )).events[0]
    command = trade.command_of(passed, AT)
    assert command is not None
    assert command.trade_id == event.trade_id
