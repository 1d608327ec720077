"""The comparison of `orion chaos` finds every lie that is planted, and none in what is true."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos.facts import Event, Facts, Kept
from benchmarks.chaos.history import FAILED, OK, UNKNOWN, History, Op, Try, read
from benchmarks.chaos.judge import judge

TENANT = "alpha"


class World:
    """A small true world: RFQs with their commands, told as they happened."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.facts = Facts()
        self.clock = 0

    def op(
        self, kind: str, outcome: str, said: dict[str, Any], *, rfq: str = "", **body: Any
    ) -> Op:
        op = Op(len(self.ops), kind, TENANT, f"u@{TENANT}", f"key-{len(self.ops)}", rfq, body)
        self.ops.append(op)
        self.tell(op, outcome, said)
        return op

    def tell(self, op: Op, outcome: str, said: dict[str, Any]) -> None:
        status = {OK: 200, FAILED: 409, UNKNOWN: 0}[outcome]
        op.tries.append(Try(self.clock, self.clock + 5, outcome, status, said, str(said)))
        self.clock += 10

    def keep(self, op: Op, said: dict[str, Any]) -> None:
        command = op.kind if op.kind == "create" else f"{op.kind} {op.rfq}"
        kept = Kept(
            command, said.get("code", ""), said.get("rfqId", ""), said.get("version", 0),
            said.get("status", ""),
        )  # fmt: skip
        self.facts.replies[TENANT, op.key] = [kept]

    def happen(self, rfq: str, kind: str, cause: str = "", **more: Any) -> None:
        events = self.facts.events.setdefault((TENANT, rfq), [])
        events.append(Event(kind, len(events) + 1, cause, **more))

    def create(self, rfq: str, *, first: str = OK) -> Op:
        said = {"rfqId": rfq, "status": "SENT", "version": 2}
        op = self.op("create", first, said if first == OK else {})
        if first == UNKNOWN:
            self.tell(op, OK, said)
        self.happen(rfq, "RFQCreated", op.key)
        self.happen(rfq, "RFQSent", op.key)
        self.keep(op, said)
        self.facts.states[TENANT, rfq] = "SENT"
        return op

    def traded(self, rfq: str, *, first: str = OK) -> Op:
        self.create(rfq)
        self.happen(rfq, "RFQQuoting")
        said = {"rfqId": rfq, "status": "ACCEPTED", "version": 4, "tradeId": f"t-{rfq}"}
        op = self.op("accept", first, said if first == OK else {}, rfq=rfq, quoteId=f"q-{rfq}")
        if first == UNKNOWN:
            self.tell(op, OK, said)
        trade = {"trade_id": f"t-{rfq}", "quote_id": f"q-{rfq}"}
        self.happen(rfq, "QuoteAccepted", op.key, final=True, **trade)
        self.happen(rfq, "RFQTraded")
        self.keep(op, said)
        self.facts.trades[TENANT, rfq] = [(f"t-{rfq}", f"q-{rfq}")]
        self.facts.states[TENANT, rfq] = "TRADED"
        self.op("read", OK, {"rfqId": rfq, "status": "TRADED", "version": 5}, rfq=rfq)
        return op

    def refused_cancel(self, rfq: str) -> Op:
        self.traded(rfq)
        said = {"code": "RFQ-205"}
        op = self.op("cancel", FAILED, said, rfq=rfq)
        self.keep(op, said)
        return op

    def denied(self, rfq: str) -> Op:
        said = {"code": "RISK-103", "rfqId": rfq, "status": "DENIED", "version": 2}
        op = self.op("create", FAILED, said)
        self.happen(rfq, "RFQCreated", op.key)
        self.happen(rfq, "RFQDenied", op.key)
        self.keep(op, said)
        self.facts.states[TENANT, rfq] = "DENIED"
        return op

    def cancelled(self, rfq: str) -> Op:
        self.create(rfq)
        said = {"rfqId": rfq, "status": "CANCELLED", "version": 3}
        op = self.op("cancel", OK, said, rfq=rfq)
        self.happen(rfq, "RFQCancelled", op.key)
        self.keep(op, said)
        self.facts.states[TENANT, rfq] = "CANCELLED"
        return op


def whole() -> World:
    """One life of each kind."""
    world = World()
    world.traded("r1")
    world.traded("r2", first=UNKNOWN)
    world.refused_cancel("r3")
    world.denied("r4")
    world.cancelled("r5")
    world.create("r6", first=UNKNOWN)
    return world


