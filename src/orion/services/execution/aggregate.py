"""The trade for the owner: what an RFQ's acceptance becomes, and what is written of it."""

from __future__ import annotations

from typing import Any

from orion.core import trade as t
from orion.core.ids import event_id
from orion.core.records import changed
from orion.core.rfq.events import LastLookPassed, QuoteAccepted
from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage
from orion.platform.transact import Context, Decided, Fact, Snapshot
from orion.wire.envelope import InvalidEvent, decode, encode
from orion.wire.states import SCHEMAS, decode_state, encode_state

TOPIC = "execution.trades"
SOURCE = "rfq.lifecycle"
HEARD = frozenset({QuoteAccepted.__name__, LastLookPassed.__name__})


class TradeAggregate:
    """core.trade on the hot path. A trade is over when it is made: it leaves memory at once."""

    service = "execution"
    topics: tuple[str, ...] = (TOPIC,)
    schema = SCHEMAS[t.Trade]

    def decide(
        self, state: t.Trade | None, command: t.ExecuteTrade, context: Context
    ) -> Decided[t.Trade]:
        """Makes the trade, or finds it made."""
        command = changed(command, at=context.at)
        decision = t.decide(state, command)
        facts = []
        for event in decision.events:
            state = t.evolve(state, event)
            facts.append(_fact(event, command, context))
        return Decided(state if facts else None, tuple(facts), reply=state)

    def dump(self, state: t.Trade) -> Snapshot:
        """The trade as its row."""
        return Snapshot(
            version=1, live=False, status=state.status.value, deadline=None,
            ordinal=(int(state.display_id.removeprefix("T-")) - 1000) // 8,
            body=encode_state(state), schema=self.schema,
        )  # fmt: skip

    def load(self, snapshot: Snapshot) -> t.Trade:
        """The trade of a row."""
        return decode_state(t.Trade, snapshot.body, snapshot.schema)

    def on_deadline(self, state: t.Trade, deadline: int) -> Any:
        """Trades have no deadlines."""
        raise AssertionError("a trade has no deadline")

    def reply(self, stored: bytes) -> Any:
        """Trades are made from events, not from commands with keys."""
        raise AssertionError("a trade has no stored replies")

    def warm(self, part: int, records: Any) -> None:
        """Nothing to remember."""


def _fact(event: t.TradeExecuted, command: t.ExecuteTrade, context: Context) -> Fact:
    trade = event.trade
    place = t.place(event)
    identity = event_id(trade.tenant_id, place.entity_type, place.entity_id, place.sequence)
    body = encode(
        event, tenant=trade.tenant_id, entity_id=place.entity_id, sequence=place.sequence,
        at=event.at, producer="execution", correlation_id=trade.correlation_id,
        causation_id=trade.quote_id, event_id_=identity,
    )  # fmt: skip
    return Fact(TOPIC, place.entity_id, place.sequence, type(event).__name__, identity, body)


def heard(record: Record) -> tuple[str, t.ExecuteTrade] | None:
    """The trade that a record of rfq.lifecycle leads to. Raises InvalidMessage for one that cannot
    be read."""
    if record.type not in HEARD:
        return None
    try:
        _, event = decode(record.body)
    except InvalidEvent as problem:
        raise InvalidMessage(
            record.topic, record.part, record.offset, problem.reason, problem.diagnostics
        ) from problem
    command = t.command_of(event, record.at)
    return None if command is None else (command.trade_id, command)
