"""Calls between services of one process: behind the same stubs, through the same gate, without a
socket. A call is a task of its own in a context of its own, as it is at a server.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio

from orion.platform import telemetry
from orion.platform.rpc.exchange import (
    CANCELLED,
    Exchange,
    Incoming,
    Outcome,
    Pipe,
    StreamCall,
    Trailers,
    UnaryCall,
)

LEAVE_S = 1.0
MAX_BYTES = 16 * 1024 * 1024  # of one message, as over a socket
_AWAY = Outcome(grpc.StatusCode.UNAVAILABLE, "nobody answers here")
_BROKEN = Outcome(grpc.StatusCode.UNKNOWN, "the call failed")
_UNKNOWN = Outcome(grpc.StatusCode.UNIMPLEMENTED, "no such method")
_TOO_LARGE = Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, "the message is too large")


class _Ended(Exception):
    """The answering side ends the call in this way."""

    def __init__(self, outcome: Outcome):
        self.outcome = outcome


class _Context:
    """What servicers and the gate ask of a call."""

    def __init__(self, exchange: Exchange, metadata: Sequence[tuple[str, str | bytes]]):
        self._exchange, self._metadata = exchange, tuple(metadata)
        self._code, self._details, self._trailers = grpc.StatusCode.OK, "", ()

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._metadata

    async def abort(
        self, code: grpc.StatusCode, details: str = "", trailing_metadata: Trailers = ()
    ) -> None:
        self._code, self._details = code, details
        self._trailers = tuple(trailing_metadata)
        raise grpc.aio.AbortError("aborted")

    def set_code(self, code: grpc.StatusCode) -> None:
        self._code = code

    def set_details(self, details: str) -> None:
        self._details = details

    def set_trailing_metadata(self, trailing_metadata: Trailers) -> None:
        self._trailers = tuple(trailing_metadata)

    def time_remaining(self) -> float | None:
        return self._exchange.time_remaining()

    def outcome(self) -> Outcome:
        """As it was set."""
        return Outcome(self._code, self._details, self._trailers)


# The gate in front of a method's handler: (handler, method, metadata) → what may be called.
Guard = Callable[[Any, str, dict[str, Any]], Any]


class Home:
    """What this process answers itself, and the address under which others find it. Filled like a
    gRPC server; closed until it is opened.
    """

    def __init__(self, address: str):
        self.address = address
        self.channel = LocalChannel(self)
        self._handlers: dict[str, Any] = {}
        self._guard: Guard | None = None
        self._context: contextvars.Context | None = None
        self._running: set[Exchange] = set()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """Part of a server's interface; the methods come by name below."""

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Any]
    ) -> None:
        """The methods of a service."""
        for name, handler in method_handlers.items():
            self._handlers[f"/{service_name}/{name}"] = handler

    def open(self, guard: Guard) -> None:
        """From here on calls are answered, each in a copy of the context of this moment."""
        self._guard, self._context = guard, contextvars.copy_context()

    async def close(self, grace_s: float) -> None:
        """Takes no new calls and gives running ones `grace_s`."""
        self._context = None
        tasks = [x.task for x in self._running if x.task is not None]
        if tasks and grace_s > 0:
            await asyncio.wait(tasks, timeout=grace_s)
        for exchange in tuple(self._running):
            exchange.stop(_AWAY)
        if tasks:  # bounded: who does not leave off is left behind
            await asyncio.wait(tasks, timeout=LEAVE_S)

    def begin(self, exchange: Exchange, method: str, metadata: Trailers) -> None:
        """Starts to answer."""
        if self._context is None:
            exchange.end(_AWAY)
            return
        self._running.add(exchange)
        answering = self._answer(exchange, method, metadata)
        context = self._context.copy()
        exchange.task = exchange.loop.create_task(answering, context=context)
        exchange.task.add_done_callback(lambda _: self._ended(exchange))

    def _ended(self, exchange: Exchange) -> None:
        self._running.discard(exchange)
        exchange.end(CANCELLED)  # before its first step

    async def _answer(self, exchange: Exchange, method: str, metadata: Trailers) -> None:
        context = _Context(exchange, metadata)
        try:
            await self._handled(exchange, method, context)
            exchange.end(context.outcome())
        except grpc.aio.AbortError:
            exchange.end(context.outcome())
        except _Ended as end:
            exchange.end(end.outcome)
        except asyncio.CancelledError:
            exchange.end(CANCELLED)
        except Exception:
            telemetry.log.exception("local rpc failed", method=method)
            exchange.end(_BROKEN)

    async def _handled(self, exchange: Exchange, method: str, context: _Context) -> None:
        handler = self._handlers.get(method)
        if handler is None or self._guard is None:
            raise _Ended(_UNKNOWN)
        handler = self._guard(handler, method, dict(context.invocation_metadata()))
        request = (
            Incoming(exchange.requests, handler.request_deserializer)
            if exchange.requests is not None
            else handler.request_deserializer(_bounded(exchange.request or b""))
        )
        write = handler.response_serializer
        if exchange.answers is None:
            answer = await handler.unary_unary(request, context)
            exchange.answer = _bounded(write(answer))
            return
        body = handler.unary_stream or handler.stream_stream
        async with aclosing(body(request, context)) as answers:
            async for answer in answers:
                if not await exchange.answers.put(_bounded(write(answer))):
                    return


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BYTES:
        raise _Ended(_TOO_LARGE)
    return body


class LocalChannel(grpc.aio.Channel):
    """What stubs are made with. Whether anybody answers is seen at each call."""

    def __init__(self, home: Home):
        self._home = home

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""

        def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> UnaryCall:
            exchange = Exchange(request_serializer(request), _at(timeout))
            self._home.begin(exchange, method, metadata or ())
            return UnaryCall(exchange, response_deserializer)

        return call

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""

        def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> StreamCall:
            exchange = Exchange(request_serializer(request), _at(timeout))
            return self._streamed(
                exchange, method, metadata, response_deserializer, request_serializer
            )

        return call

    def stream_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""

        def call(
            request_iterator: Any = None, *, timeout: float | None = None, metadata: Any = None
        ) -> StreamCall:
            exchange = Exchange(None, _at(timeout))
            begun = self._streamed(
                exchange, method, metadata, response_deserializer, request_serializer
            )
            if request_iterator is not None:
                begun.write_all(request_iterator)
            return begun

        return call

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Any:
        """No service of ours has such a method."""
        raise NotImplementedError(method)

    def _streamed(
        self, exchange: Exchange, method: str, metadata: Any, read: Any, write: Any
    ) -> StreamCall:
        exchange.answers = Pipe()
        self._home.begin(exchange, method, metadata or ())
        return StreamCall(exchange, read, write, exchange.answers)

    async def close(self, grace: float | None = None) -> None:
        """Nothing to close: the home ends its calls."""

    async def __aenter__(self) -> LocalChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Always there."""
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """It never changes."""
        await asyncio.Event().wait()

    async def channel_ready(self) -> None:
        """Always there."""


def _at(timeout: float | None) -> float | None:
    return None if timeout is None else asyncio.get_running_loop().time() + timeout