def find(world: World, kind: str, outcome: str = OK, number: int = 0) -> Op:
    return [op for op in world.ops if op.kind == kind and op.outcome == outcome][number]


def test_what_is_true_is_left_alone():
    world = whole()
    verdict = judge(world.ops, world.facts)
    assert verdict.violations == []
    assert verdict.counted["accept ok"] == 3
    assert verdict.counted["repeats"] == 2
    assert verdict.counted["answers in order"] == 12


def _lost_reply(world: World) -> None:
    op = find(world, "accept")
    op.tries = [Try(op.tries[0].at)]


def _lost_command(world: World) -> None:
    del world.facts.events[TENANT, "r6"]
    del world.facts.states[TENANT, "r6"]


def _lost_accept(world: World) -> None:
    events = world.facts.events[TENANT, "r1"]
    del events[3:]
    del world.facts.trades[TENANT, "r1"]
    world.facts.states[TENANT, "r1"] = "QUOTING"


def _lost_cancel(world: World) -> None:
    world.facts.events[TENANT, "r5"].pop()
    world.facts.states[TENANT, "r5"] = "SENT"


def _doubled_trade(world: World) -> None:
    world.facts.trades[TENANT, "r1"] *= 2


def _other_trade(world: World) -> None:
    find(world, "accept").tries[0].said["tradeId"] = "another"


def _missing_trade(world: World) -> None:
    del world.facts.trades[TENANT, "r1"]


def _trade_unasked(world: World) -> None:
    world.facts.trades[TENANT, "r5"] = [("t-r5", "q-r5")]


def _trade_from_nowhere(world: World) -> None:
    world.facts.trades[TENANT, "r9"] = [("t-r9", "q-r9")]


def _doubled_create(world: World) -> None:
    op = find(world, "create")
    world.happen("r8", "RFQCreated", op.key)
    world.happen("r8", "RFQSent", op.key)
    world.facts.states[TENANT, "r8"] = "SENT"


def _refused_with_effect(world: World) -> None:
    op = find(world, "cancel", FAILED)
    world.happen("r3", "RFQCancelled", op.key)
    world.facts.states[TENANT, "r3"] = "CANCELLED"


def _refused_create_with_effect(world: World) -> None:
    world.facts.events[TENANT, "r4"][1] = replace(
        world.facts.events[TENANT, "r4"][1], type="RFQSent"
    )


def _nobody_asked(world: World) -> None:
    events = world.facts.events[TENANT, "r5"]
    events[-1] = replace(events[-1], cause="nobody-0001")


def _two_answers(world: World) -> None:
    world.tell(find(world, "accept"), OK, {"rfqId": "r1", "status": "TRADED", "version": 5})


def _ok_then_refused(world: World) -> None:
    world.tell(find(world, "accept"), FAILED, {"code": "RFQ-205"})


def _other_reply_kept(world: World) -> None:
    name = (TENANT, find(world, "accept").key)
    world.facts.replies[name] = [replace(world.facts.replies[name][0], status="TRADED", version=5)]


def _no_reply_kept(world: World) -> None:
    del world.facts.replies[TENANT, find(world, "cancel", FAILED).key]


def _two_replies_kept(world: World) -> None:
    world.facts.replies[TENANT, find(world, "create").key] *= 2


def _refusal_kept(world: World) -> None:
    world.facts.replies[TENANT, find(world, "accept").key] = [Kept("accept r1", "RFQ-204")]


def _another_refusal_kept(world: World) -> None:
    world.facts.replies[TENANT, find(world, "cancel", FAILED).key] = [Kept("cancel r3", "RFQ-204")]


def _old_read(world: World) -> None:
    world.op("read", OK, {"rfqId": "r1", "status": "QUOTING", "version": 3}, rfq="r1")


def _wrong_status_read(world: World) -> None:
    world.op("read", OK, {"rfqId": "r1", "status": "ACCEPTED", "version": 5}, rfq="r1")


def _state_differs(world: World) -> None:
    world.facts.states[TENANT, "r1"] = "ACCEPTED"


def _no_state(world: World) -> None:
    del world.facts.states[TENANT, "r1"]


def _illegal_move(world: World) -> None:
    world.happen("r5", "RFQExpired")
    world.facts.states[TENANT, "r5"] = "CANCELLED"


def _gap(world: World) -> None:
    events = world.facts.events[TENANT, "r1"]
    events[-1] = replace(events[-1], seq=6)


