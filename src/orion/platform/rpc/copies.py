"""One channel to a service of which there are several copies: each call goes to one that answers.

A copy that is not connected is connected in the background and gets no call before it is. What was
sent to a copy that then died fails as over any channel: whether it may be said again, the caller
knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE
CONNECTING = grpc.ChannelConnectivity.CONNECTING


class CopiesChannel(grpc.aio.Channel):
    """What stubs are made with. The channels are others' to close."""

    def __init__(self, copies: Sequence[grpc.aio.Channel]):
        self._copies = tuple(copies)
        self._turn = 0

    def choose(self) -> grpc.aio.Channel:
        """The next copy in turn that is connected; where none is, the next that might become so."""
        self._turn += 1
        ring = [
            self._copies[(self._turn + n) % len(self._copies)] for n in range(len(self._copies))
        ]
        states = [channel.get_state(try_to_connect=True) for channel in ring]
        for wanted in ((READY,), (IDLE, CONNECTING)):
            for channel, state in zip(ring, states, strict=True):
                if state in wanted:
                    return channel
        return ring[0]

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._chosen("unary_unary", method, request_serializer, response_deserializer)

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._chosen("unary_stream", method, request_serializer, response_deserializer)

    def stream_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._chosen("stream_unary", method, request_serializer, response_deserializer)

    def stream_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._chosen("stream_stream", method, request_serializer, response_deserializer)

    def _chosen(self, kind: str, method: str, write: Any, read: Any) -> Callable[..., Any]:
        calls = {
            channel: getattr(channel, kind)(
                method, request_serializer=write, response_deserializer=read
            )
            for channel in self._copies
        }

        def call(*args: Any, **named: Any) -> Any:
            return calls[self.choose()](*args, **named)

        return call

    async def close(self, grace: float | None = None) -> None:
        """Nothing to close: the directory closes its channels."""

    async def __aenter__(self) -> CopiesChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Ready when one copy is."""
        states = [channel.get_state(try_to_connect) for channel in self._copies]
        return READY if READY in states else states[0]

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of any of the copies."""
        waiting = [
            asyncio.ensure_future(c.wait_for_state_change(c.get_state())) for c in self._copies
        ]
        try:
            while self.get_state() is last_observed_state:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=0.1)
        finally:
            for task in waiting:
                task.cancel()

    async def channel_ready(self) -> None:
        """Until one copy is connected."""
        while (state := self.get_state(try_to_connect=True)) is not READY:
            await self.wait_for_state_change(state)
