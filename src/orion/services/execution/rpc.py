"""ExecutionService over gRPC: trades to read and to watch. Nobody can make one from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from orion.core import ids
from orion.core.permissions import may_read, read_scope
from orion.core.trade import Trade
from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner
from orion.platform.listing import Lists, visible
from orion.platform.rpc import current_caller
from orion.platform.store.port import Database
from orion.platform.transact import Owner
from orion.services.execution import queries
from orion.services.execution.watch import Hub
from orion.wire.proto import trade_to_proto
from orion.wire.stubs import trade_pb2, trade_pb2_grpc

WATCHERS = frozenset({"push_edge", "notifications"})


class Trades(trade_pb2_grpc.ExecutionServiceServicer):
    """The servicer."""

    def __init__(
        self,
        *,
        owner: Owner[Trade],
        hub: Hub,
        database: Database,
        lists: Lists,
    ):
        self._owner, self._hub, self._database = owner, hub, database
        self._lists = lists

    async def GetTrade(
        self, request: trade_pb2.GetTradeRequest, context: Any
    ) -> trade_pb2.TradeDetails:
        """A trade: from its owner, so it is there as soon as it is made; from the table at another
        copy."""
        caller = current_caller()
        scope = None if caller.service else read_scope(caller.roles, "trade")
        if scope is None:
            raise Coded("AUTH-103")
        if not ids.is_id(request.trade_id):
            raise Coded("API-104")
        try:
            trade = await self._owner.state(caller.tenant, request.trade_id)
            found = trade_to_proto(trade) if trade is not None else None
        except NotOwner:
            where = visible(caller, scope.value)
            where.equal("trade_id", request.trade_id)
            async with self._database.read(caller.tenant) as sql:
                rows = await queries.BLOTTER.rows(sql, where, 1)
            found = queries.trade_of(rows[0]) if rows else None
        if found is None or not _may(caller)(found):
            raise Coded("API-104")
        return found

    async def ListTrades(
        self, request: trade_pb2.ListTradesRequest, context: Any
    ) -> trade_pb2.ListTradesResponse:
        """The blotter, newest first, as of the time it had heard of."""
        caller = current_caller()
        scope = None if caller.service else read_scope(caller.roles, "trade")
        if scope is None:
            raise Coded("AUTH-103")
        where = queries.conditions(caller, scope, request.filter)
        rows, cursor, as_of = await self._lists.page(queries.BLOTTER, caller, where, request.page)
        items = [queries.trade_of(row) for row in rows]
        return trade_pb2.ListTradesResponse(items=items, next_cursor=cursor, as_of_us=as_of)

    async def WatchTrades(
        self, request: trade_pb2.WatchTradesRequest, context: Any
    ) -> AsyncIterator[trade_pb2.TradeUpdate]:
        """The newest trades the caller may see, then each one as it is made."""
        caller = current_caller()
        if caller.service is None and read_scope(caller.roles, "trade") is None:
            raise Coded("AUTH-103")
        if caller.service is not None and caller.service not in WATCHERS:
            raise Coded("AUTH-103")
        async for update in self._hub.watch(_may(caller)):
            yield update


def _may(caller: Caller) -> Callable[[trade_pb2.TradeDetails], bool]:
    if caller.service is not None:
        return lambda _: True

    def may(trade: trade_pb2.TradeDetails) -> bool:
        return trade.tenant_id == caller.tenant and may_read(
            caller.roles,
            "trade",
            user=caller.user,
            desk=caller.desk,
            owner=trade.requester,
            owner_desk=trade.desk,
        )

    return may