def _not_told(world: World) -> None:
    world.facts.events[TENANT, "r1"].pop()
    world.facts.states[TENANT, "r1"] = "ACCEPTED"
    world.ops = [op for op in world.ops if not (op.kind == "read" and op.rfq == "r1")]


def _bug(world: World) -> None:
    find(world, "create").tries.insert(0, Try(0, 1, UNKNOWN, 500, {"code": "SYS-900"}))


def _shut_out(world: World) -> None:
    world.op("read", FAILED, {"code": "API-104"}, rfq="r1")


LIES: dict[Callable[[World], None], str] = {
    _lost_reply: "every outcome is known",
    _lost_command: "acknowledged and lost",
    _lost_accept: "acknowledged and lost",
    _lost_cancel: "acknowledged and lost",
    _doubled_trade: "1 final accepts, 2 trades",
    _missing_trade: "1 final accepts, 0 trades",
    _other_trade: "was told, Event",
    _trade_unasked: "without an accept that was acknowledged",
    _trade_from_nowhere: "a trade without an RFQ",
    _doubled_create: "took effect 2 times",
    _refused_with_effect: "refused, yet ['RFQCancelled']",
    _refused_create_with_effect: "refused, yet ['RFQCreated', 'RFQSent']",
    _nobody_asked: "RFQCancelled by nobody-0001",
    _two_answers: "one key, one answer",
    _ok_then_refused: "told ok and failed",
    _other_reply_kept: "the kept reply is the one that was told",
    _no_reply_kept: "no reply is kept",
    _two_replies_kept: "2 replies are kept",
    _refusal_kept: "ok was told, kept is",
    _another_refusal_kept: "RFQ-205 was told, kept is RFQ-204",
    _old_read: "told version 3 after 5 was told",
    _wrong_status_read: "told ACCEPTED at version 5, the log says TRADED",
    _state_differs: "the state says ACCEPTED",
    _no_state: "events without a state",
    _illegal_move: "RFQExpired is no move from CANCELLED",
    _gap: "version 6 where 5 was due",
    _not_told: "the RFQ was not told of its trade once",
    _bug: "a bug of ours",
    _shut_out: "API-104",
}


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.strip("_"))
def test_each_planted_lie_is_found(lie: Callable[[World], None]):
    world = whole()
    lie(world)
    assert LIES[lie] in "\n".join(judge(world.ops, world.facts).violations)


@given(
    st.lists(
        st.sampled_from(["traded", "refused_cancel", "denied", "cancelled", "create"]),
        min_size=1, max_size=12,
    ),
    st.data(),
)  # fmt: skip
def test_any_true_history_is_clean_and_any_lost_or_doubled_effect_is_found(
    lives: list[str], data: st.DataObject
):
    world = World()
    for number, life in enumerate(lives):
        getattr(world, life)(f"r{number}")
    assert judge(world.ops, world.facts).violations == []
    facts = deepcopy(world.facts)
    name = data.draw(st.sampled_from(sorted(facts.events)))
    event = data.draw(st.sampled_from(facts.events[name]))
    if data.draw(st.booleans()):
        facts.events[name].remove(event)
    else:
        facts.events[name].append(event)
    assert judge(world.ops, facts).violations


def test_a_history_that_was_kept_is_the_same_when_it_is_read(tmp_path: Path):
    history = History(tmp_path / "history.jsonl")
    create = history.ask("create", "alpha", "u@alpha", key="key-0001", body={"size": "1"})
    first, second = history.leave(create), history.leave(create)
    history.hear(create, second, OK, 201, {"rfqId": "r1", "version": 2, "serverTime": "now"})
    history.hear(create, first, UNKNOWN, 503, {"code": "SYS-901"})
    asked = history.ask("read", "alpha", "u@alpha", rfq="r1")
    history.leave(asked)
    history.close()
    assert read(history.path) == history.ops
    assert history.acked == 1
    assert create.outcome == OK
    assert create.rfq_id == "r1"
    assert asked.outcome == UNKNOWN


def test_a_reply_is_compared_without_what_is_of_the_moment(tmp_path: Path):
    history = History(tmp_path / "history.jsonl")
    op = history.ask("create", "alpha", "u@alpha", key="key-0001")
    for moment, size in (("1", "5"), ("2", "5"), ("3", "6")):
        one = history.leave(op)
        history.hear(op, one, OK, 201, {"rfqId": "r", "requestId": moment, "size": size})
    history.close()
    digests = [one.digest for one in op.tries]
    assert digests[0] == digests[1] != digests[2]
    assert history.acked == 1, "one command, however often it is told"
