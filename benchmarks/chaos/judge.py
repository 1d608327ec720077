"""The comparison: what clients were told against what happened. Pure: planted lies prove it.

Every rule gives sentences; none is silent about something it could not look at.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.facts import Event, Facts, Name
from benchmarks.chaos.history import COMMANDS, FAILED, OK, UNKNOWN, Op
from orion.core.rfq.state import MOVES

CAUSED = {"create": "RFQCreated", "accept": "QuoteAccepted", "cancel": "RFQCancelled"}
REFUSALS = (
    "RFQ-",
    "RISK-",
    "LP-",
)  # of business; every other refusal of these commands is a fault of ours
_NEXT = {
    (status.value if status else None, event.__name__): after.value
    for (status, event), after in MOVES.items()
}


@dataclass
class Verdict:
    """What was looked at, and what is wrong."""

    counted: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, rule: str, found: Iterator[str]) -> None:
        """The outcome of a rule."""
        self.violations += [f"{rule}: {text}" for text in found]


def judge(ops: Sequence[Op], facts: Facts) -> Verdict:
    """Every rule over the whole history."""
    verdict = Verdict()
    for op in ops:
        verdict.counted[f"{op.kind} {op.outcome}"] += 1
        verdict.counted["repeats"] += op.kind in COMMANDS and len(op.tries) > 1
    commands = [op for op in ops if op.kind in COMMANDS]
    by_cause: dict[Name, list[tuple[str, Event]]] = defaultdict(list)
    for (tenant, rfq), events in facts.events.items():
        verdict.counted["events"] += len(events)
        for event in events:
            if event.cause:
                by_cause[tenant, event.cause].append((rfq, event))
    verdict.counted["trades"] = sum(map(len, facts.trades.values()))
    verdict.add("every outcome is known", _known(commands))
    verdict.add("one key, one answer", _one_answer(commands))
    verdict.add("the kept reply is the one that was told", _kept(commands, facts))
    verdict.add("acknowledged is there, once", _acknowledged(commands, by_cause, facts))
    verdict.add("refused leaves no trace", _refused(commands, by_cause))
    verdict.add("nothing was done unasked", _unasked(commands, facts))
    verdict.add("one trade for each final accept", _trades(commands, facts))
    verdict.add("only refusals of business", _expected(ops))
    verdict.add("each RFQ's order is legal", _order(ops, facts, verdict))
    return verdict


def _name(op: Op) -> str:
    return f"{op.kind} {op.tenant} {op.key or op.rfq}"


def _known(commands: Sequence[Op]) -> Iterator[str]:
    for op in commands:
        if op.outcome == UNKNOWN:
            yield f"{_name(op)}: nobody knows what became of it after {len(op.tries)} tries"


def _one_answer(commands: Sequence[Op]) -> Iterator[str]:
    for op in commands:
        told = [t for t in op.tries if t.outcome != UNKNOWN]
        if len({t.outcome for t in told}) > 1:
            yield f"{_name(op)}: told {' and '.join(t.outcome for t in told)}"
        elif told and told[0].outcome == OK and len({(t.status, t.digest) for t in told}) > 1:
            yield f"{_name(op)}: told {[t.said for t in told]}"
        elif len({(t.status, t.said.get("code"), t.said.get("rfqId")) for t in told}) > 1:
            yield f"{_name(op)}: refused with {[t.said.get('code') for t in told]}"


def _kept(commands: Sequence[Op], facts: Facts) -> Iterator[str]:
    """The inbox holds exactly what was told, under the key; and nothing that was not told."""
    for op in commands:
        kept, told = facts.replies.get((op.tenant, op.key), []), op.told
        if told is None:
            continue
        said = told.said
        if len(kept) > 1:
            yield f"{_name(op)}: {len(kept)} replies are kept"
        elif not kept:
            if told.outcome == OK or said.get("code", "").startswith(REFUSALS):
                yield f"{_name(op)}: no reply is kept, {told.outcome} was told"
        elif (kept[0].code == "") != (told.outcome == OK):
            yield f"{_name(op)}: {told.outcome} was told, kept is {kept[0]}"
        elif told.outcome == FAILED and kept[0].code != said.get("code"):
            yield f"{_name(op)}: {said.get('code')} was told, kept is {kept[0].code}"
        elif told.outcome == OK and (kept[0].rfq_id, kept[0].version, kept[0].status) != (
            said.get("rfqId"), said.get("version"), said.get("status"),
        ):  # fmt: skip
            yield f"{_name(op)}: {said} was told, kept is {kept[0]}"


def _acknowledged(
    commands: Sequence[Op], by_cause: dict[Name, list[tuple[str, Event]]], facts: Facts
) -> Iterator[str]:
    for op in commands:
        told = op.told
        if told is None or told.outcome != OK:
            continue
        mine = [(r, e) for r, e in by_cause[op.tenant, op.key] if e.type == CAUSED[op.kind]]
        rfq, version = told.said.get("rfqId", ""), told.said.get("version", 0)
        story = facts.events.get((op.tenant, rfq), [])
        if not mine and op.kind == "cancel":  # somebody else's cancel came first
            if not any(e.type == CAUSED["cancel"] and e.seq <= version for e in story):
                yield f"{_name(op)}: acknowledged and lost"
        elif not mine:
            yield f"{_name(op)}: acknowledged and lost"
        elif len(mine) > 1:
            yield f"{_name(op)}: took effect {len(mine)} times"
        elif mine[0][0] != rfq or (op.rfq and op.rfq != rfq):
            yield f"{_name(op)}: {rfq} was told, it happened to {mine[0][0]}"
        elif op.kind == "accept" and not _is_as_told(op, mine[0][1]):
            yield f"{_name(op)}: {told.said} was told, {mine[0][1]} happened"


def _is_as_told(accept: Op, event: Event) -> bool:
    """The quote that was asked for; and the trade, which is told where the accept is final."""
    told = accept.told
    assert told is not None
    trade = told.said.get("tradeId")
    return event.quote_id == accept.body.get("quoteId") and trade == (
        event.trade_id if event.final else None
    )


def _refused(
    commands: Sequence[Op], by_cause: dict[Name, list[tuple[str, Event]]]
) -> Iterator[str]:
    """A refusal changes nothing; a denied RFQ is kept as denied; time may be told on the way."""
    for op in commands:
        if op.outcome != FAILED:
            continue
        left = sorted(e.type for _, e in by_cause[op.tenant, op.key] if e.type != "RFQExpired")
        denied = op.kind == "create" and op.told is not None and "rfqId" in op.told.said
        if left != (["RFQCreated", "RFQDenied"] if denied else []):
            yield f"{_name(op)}: refused, yet {left or 'the denied RFQ is not there'}"


def _unasked(commands: Sequence[Op], facts: Facts) -> Iterator[str]:
    asked = {(op.tenant, op.key): op for op in commands}
    for (tenant, rfq), events in facts.events.items():
        for event in events:
            if event.type not in CAUSED.values():
                continue
            op = asked.get((tenant, event.cause))
            if op is None or CAUSED[op.kind] != event.type:
                yield f"{tenant} {rfq}: {event.type} by {event.cause or 'nobody'}"
        if events and facts.states.get((tenant, rfq)) is None:
            yield f"{tenant} {rfq}: events without a state"


def _trades(commands: Sequence[Op], facts: Facts) -> Iterator[str]:
    told: dict[Name, set[str]] = defaultdict(set)
    for op in commands:
        answer = op.told
        if op.kind == "accept" and answer is not None and answer.outcome == OK:
            told[op.tenant, op.rfq].add(op.body.get("quoteId", ""))
    for name, events in facts.events.items():
        accepts = [e for e in events if e.type == "QuoteAccepted"]
        final = [e for e in accepts if e.final] + [e for e in events if e.type == "LastLookPassed"]
        trades = facts.trades.get(name, [])
        where = " ".join(name)
        if len(trades) != len(final):
            yield f"{where}: {len(final)} final accepts, {len(trades)} trades"
        for trade_id, quote_id in trades:
            if quote_id not in told[name]:
                yield f"{where}: trade {trade_id} without an accept that was acknowledged"
            if not any(e.trade_id == trade_id and e.quote_id == quote_id for e in accepts):
                yield f"{where}: trade {trade_id} is of a quote that nobody accepted"
        if len(trades) != sum(e.type == "RFQTraded" for e in events):
            yield f"{where}: the RFQ was not told of its trade once"
    for name in facts.trades.keys() - facts.events.keys():
        yield f"{' '.join(name)}: a trade without an RFQ"


def _expected(ops: Sequence[Op]) -> Iterator[str]:
    for op in ops:
        for one in op.tries:
            code = one.said.get("code", "")
            if one.outcome == FAILED and not code.startswith(REFUSALS):
                yield f"{_name(op)}: {one.status} {code}"
            elif code == "SYS-900" or one.status == 500:
                yield f"{_name(op)}: {one.status} {code}: a bug of ours"


def _order(ops: Sequence[Op], facts: Facts, verdict: Verdict) -> Iterator[str]:
    """What was told fits the log's order, and the log's order fits the order of the requests."""
    stories: dict[Name, list[Op]] = defaultdict(list)
    for op in ops:
        if op.outcome == OK and op.rfq_id:
            stories[op.tenant, op.rfq_id].append(op)
    for name, mine in stories.items():
        events = facts.events.get(name, [])
        status_at, wrong = _walk(events)
        yield from (f"{' '.join(name)}: {text}" for text in wrong)
        if events and facts.states.get(name) != status_at[len(events)]:
            yield f"{' '.join(name)}: the state says {facts.states.get(name)}"
        seen = 0  # the highest version that any answer so far told
        moments: list[tuple[int, int, Op]] = []
        for op in mine:
            told = op.told
            assert told is not None
            assert told.ended is not None
            moments += [(op.tries[0].at, 1, op), (told.ended, 0, op)]
        # What was told before a command first left, or a question was asked, is not undone by it.
        floors: dict[int, int] = {}
        for _, is_start, op in sorted(moments, key=lambda m: (m[0], m[1])):
            told = op.told
            assert told is not None
            version = told.said.get("version", 0)
            if is_start:
                floors[op.n] = seen
                continue
            verdict.counted["answers in order"] += 1
            seen = max(seen, version)
            if version < floors[op.n]:
                yield f"{_name(op)}: told version {version} after {floors[op.n]} was told"
            elif told.said.get("status") != status_at.get(version):
                yield (
                    f"{_name(op)}: told {told.said.get('status')} at version {version}, the log"
                    f" says {status_at.get(version)}"
                )


def _walk(events: Sequence[Event]) -> tuple[dict[int, str | None], list[str]]:
    """The status after each version, and what is no legal move."""
    status: str | None = None
    after: dict[int, str | None] = {0: None}
    wrong: list[str] = []
    for number, event in enumerate(events, 1):
        if event.seq != number:
            wrong.append(f"version {event.seq} where {number} was due")
        if (status, event.type) not in _NEXT:
            wrong.append(f"{event.type} is no move from {status or 'nothing'}")
        status = _NEXT.get((status, event.type), status)
        after[number] = status
    return after, wrong
