"""The SQL of the RFQ service's read models."""

from __future__ import annotations

from typing import Any

from orion.core.permissions import Scope
from orion.platform.caller import Caller
from orion.platform.listing import Listing, Where, visible
from orion.platform.store.port import Sql
from orion.services.rfq.statistics import BUCKETS
from orion.wire.stubs import common_pb2, rfq_pb2

COLUMNS = """rfq_id, display_id, status, version, correlation_id, tenant, requester, desk,
    instrument_id, side, size, currency, min_size, partial_allowed, venue_id, settlement_date,
    expiry_seconds, created_at, expires_at,
    ended_at, mid_at_request, accepted_quote_id, trade_id, reason_code, reason,
    dealer_count, quote_count, lowest, highest, price, lp_id"""
SIDES = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}


BLOTTER = Listing("rfqs", "rfq.rm_rfq_blotter", COLUMNS, "created_at", "rfq_id")
FOUND = ("display_id", "rfq_id", "instrument_id", "requester", "correlation_id", "lp_id")
EQUAL = (
    "requester", "lp_id", "rfq_id", "correlation_id", "desk", "venue_id", "display_id", "currency",
    "settlement_date", "trade_id", "reason_code",
)  # fmt: skip


def conditions(caller: Caller, scope: Scope, wanted: rfq_pb2.RFQFilter) -> Where:
    """What the caller may see and wants to see."""
    where = visible(caller, scope.value)
    where.add("created_at is not null")
    where.among("status", wanted.status)
    where.among("instrument_id", wanted.instrument_id)
    where.equal("side", SIDES.get(wanted.side) if wanted.HasField("side") else None)
    for column in EQUAL:
        where.equal(column, getattr(wanted, column))
    if wanted.trade_id:
        # Derived when a quote is accepted; a trade only when the RFQ is done.
        where.equal("status", "TRADED")
    where.number("size", wanted.size)
    where.number("price", wanted.price)
    where.between("created_at", wanted)
    where.contains(FOUND, wanted.q)
    return where


def row_of(row: Any, at: int) -> rfq_pb2.RFQRow:
    """A line of the blotter as it travels."""
    shown = rfq_pb2.RFQDetails(
        rfq_id=row["rfq_id"],
        display_id=row["display_id"],
        status=row["status"],
        version=row["version"],
        correlation_id=row["correlation_id"],
        tenant_id=row["tenant"],
        requester=row["requester"],
        desk=row["desk"],
        instrument_id=row["instrument_id"],
        side=common_pb2.BUY if row["side"] == "BUY" else common_pb2.SELL,
        size=row["size"],
        currency=row["currency"],
        min_size=row["min_size"],
        partial_allowed=row["partial_allowed"],
        venue_id=row["venue_id"],
        settlement_date=row["settlement_date"],
        expiry_seconds=row["expiry_seconds"],
        created_at_us=row["created_at"],
        expires_at_us=row["expires_at"],
        ended_at_us=row["ended_at"],
        mid_at_request=row["mid_at_request"],
        accepted_quote_id=row["accepted_quote_id"],
        reason_code=row["reason_code"],
        reason=row["reason"],
        server_time_us=at,
    )
    if row["status"] == "TRADED":
        shown.trade_id = row["trade_id"]
        shown.trade_display_id = "T-" + row["display_id"].removeprefix("R-")
    best = row["lowest"] if row["side"] == "BUY" else row["highest"]
    return rfq_pb2.RFQRow(
        rfq=shown,
        # Topics have no order between them: a quote's end may be counted a moment before it.
        quote_count=max(0, row["quote_count"]),
        dealer_count=row["dealer_count"] or 0,
        best_price=None if best is None else format(best, "f"),
        price=row["price"],
        lp_id=row["lp_id"],
    )


async def dealer_rows(sql: Sql, tenant: str) -> list[Any]:
    """Counters of all dealers for a tenant."""
    counters = ", ".join(f"response_{n:02}" for n in range(BUCKETS))
    query = (
        "select lp_id, requests, quoted, won, passed, last_look_asked, last_look_rejected, "  # noqa: S608 - ours
        f"spread_count, spread_centi_bps, {counters} "
        "from rfq.rm_dealer_statistics where tenant = $1 order by lp_id"
    )
    return await sql.fetch(query, tenant)
