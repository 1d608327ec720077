"""Trades, and the story behind any of them."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency as Given
from litestar.di import Provide
from litestar.params import PathParameter

from orion.core.permissions import Permission as P
from orion.platform.caller import Caller
from orion.services.bff_workstation import profile, render, shapes
from orion.services.bff_workstation.links import Links
from orion.services.bff_workstation.routes.filters import page_of, trade_filter
from orion.wire.stubs import audit_pb2, common_pb2, trade_pb2

TradePath = Annotated[str, PathParameter(description="The trade's id", min_length=1, max_length=64)]
CorrelationPath = Annotated[
    str,
    PathParameter(description="`correlationId` of an RFQ or trade", min_length=1, max_length=64),
]
READ = (P.TRADE_READ_OWN, P.TRADE_READ_DESK, P.TRADE_READ_TENANT)
AUDIT = (P.AUDIT_READ_OWN, P.AUDIT_READ_DESK, P.AUDIT_READ_TENANT)
LISTED = {
    "page": Provide(page_of, sync_to_thread=False),
    "wanted": Provide(trade_filter, sync_to_thread=False),
}


@get(
    "/trades",
    permission=READ,
    dependencies=LISTED,
    operation_id="listTrades",
    tags=["Trades"],
    summary="Trades that you may see",
)
async def list_trades(
    page: Given[common_pb2.Page],
    wanted: Given[trade_pb2.TradeFilter],
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.TradeList:
    """A projection: `asOf` says how fresh it is. Newest first."""
    request = trade_pb2.ListTradesRequest(filter=wanted, page=page)
    found = await links.ask(caller, "execution", "ListTrades", request)
    return render.listed(shapes.TradeList, render.trade, found)


@get(
    "/trades/{trade_id:str}",
    permission=READ,
    operation_id="getTrade",
    tags=["Trades"],
    summary="One trade",
)
async def get_trade(
    trade_id: TradePath, caller: Given[Caller], links: Given[Links]
) -> shapes.Trade:
    """Answered by the service that made the trade."""
    request = trade_pb2.GetTradeRequest(trade_id=trade_id)
    return render.trade(await links.ask(caller, "execution", "GetTrade", request))


@get(
    "/audit/{correlation_id:str}",
    permission=AUDIT,
    operation_id="getTimeline",
    tags=["Audit"],
    summary="The whole story of an RFQ or trade",
)
async def get_timeline(
    correlation_id: CorrelationPath,
    caller: Given[Caller],
    links: Given[Links],
    about: Given[profile.About],
) -> shapes.Timeline:
    """Every recorded event with this correlation id, oldest first."""
    request = audit_pb2.TimelineRequest(correlation_id=correlation_id)
    found = await links.ask(caller, "audit", "GetTimeline", request)
    return render.timeline(list(found.items), about.environment)


ROUTES = [list_trades, get_trade, get_timeline]
