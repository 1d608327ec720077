"""A story is told in the order of causes, whatever order the database gave its rows in."""

from __future__ import annotations

import random
from typing import Any

from orion.services.audit.order import causal


def row(at: int, topic: str, offset: int, name: str) -> dict[str, Any]:
    return {"at": at, "topic": topic, "part": 4, "offs": offset, "type": name}


TOLD = [
    row(1, "rfq.lifecycle", 4, "RFQCreated"),
    row(1, "rfq.lifecycle", 5, "RFQSent"),
    row(7, "rfq.quotes", 90, "QuoteReceived"),
    row(7, "rfq.lifecycle", 6, "RFQQuoting"),
    row(9, "rfq.lifecycle", 7, "QuoteAccepted"),
    row(9, "execution.trades", 0, "TradeExecuted"),
    row(9, "rfq.lifecycle", 8, "RFQTraded"),
    row(9, "rfq.quotes", 91, "QuoteDiscarded"),
]


def test_cause_before_effect_at_one_moment() -> None:
    dice = random.Random(7)
    for _ in range(200):
        mixed = dice.sample(TOLD, len(TOLD))
        assert causal(mixed) == TOLD


def test_offsets_of_one_partition_rule_over_ranks() -> None:
    odd = [
        row(3, "rfq.lifecycle", 1, "RFQTraded"),
        row(3, "rfq.lifecycle", 2, "RFQCreated"),
        row(3, "x.unknown", 9, "Unheard"),
    ]
    told = causal(odd[::-1])
    assert [r["offs"] for r in told if r["topic"] == "rfq.lifecycle"] == [1, 2]
    assert len(told) == 3
