"""Dealers' statistics: asked, quoted, won, went back. Sums only, so order does not matter."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from orion.core.rfq import events as e
from orion.platform.bus.port import Record
from orion.platform.project import RowOperation, Upsert
from orion.services.rfq.blotter import event_in

TABLE = "rm_dealer_statistics"
BUCKETS = 24
COUNTERS = (
    "requests", "quoted", "passed", "late", "won", "last_look_asked", "last_look_rejected",
    "spread_count", "spread_centi_bps", *(f"response_{n:02}" for n in range(BUCKETS)),
)  # fmt: skip
# Upper bounds in milliseconds, each half as much again as the one before: 1 ms to 7.5 s.
BOUNDS = tuple(1.5**n for n in range(BUCKETS - 1))


def bucket_of(response_us: int) -> int:
    """The bucket that a response time falls into."""
    return bisect_left(BOUNDS, response_us / 1000)


def quantile(counts: Sequence[int], part: float) -> float | None:
    """The response time in ms below which `part` of the answers lie; None without answers.

    Inside a bucket the answers are taken to lie evenly.
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted, seen = part * total, 0
    for index, count in enumerate(counts):
        if count and seen + count >= wanted:
            low = BOUNDS[index - 1] if index else 0.0
            high = BOUNDS[index] if index < len(BOUNDS) else low * 1.5
            return round(low + (high - low) * (wanted - seen) / count, 3)
        seen += count
    return None


def spread_centi_bps(spread: Decimal, mid: Decimal) -> int:
    """A spread to mid as a whole number of hundredths of a basis point of the mid."""
    return int((spread / mid * 1_000_000).to_integral_value())


class DealerStatistics:
    """rm_dealer_statistics: a row of counters per tenant and dealer."""

    name = TABLE
    service = "rfq"
    topics: tuple[str, ...] = ("rfq.lifecycle", "rfq.quotes")
    tables: tuple[str, ...] = (TABLE,)
    counters: Mapping[str, tuple[str, ...]] = {TABLE: COUNTERS}

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """What this event adds, per dealer."""
        event = event_in(record)
        if isinstance(event, e.RFQSent):
            return [self._add(record.tenant, d.lp_id, {"requests": 1}) for d in event.dealers]
        lp_id, counts = _counted(event)
        return [self._add(record.tenant, lp_id, counts)] if counts else ()

    @staticmethod
    def _add(tenant: str, lp_id: str, counts: Mapping[str, int]) -> Upsert:
        return Upsert(TABLE, {"tenant": tenant, "lp_id": lp_id}, add=counts)


def _counted(event: Any) -> tuple[str, dict[str, int]]:
    match event:
        case e.QuoteReceived(quote=quote, first=first):
            counts: dict[str, int] = {}
            if first:
                counts = {"quoted": 1, f"response_{bucket_of(quote.response_us):02}": 1}
            if quote.spread_to_mid is not None and event.mid:
                counts["spread_count"] = 1
                counts["spread_centi_bps"] = spread_centi_bps(quote.spread_to_mid, event.mid)
            return quote.lp_id, counts
        case e.QuoteDeclined():
            return event.lp_id, {"passed": 1}
        case e.QuoteDiscarded(code="LP-301"):
            return event.lp_id, {"late": 1}
        case e.QuoteAccepted(final=True) | e.LastLookPassed():
            return event.quote.lp_id, {"won": 1}
        case e.QuoteAccepted():
            return event.quote.lp_id, {"last_look_asked": 1}
        case e.QuoteAcceptanceRejected():
            return event.lp_id, {"last_look_rejected": 1}
        case _:
            return "", {}
