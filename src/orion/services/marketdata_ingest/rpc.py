"""MarketFeedService: how the feeds do, for our own services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.wire.stubs import marketdata_pb2, marketdata_pb2_grpc

PULSE_S = 1.0


class MarketFeedRpc(marketdata_pb2_grpc.MarketFeedServiceServicer):
    """Streams the pulse. `pulse` makes one."""

    def __init__(self, pulse: Callable[[], marketdata_pb2.FeedPulse]):
        self._pulse = pulse

    async def WatchFeed(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if current_caller().service is None:
            raise Coded("AUTH-103")
        while True:
            yield self._pulse()
            await asyncio.sleep(PULSE_S)
