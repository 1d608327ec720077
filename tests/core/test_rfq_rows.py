# ruff: noqa: E501 - rows are read as a table
"""RFQ decisions as rows: what has happened, the command, what comes of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from orion.core import ids, rfq
from orion.core.entitlement import Grants
from orion.core.rfq import commands as c
from orion.core.rfq import events as e
from orion.core.rfq import view
from orion.core.rfq.words import DealerStatus, QuoteStatus, Status
from orion.core.values import MILLISECOND, SECOND, Side
from tests.core.rfq_world import (
    BIRCH,
    BOND,
    EURUSD,
    GRANTS,
    RFQ_ID,
    SUBJECT,
    T0,
    VENUE,
    accept,
    create,
    dealer,
    names,
    play,
    quote,
    quote_id,
    traded,
)

END = T0 + 30 * SECOND
SENT = (create(),)
ONE = (create(), quote("ASH", "1.14640"))
TWO = (*ONE, quote("BIRCH", "1.14638"))
LOOK = (*TWO, quote("CEDAR", "1.14630"), accept("CEDAR", 3))


def cancel(at: int = T0 + SECOND, subject: str = SUBJECT, version: int | None = None) -> c.CancelRFQ:
    return c.CancelRFQ(at=at, subject=subject, version=version)


def answer(passed: bool, at: int = T0 + 1200 * MILLISECOND, lp: str = "CEDAR") -> c.AnswerLastLook:
    return c.AnswerLastLook(
        at=at, quote_id=quote_id("CEDAR"), lp_id=ids.LpId(lp), passed=passed, drift="0.7"
    )


def withdraw(lp: str = "BIRCH", at: int = T0 + SECOND) -> c.WithdrawQuote:
    return c.WithdrawQuote(at=at, quote_id=quote_id(lp), lp_id=ids.LpId(lp))


def decline(lp: str, at: int = T0 + SECOND) -> c.DeclineQuote:
    return c.DeclineQuote(at=at, quote_id=quote_id(lp, "pass"), lp_id=ids.LpId(lp), reason="BUSY")


EXPIRE = c.ExpireRFQ(at=END)
SILENCE = c.ExpireLastLook(at=T0 + 1500 * MILLISECOND)

ROWS = [
    # what happened           command                                     events                            code
    ("quote at once",         SENT, quote("ASH", "1.14640"),              ["QuoteReceived", "RFQQuoting"],  None),
    ("second quote",          ONE, quote("BIRCH", "1.14638"),             ["QuoteReceived"],                None),
    ("the same quote again",  ONE, quote("ASH", "1.14640"),               [],                               None),
    ("a better one replaces", ONE, quote("ASH", "1.14639", ref="2"),      ["QuoteWithdrawn", "QuoteReceived"], None),
    ("not asked",             SENT, quote("ELM", "1.14640"),              [],                               "LP-304"),
    ("off tick",              SENT, quote("ASH", "1.146401"),             ["QuoteDiscarded"],               "LP-303"),
    ("price zero",            SENT, quote("ASH", "0"),                    ["QuoteDiscarded"],               "LP-303"),
    ("price NaN: no record",  SENT, quote("ASH", "NaN"),                  [],                               "LP-303"),
    ("part, not allowed",     SENT, quote("ASH", "1.14640", size="1000000"), ["QuoteDiscarded"],            "LP-302"),
    ("more than asked",       SENT, quote("ASH", "1.14640", size="6000000"), ["QuoteDiscarded"],            "LP-302"),
    ("last instant",          SENT, quote("ASH", "1.14640", at=END - 1),  ["QuoteReceived", "RFQQuoting"],  None),
    ("late by nothing",       ONE, quote("BIRCH", "1.14638", at=END),     ["QuoteDiscarded"],               "LP-301"),
    ("quote after the trade", (*TWO, accept("BIRCH", 3)), quote("CEDAR", "1.1", at=T0 + SECOND), ["QuoteDiscarded"], "LP-301"),
    ("quote during last look", (*ONE, quote("CEDAR", "1.14630"), accept("CEDAR", 3)), quote("BIRCH", "1.14638", at=T0 + SECOND), ["QuoteReceived"], None),
    ("pass",                  SENT, decline("ASH"),                       ["QuoteDeclined"],                None),
    ("pass again",            (*SENT, decline("ASH")), decline("ASH"),    [],                               None),
    ("pass after quoting",    ONE, decline("ASH"),                        ["QuoteWithdrawn", "QuoteDeclined"], None),
    ("pass too late",         ONE, decline("BIRCH", at=END),              [],                               "LP-301"),
    ("withdraw",              TWO, withdraw(),                            ["QuoteWithdrawn"],               None),
    ("withdraw again",        (*TWO, withdraw()), withdraw(),             [],                               None),
    ("withdraw another's",    TWO, replace(withdraw(), lp_id=ids.LpId("ASH")), [],                          "LP-304"),
    ("withdraw the dealt",    (*TWO, accept("BIRCH", 3)), withdraw(),     [],                               "LP-301"),
    ("accept the best",       TWO, accept("BIRCH", 3),                    ["QuoteAccepted"],                None),
    ("the same accept again", (*TWO, accept("BIRCH", 3)), accept("BIRCH", 3), [],                           None),
    ("a second accept",       (*TWO, accept("BIRCH", 3)), accept("BIRCH", 4, key="other"), [],              "RFQ-205"),
    ("accept not the best",   TWO, accept("ASH", 3),                      ["QuoteAccepted"],                None),
    ("blank reason",          TWO, accept("ASH", 3, reason="  "),         ["QuoteAccepted"],                None),
    ("with a reason",         TWO, accept("ASH", 3, reason="credit line"), ["QuoteAccepted"],               None),
    ("someone else accepts",  TWO, accept("BIRCH", 3, subject="u-2"),     [],                               "RFQ-209"),
    ("an old version",        TWO, accept("BIRCH", 2),                    [],                               "RFQ-203"),
    ("no such quote",         TWO, accept("CEDAR", 3),                    [],                               "RFQ-206"),
    ("withdrawn quote",       (*TWO, withdraw()), accept("BIRCH", 3),     [],                               "RFQ-208"),
    ("accept in time",        TWO, accept("BIRCH", 3, at=END - 1),        ["QuoteAccepted"],                None),
    ("accept at the end",     TWO, accept("BIRCH", 3, at=END),            ["RFQExpired"],                   "RFQ-204"),
    ("accept after expiry",   (*TWO, EXPIRE), accept("BIRCH", 4, at=END), [],                               "RFQ-204"),
    ("accept after cancel",   (*TWO, cancel()), accept("BIRCH", 4),       [],                               "RFQ-205"),
    ("accept with no quote",  SENT, accept("ASH", 2),                     [],                               "RFQ-206"),
    ("cancel",                TWO, cancel(version=3),                     ["RFQCancelled"],                 None),
    ("cancel before a quote", SENT, cancel(),                             ["RFQCancelled"],                 None),
    ("cancel again",          (*TWO, cancel()), cancel(),                 [],                               None),
    ("cancel an old version", TWO, cancel(version=2),                     [],                               "RFQ-203"),
    ("cancel another's",      TWO, cancel(subject="u-2"),                 [],                               "RFQ-209"),
    ("cancel at the end",     TWO, cancel(at=END),                        ["RFQExpired"],                   "RFQ-204"),
    ("cancel the accepted",   (*TWO, accept("BIRCH", 3)), cancel(),       [],                               "RFQ-205"),
    ("expire too early",      TWO, c.ExpireRFQ(at=END - 1),               [],                               None),
    ("expire",                TWO, EXPIRE,                                ["RFQExpired"],                   None),
    ("expire unquoted",       SENT, EXPIRE,                               ["RFQExpired"],                   None),
    ("expire again",          (*TWO, EXPIRE), EXPIRE,                     [],                               None),
    ("no expiry when dealt",  (*TWO, accept("BIRCH", 3)), EXPIRE,         [],                               None),
    ("no expiry in a look",   LOOK, EXPIRE,                               [],                               None),
    ("no cancel in a look",   LOOK, cancel(),                             [],                               "RFQ-205"),
    ("look passed",           LOOK, answer(True),                         ["LastLookPassed"],               None),
    ("look passed again",     (*LOOK, answer(True)), answer(True),        [],                               None),
    ("look rejected",         LOOK, answer(False),                        ["QuoteAcceptanceRejected"],      None),
    ("another dealer answers", LOOK, answer(True, lp="ASH"),              [],                               "LP-304"),
    ("answer at the deadline", LOOK, answer(True, at=T0 + 1500 * MILLISECOND), ["QuoteAcceptanceRejected"], "LP-301"),
    ("silence too early",     LOOK, c.ExpireLastLook(at=T0 + SECOND),     [],                               None),
    ("silence",               LOOK, SILENCE,                              ["QuoteAcceptanceRejected"],      None),
    ("silence after reject",  (*LOOK, answer(False)), SILENCE,            [],                               None),
    ("no look was open",      TWO, answer(True),                          [],                               "LP-301"),
    ("trade",                 (*TWO, accept("BIRCH", 3)), traded("BIRCH"), ["RFQTraded"],                   None),
    ("trade twice",           (*TWO, accept("BIRCH", 3), traded("BIRCH")), traded("BIRCH"), [],             None),
    ("trade in a look",       LOOK, traded("CEDAR"),                      [],                               "RFQ-205"),
    ("trade another quote",   (*TWO, accept("BIRCH", 3)), traded("ASH"),  [],                               "RFQ-205"),
    ("create twice",          SENT, create(),                             [],                               None),
]  # fmt: skip


@pytest.mark.parametrize(("history", "command", "events", "code"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_decisions(history, command, events, code):
    state = play(*history)
    decision = rfq.decide(state, command)
    assert names(decision) == events
    assert (decision.reject.code if decision.reject else None) == code
    if decision.events:
        rfq.fold(state, decision.events)  # every decided event is a legal move


DENIALS = [
    ("asset class",    {"instrument": BOND},                                  "RISK-102"),
    ("instrument",     {"grants": replace(GRANTS, instrument_ids=frozenset())}, "RISK-102"),
    ("no grants",      {"grants": Grants()},                                  "RISK-102"),
    ("venue grant",    {"grants": replace(GRANTS, venue_ids=frozenset())},    "RISK-104"),
    ("venue",          {"venue_id": "X", "venue": None},                      "RFQ-211"),
    ("venue closed",   {"venue": replace(VENUE, enabled=False)},              "RFQ-211"),
    ("order book",     {"venue": replace(VENUE, execution_type="CLOB")},      "RFQ-211"),
    ("rate",           {"rate_count": 10},                                    "RISK-101"),
    ("notional",       {"size": D("25000000")},                               "RISK-103"),
    ("no rate",        {"usd_rate": None},                                    "RISK-105"),
    ("no mid",         {"mid": None},                                         "RISK-105"),
    ("small",          {"size": D("99000")},                                  "RFQ-201"),
    ("lot",            {"size": D("1000500")},                                "RFQ-201"),
    ("negative",       {"size": D("-1000000")},                               "RFQ-201"),
    ("min, no part",   {"min_size": D("1000000")},                            "RFQ-201"),
    ("min too large",  {"min_size": D("6000000"), "partial_allowed": True},   "RFQ-201"),
    ("short expiry",   {"expiry_seconds": 4},                                 "API-100"),
    ("long expiry",    {"expiry_seconds": 301},                               "API-100"),
    ("stale",          {"is_stale": True},                                    "RFQ-212"),
    ("hours",          {"instrument": replace(EURUSD, trading_hours="Mon-Fri 11:00-12:00")}, "RFQ-214"),
    ("not dealable",   {"instrument": replace(EURUSD, enabled=False)},        "RFQ-214"),
    ("nobody",         {"candidates": ()},                                    "RFQ-202"),
    ("nobody chosen",  {"lp_ids": ("ELM",)},                                  "RFQ-202"),
    ("all throttled",  {"candidates": (c.Candidate(BIRCH, "THROTTLED"),)},    "RFQ-202"),
    ("first of two",   {"rate_count": 10, "is_stale": True},                  "RISK-101"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "code"), [r[1:] for r in DENIALS], ids=[r[0] for r in DENIALS])
def test_denials_are_recorded_with_every_check(changes, code):
    decision = rfq.decide(None, create(**changes))
    assert names(decision) == ["RFQCreated", "RFQDenied"]
    assert decision.reject is not None
    assert decision.reject.code == code
    state, _ = rfq.fold(None, decision.events)
    assert state is not None
    assert (state.status, state.reason_code, state.version) == (Status.DENIED, code, 2)
    assert [check.check for check in state.checks] == [
        "ENTITLEMENT", "VENUE", "RATE", "NOTIONAL", "SIZE", "EXPIRY", "SETTLEMENT", "HOURS",
        "MARKET", "DEALERS",
    ]
    assert any(check.code == code and not check.passed for check in state.checks)
    assert decision.reject.detail == state.reason
    assert "{" not in decision.reject.detail


def test_limits_let_through_what_is_just_within_and_not_one_lot_more():
    within = play(create(rate_count=9, size=D("21810000")))
    notional = next(check for check in within.checks if check.check == "NOTIONAL")
    assert within.status is Status.SENT
    assert (notional.passed, notional.actual, notional.limit) == (True, "24999494.40", "25000000")
    over = rfq.decide(None, create(size=D("21811000")))
    assert over.reject is not None
    assert (over.reject.code, "25,000,640.64" in over.reject.detail) == ("RISK-103", True)


def test_routing_says_why_a_dealer_was_not_asked():
    cases = {
        "OFF": (dealer("OFF", enabled=False), None, "DISABLED"),
        "BONDS": (dealer("BONDS", instrument_ids=("UST10Y",)), None, "INSTRUMENT"),
        "BETA": (dealer("BETA", tenant_ids=("beta",)), None, "TENANT"),
        "BUSY": (dealer("BUSY"), "THROTTLED", "THROTTLED"),
        "ASH": (dealer("ASH", tenant_ids=("alpha",)), None, None),
    }
    candidates = tuple(c.Candidate(d, blocked) for d, blocked, _ in cases.values())
    decision = rfq.decide(None, create(candidates=candidates))
    state, _ = rfq.fold(None, decision.events)
    assert state is not None
    assert {d.routed.lp_id: d.reason for d in state.dealers} == {k: v[2] for k, v in cases.items()}
    sent = next(x for x in decision.events if isinstance(x, e.RFQSent))
    assert [d.lp_id for d in sent.dealers] == ["ASH"]


def test_partial_quotes_between_smallest_and_whole():
    state = play(create(partial_allowed=True, min_size=D("1000000")))
    rows = {"1000000": None, "999000": "LP-302", "2500000": None, "2500500": "LP-302", "5000000": None}
    for size, code in rows.items():
        decision = rfq.decide(state, quote("ASH", "1.14640", size=size))
        assert (decision.reject.code if decision.reject else None) == code, size


def test_ranking_best_price_then_earliest_and_cover_is_recorded():
    late, early = T0 + 90 * MILLISECOND, T0 + 40 * MILLISECOND
    state = play(
        create(), quote("ASH", "1.14638", at=early), quote("BIRCH", "1.14638", at=late),
        quote("CEDAR", "1.14650"),
    )
    at = T0 + SECOND
    assert [(v.quote.lp_id, v.rank) for v in view.quotes(state, at)] == [
        ("ASH", 1), ("BIRCH", 2), ("CEDAR", 3)
    ]
    decision = rfq.decide(state, accept("BIRCH", 3, reason="relationship"))
    accepted = decision.events[0]
    assert isinstance(accepted, e.QuoteAccepted)
    assert (accepted.rank, accepted.was_best, accepted.cover_price, accepted.quotes_live) == (
        2, False, D("1.14638"), 3
    )
    assert accepted.reason == "relationship"


def test_selling_ranks_the_other_way_round():
    state = play(create(side=Side.SELL), quote("ASH", "1.14610"), quote("BIRCH", "1.14612"))
    assert view.best_quote_id(state, T0 + SECOND) == quote_id("BIRCH")
    best = view.quotes(state, T0 + SECOND)[0]
    assert best.quote.spread_to_mid == D("0.00012")


def test_arriving_quotes_do_not_change_the_public_version():
    state = play(*ONE)
    before = state.version
    after = play(quote("BIRCH", "1.14638"), quote("CEDAR", "1.14639"), state=state)
    assert (after.version, after.revision - state.revision) == (before, 2)


def test_a_discarded_quote_is_recorded_once_and_answers_the_same():
    state = play(*ONE, quote("BIRCH", "1.14638", at=END))
    again = rfq.decide(state, quote("BIRCH", "1.14638", at=END + SECOND))
    assert (again.events, again.reject and again.reject.code) == ((), "LP-301")


def test_discards_are_bounded():
    state = play(*SENT)
    for n in range(70):
        decision = rfq.decide(state, quote("ASH", "1.146401", ref=str(n)))
        assert decision.reject is not None
        state, _ = rfq.fold(state, decision.events)
        assert state is not None
    assert len(state.discards) == 64


def test_quote_status_follows_from_time_and_outcome():
    short = quote("ASH", "1.14640", life_ms=1000)
    state = play(create(), short, quote("BIRCH", "1.14638"), quote("CEDAR", "1.14639"))

    def statuses(s, at):
        return {v.quote.lp_id: v.status.value for v in view.quotes(s, at)}

    dies = T0 + 1050 * MILLISECOND
    assert statuses(state, dies - 1)["ASH"] == "QUOTED"
    assert statuses(state, dies)["ASH"] == "EXPIRED"
    done = play(accept("BIRCH", 3, at=dies), state=state)
    assert statuses(done, dies) == {"ASH": "EXPIRED", "BIRCH": "WON", "CEDAR": "LOST"}
    over = play(EXPIRE, state=state)
    assert set(statuses(over, END).values()) == {"EXPIRED"}


def test_an_expired_quote_cannot_be_dealt_and_the_next_best_needs_no_reason():
    state = play(create(), quote("ASH", "1.14630", life_ms=500), quote("BIRCH", "1.14638"))
    late = rfq.decide(state, accept("ASH", 3))
    assert late.reject is not None
    assert late.reject.code == "RFQ-204"
    assert names(rfq.decide(state, accept("BIRCH", 3))) == ["QuoteAccepted"]


def test_last_look_reject_reopens_then_another_quote_is_dealt():
    state = play(*LOOK)
    assert (state.status, view.next_deadline(state)) == (Status.ACCEPTED, T0 + 1500 * MILLISECOND)
    state = play(answer(False), state=state)
    assert (state.status, state.reason_code) == (Status.QUOTING, "RFQ-207")
    assert view.next_deadline(state) == END
    line = state.line(quote_id("CEDAR"))
    assert line is not None
    assert line.taken_back is QuoteStatus.LAST_LOOK_REJECTED
    state = play(accept("BIRCH", state.version, key="accept-2"), traded("BIRCH"), state=state)
    assert (state.status, state.trade_display_id) == (Status.TRADED, "T-1048")


def test_last_look_reject_after_expiry_ends_it():
    last = T0 + 29_900 * MILLISECOND
    state = play(create(), quote("CEDAR", "1.14630"), accept("CEDAR", 3, at=last))
    decision = rfq.decide(state, c.ExpireLastLook(at=last + 500 * MILLISECOND))
    assert names(decision) == ["QuoteAcceptanceRejected", "RFQRejected"]
    state, _ = rfq.fold(state, decision.events)
    assert state is not None
    assert (state.status, state.reason_code) == (Status.REJECTED, "RFQ-213")


def test_a_last_look_reject_keeps_the_dealers_reason_or_says_that_there_was_none():
    state = play(*LOOK)
    given = play(replace(answer(False), reason=" price moved "), state=state)
    silent = play(answer(False), state=state)
    assert given.reason == "price moved"
    assert silent.reason == "the dealer did not stand by the quote"
    assert play(SILENCE, state=state).reason == "no answer in time"


def test_dealer_lines_show_who_answered():
    state = play(*ONE, decline("BIRCH"))
    seen = {d.routed.lp_id: (d.status, d.response_us) for d in state.dealers}
    assert seen == {
        "ASH": (DealerStatus.QUOTED, 50_000), "BIRCH": (DealerStatus.PASSED, SECOND),
        "CEDAR": (DealerStatus.PENDING, None),
    }


def test_unknown_rfq_is_refused_without_events():
    decision = rfq.decide(None, accept("ASH", 2))
    assert (decision.events, decision.reject and decision.reject.code) == ((), "API-104")


def test_recorded_sequences_are_per_entity():
    state = play(*ONE)
    decision = rfq.decide(state, quote("ASH", "1.14639", ref="2"))
    _, recorded = rfq.fold(state, decision.events)
    assert [(r.entity_type, r.entity_id, r.sequence) for r in recorded] == [
        ("Quote", quote_id("ASH"), 2), ("Quote", quote_id("ASH", "2"), 1)
    ]
    assert state.terms.rfq_id == RFQ_ID
