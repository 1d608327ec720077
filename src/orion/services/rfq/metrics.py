"""What the RFQ service counts: dealers' response times and wins, quotes per RFQ, how RFQs end."""

from __future__ import annotations

from functools import cache
from typing import Any

from orion.core.rfq import events as e
from orion.core.rfq.state import Rfq
from orion.platform import telemetry
from orion.platform.transact import Commit
from orion.services.rfq.aggregate import RfqAggregate

_RESPONSE = telemetry.histogram(
    "lp_response_seconds", "From an RFQ's creation to a dealer's first quote", ("lp",)
)
_ANSWERS = telemetry.counter("lp_first_answers", "Dealers' first answers to RFQs", ("lp", "answer"))
_WINS = telemetry.counter("lp_wins", "RFQs that a dealer won", ("lp",))
_LOOKS = telemetry.counter("lp_last_looks", "Last looks by outcome", ("lp", "outcome"))
_QUOTES = telemetry.histogram(
    "rfq_quotes", "Quotes that an RFQ got by its end", buckets=(0, 1, 2, 3, 4, 5, 6, 8, 10, 20)
)
_ENDED = telemetry.counter("rfqs_ended", "RFQs by how they ended", ("status",))
_DISCARDED = telemetry.counter("lp_quotes_discarded", "Quotes that were not used", ("lp", "code"))


class Counting:
    """Counts what each commit brought."""

    def __init__(self, aggregate: RfqAggregate):
        self._aggregate = aggregate

    def heard(self, commit: Commit[Rfq]) -> None:
        """Takes the events of a commit."""
        for record in commit.records:
            event = self._aggregate.take_event(record.event_id)
            if event is not None:
                count(event)
        for _, _, state in commit.states:
            if state.ended_at is not None:
                _ended(state.status.value).inc()
                _QUOTES.observe(len(state.quotes))


_ended, _won = cache(_ENDED.labels), cache(_WINS.labels)


@cache
def _quoted(lp_id: str) -> tuple[Any, Any]:
    """The two series of a dealer that quotes: looked up once, counted often."""
    return _RESPONSE.labels(lp_id), _ANSWERS.labels(lp_id, "quoted")


def count(event: e.Event) -> None:
    """Counts one event."""
    match event:
        case e.QuoteReceived(quote=quote, first=True):
            response, answers = _quoted(quote.lp_id)
            response.observe(quote.response_us / 1_000_000)
            answers.inc()
        case e.QuoteDeclined():
            _ANSWERS.labels(event.lp_id, "passed").inc()
        case e.QuoteDiscarded():
            _DISCARDED.labels(event.lp_id, event.code).inc()
        case e.RFQTraded():
            _won(event.lp_id).inc()
        case e.LastLookPassed():
            _LOOKS.labels(event.quote.lp_id, "passed").inc()
        case e.QuoteAcceptanceRejected():
            outcome = "silent" if event.code == "RFQ-213" else "rejected"
            _LOOKS.labels(event.lp_id, outcome).inc()
        case _:
            pass
