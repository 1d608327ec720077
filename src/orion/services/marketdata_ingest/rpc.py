"""MarketFeedService: how the feeds do, for our own services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from orion.platform.errors import Coded
from orion.platform.rpc import current_caller, rpc_errors
from orion.wire.stubs import marketdata_pb2, marketdata_pb2_grpc

PULSE_S = 1.0  # the longest time between two pulses, and the shortest:
PAUSE_S = 0.1
HOP = ("x-orion-hop", "1")


class Feeds(Protocol):
    """What tells how the feeds do."""

    def pulse(self) -> marketdata_pb2.FeedPulse:
        """Now, as this copy knows it."""
        ...

    def beat(self) -> asyncio.Event:
        """Set with the next sign of life."""
        ...

    def elsewhere(self) -> AsyncIterator[marketdata_pb2.FeedPulse] | None:
        """The pulses of the copy that feeds, where that is another."""
        ...


class MarketFeedRpc(marketdata_pb2_grpc.MarketFeedServiceServicer):
    """Streams the pulse: at once with each sign of life. A copy that stands by passes on what the
    one that feeds tells.
    """

    def __init__(self, feeds: Feeds):
        self._feeds = feeds

    async def WatchFeed(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if current_caller().service is None:
            raise Coded("AUTH-103")
        is_passed_on = any(key == HOP[0] for key, _ in context.invocation_metadata() or ())
        while True:
            told = self._feeds.elsewhere()
            if told is None:
                beat = self._feeds.beat()
                yield self._feeds.pulse()
                await asyncio.sleep(PAUSE_S)
                with suppress(TimeoutError):
                    async with asyncio.timeout(PULSE_S):
                        await beat.wait()
                continue
            if is_passed_on:
                return  # who asked finds the one that feeds itself
            with suppress(Coded):
                async with rpc_errors():
                    async for pulse in told:
                        yield pulse
                        if self._feeds.elsewhere() is None:
                            break
            await asyncio.sleep(PAUSE_S)
