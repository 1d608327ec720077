"""The SQL of the RFQ service's read models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.core.permissions import Scope
from orion.platform.caller import Caller
from orion.platform.store.port import Sql
from orion.services.rfq.statistics import BUCKETS
from orion.wire.stubs import common_pb2, rfq_pb2

COLUMNS = """rfq_id, display_id, status, version, correlation_id, tenant, requester, desk,
    instrument_id, side, size, currency, min_size, partial_allowed, venue_id, settlement_date,
    expiry_seconds, created_at, expires_at,
    ended_at, mid_at_request, accepted_quote_id, trade_id, reason_code, reason,
    dealer_count, quote_count, lowest, highest, price, lp_id"""
SIDES = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}


class Where:
    """Conditions with their parameters. Column names are ours; whatever a caller wrote is a
    parameter."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.values: list[Any] = []

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition; `{}` stands for its parameters in order."""
        marks = [f"${len(self.values) + n}" for n in range(1, len(values) + 1)]
        self.parts.append(condition.format(*marks))
        self.values.extend(values)

    def equal(self, column: str, value: Any) -> None:
        """column = value, unless there is no value."""
        if value not in (None, ""):
            self.add(f"{column} = {{}}", value)

    def among(self, column: str, values: Sequence[Any]) -> None:
        """column is one of the values, unless there are none."""
        if values:
            self.add(f"{column} = any ({{}})", list(values))

    @property
    def text(self) -> str:
        """All conditions together."""
        return " and ".join(self.parts) or "true"


def containing(text: str) -> str:
    """A LIKE pattern for rows that contain the text as it stands."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def conditions(caller: Caller, scope: Scope, wanted: rfq_pb2.RFQFilter) -> Where:
    """What the caller may see and wants to see."""
    where = Where()
    where.add("created_at is not null")
    where.equal("tenant", caller.tenant)
    if scope is Scope.OWN:
        where.equal("requester", caller.user)
    elif scope is Scope.DESK:
        where.add("(desk = {} or requester = {})", caller.desk, caller.user)
    where.among("status", wanted.status)
    where.among("instrument_id", wanted.instrument_id)
    where.equal("side", SIDES.get(wanted.side) if wanted.HasField("side") else None)
    where.equal("requester", wanted.requester)
    where.equal("lp_id", wanted.lp_id)
    where.equal("rfq_id", wanted.rfq_id)
    where.equal("correlation_id", wanted.correlation_id)
    where.equal("desk", wanted.desk)
    where.equal("venue_id", wanted.venue_id)
    if wanted.HasField("from_us"):
        where.add("created_at >= {}", wanted.from_us)
    if wanted.HasField("to_us"):
        where.add("created_at < {}", wanted.to_us)
    if wanted.q:
        found = ("display_id", "rfq_id", "instrument_id", "requester", "correlation_id", "lp_id")
        pattern = containing(wanted.q[:100])
        likes = " or ".join(f"{column} ilike {{0}}" for column in found)
        where.add(f"({likes})", pattern)
    return where


async def list_rfqs(sql: Sql, where: Where, after: tuple[int, str] | None, limit: int) -> list[Any]:
    """Rows of the blotter, newest first, one more than the limit when there are more."""
    if after is not None:
        where.add("(created_at, rfq_id) < ({}, {})", *after)
    query = (
        f"select {COLUMNS} from rfq.rm_rfq_blotter where {where.text} "  # noqa: S608 - ours
        f"order by created_at desc, rfq_id desc limit {limit + 1:d}"
    )
    return await sql.fetch(query, *where.values)


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
        quote_count=row["quote_count"],
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
