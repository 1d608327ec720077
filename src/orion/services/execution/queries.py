"""The SQL of trades."""

from __future__ import annotations

from typing import Any

from orion.core.permissions import Scope
from orion.platform.caller import Caller
from orion.platform.store.port import Sql
from orion.wire.stubs import common_pb2, trade_pb2

COLUMNS = """trade_id, display_id, rfq_id, quote_id, instrument_id, side, quantity, price, notional,
    currency, buyer, seller, lp_id, venue_id, traded_at, settlement_date, tenant, correlation_id,
    requester, desk, status"""
SIDES = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}


class Where:
    """Conditions with their parameters. Column names are ours; what a caller wrote is a
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

    @property
    def text(self) -> str:
        """All conditions together."""
        return " and ".join(self.parts) or "true"


def conditions(caller: Caller, scope: Scope, wanted: trade_pb2.TradeFilter) -> Where:
    """What the caller may see and wants to see."""
    where = visible(caller, scope)
    if wanted.instrument_id:
        where.add("instrument_id = any ({})", list(wanted.instrument_id))
    where.equal("side", SIDES.get(wanted.side) if wanted.HasField("side") else None)
    for column in (
        "lp_id", "requester", "rfq_id", "trade_id", "correlation_id", "venue_id", "currency",
        "desk", "settlement_date",
    ):  # fmt: skip
        where.equal(column, getattr(wanted, column))
    if wanted.HasField("from_us"):
        where.add("traded_at >= {}", wanted.from_us)
    if wanted.HasField("to_us"):
        where.add("traded_at < {}", wanted.to_us)
    if wanted.q:
        text = wanted.q[:100].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        found = (
            "display_id", "trade_id", "rfq_id", "instrument_id", "requester", "lp_id",
            "correlation_id",
        )  # fmt: skip
        likes = " or ".join(f"{column} ilike {{0}}" for column in found)
        where.add(f"({likes})", f"%{text}%")
    return where


def visible(caller: Caller, scope: Scope) -> Where:
    """What the caller may see."""
    where = Where()
    where.equal("tenant", caller.tenant)
    if scope is Scope.OWN:
        where.equal("requester", caller.user)
    elif scope is Scope.DESK:
        where.add("(desk = {} or requester = {})", caller.desk, caller.user)
    return where


async def list_trades(
    sql: Sql, where: Where, after: tuple[int, str] | None, limit: int
) -> list[Any]:
    """Trades, newest first, one more than the limit when there are more."""
    if after is not None:
        where.add("(traded_at, trade_id) < ({}, {})", *after)
    query = (
        f"select {COLUMNS} from execution.rm_trade_blotter where {where.text} "  # noqa: S608 - ours
        f"order by traded_at desc, trade_id desc limit {limit + 1:d}"
    )
    return await sql.fetch(query, *where.values)


def trade_of(row: Any) -> trade_pb2.TradeDetails:
    """A row as it travels."""
    side = common_pb2.BUY if row["side"] == "BUY" else common_pb2.SELL
    text = {
        name: row[name]
        for name in (
            "trade_id", "display_id", "rfq_id", "quote_id", "instrument_id", "quantity", "price",
            "notional", "currency", "buyer", "seller", "lp_id", "venue_id", "settlement_date",
            "correlation_id", "requester", "desk", "status",
        )
    }  # fmt: skip
    return trade_pb2.TradeDetails(
        side=side, traded_at_us=row["traded_at"], tenant_id=row["tenant"], **text
    )
