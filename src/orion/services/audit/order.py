"""The order in which a story is told: by time, and where moments are equal by cause."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

# A later number is a consequence of a smaller one where both carry the same moment. Topics have no
# order among each other; within one, the offset rules whatever stands here.
_RANK = {
    "RFQCreated": 0,
    "RFQDenied": 1,
    "RFQSent": 1,
    "QuoteReceived": 2,
    "QuoteDeclined": 2,
    "QuoteWithdrawn": 2,
    "RFQQuoting": 3,
    "QuoteAccepted": 4,
    "LastLookPassed": 5,
    "QuoteAcceptanceRejected": 5,
    "TradeExecuted": 6,
    "RFQTraded": 7,
    "RFQRejected": 7,
    "RFQExpired": 7,
    "RFQCancelled": 7,
    "QuoteDiscarded": 8,
}
_UNKNOWN = 4


def causal(rows: Sequence[Any]) -> list[Any]:
    """Rows by time; at one moment cause before effect, each (topic, partition) in offset order."""
    told: list[Any] = []
    by_time = sorted(rows, key=lambda r: (r["at"], r["topic"], r["part"], r["offs"]))
    for _, moment in groupby(by_time, key=lambda r: r["at"]):
        told.extend(_merged(moment))
    return told


def _merged(moment: Iterable[Any]) -> Iterable[Any]:
    chains = [list(c) for _, c in groupby(moment, key=lambda r: (r["topic"], r["part"]))]
    while chains:
        chain = min(chains, key=lambda c: _RANK.get(c[0]["type"], _UNKNOWN))
        yield chain.pop(0)
        chains = [c for c in chains if c]
