"""MarketFeedService: how the feeds do, for our own services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.wire.stubs import marketdata_pb2, marketdata_pb2_grpc

PULSE_S = 1.0  # the longest time between two pulses, and the shortest:
PAUSE_S = 0.1


class MarketFeedRpc(marketdata_pb2_grpc.MarketFeedServiceServicer):
    """Streams the pulse: at once with each sign of life. `pulse` makes one, `beat` gives the event
    of the next sign.
    """

    def __init__(
        self, pulse: Callable[[], marketdata_pb2.FeedPulse], beat: Callable[[], asyncio.Event]
    ):
        self._pulse, self._beat = pulse, beat

    async def WatchFeed(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if current_caller().service is None:
            raise Coded("AUTH-103")
        while True:
            beat = self._beat()
            yield self._pulse()
            await asyncio.sleep(PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(PULSE_S):
                    await beat.wait()
