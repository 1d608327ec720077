"""The answering side: one gate in front of every servicer verifies the caller, names the errors
and counts.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # pyright: ignore[reportAttributeAccessIssue]

from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner
from orion.platform.ids import new_uuid
from orion.platform.rpc.client import CARRIED, OPTIONS, TAKES_CALLS
from orion.platform.rpc.local import Home
from orion.platform.rpc.tls import Credentials, Peers

_caller: ContextVar[Caller] = ContextVar("caller")
_LATENCY = telemetry.histogram("rpc_seconds", "Time to answer a unary RPC", ("method",))
_latency = cache(_LATENCY.labels)  # looked up once, used often
_ERRORS = telemetry.counter("rpc_errors", "RPCs that ended with an error", ("method", "code"))
_OPEN = "/grpc.health.v1.Health/"
# What a guest's credential ("role:NAME", made for an outside program) may call; everything else is
# closed to it.
GUESTS = frozenset({"/orion.v1.LPGatewayService/Quote"})


def current_caller() -> Caller:
    """Who sent the RPC that is being answered. Verified; raises LookupError outside of one."""
    return _caller.get()


class Gate(grpc.aio.ServerInterceptor):
    """Deny by default: without a valid token nothing reaches a servicer (health checks
    excepted)."""

    def __init__(self, verify: Callable[[str], Any], peers: Peers | None = None):
        self._verify, self._peers = verify, peers

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        metadata = dict(handler_call_details.invocation_metadata)
        return self._guarded(handler, handler_call_details.method, metadata, self._peers)

    def guard(self, handler: Any, method: str, metadata: dict[str, Any]) -> Any:
        """The handler behind the gate, for one call within the process with this metadata."""
        return self._guarded(handler, method, metadata, None)

    def _guarded(
        self, handler: Any, method: str, metadata: dict[str, Any], peers: Peers | None
    ) -> Any:
        if method.startswith(_OPEN):
            return handler
        return self._wrapped(handler, method, metadata, peers)

    async def _enter(
        self, metadata: dict[str, Any], method: str, context: Any, peers: Peers | None
    ) -> None:
        token = str(metadata.get("authorization", ""))
        if not token.startswith("Bearer "):
            raise Coded("AUTH-101")
        caller = self._verify(token[7:])
        if inspect.isawaitable(caller):
            caller = await caller
        if caller.service and ":" in caller.service and method not in GUESTS:
            raise Coded("AUTH-103")
        if peers is not None:
            peers.check(context, caller.service, method)
        _caller.set(caller)
        structlog.contextvars.bind_contextvars(
            tenant=caller.tenant,
            rpc=method,
            **{key: str(metadata.get(f"x-orion-{key}", "")) for key in CARRIED},
        )

    def _wrapped(
        self, handler: Any, method: str, metadata: dict[str, Any], peers: Peers | None
    ) -> Any:
        name = method.rsplit("/", 1)[-1]
        inner = (
            handler.unary_unary
            or handler.stream_unary
            or handler.unary_stream
            or handler.stream_stream
        )

        async def one(request: Any, context: grpc.aio.ServicerContext) -> Any:
            start, began_ns = time.perf_counter(), time.time_ns()
            try:
                await self._enter(metadata, method, context, peers)
                answer = inner(request, context)
                return await answer if inspect.isawaitable(answer) else answer
            except Exception as error:
                return await _refuse(context, error, name)
            finally:
                _latency(name).observe(time.perf_counter() - start)
                telemetry.span(f"rpc {name}", began_ns)

        async def many(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            try:
                await self._enter(metadata, method, context, peers)
                answer = inner(request, context)
                if not hasattr(answer, "__aiter__"):
                    raise TypeError(f"{method} must be an async generator")
                async for item in answer:
                    yield item
            except Exception as error:
                await _refuse(context, error, name)

        streams = handler.response_streaming
        return _Handler(handler, many if streams else one)


class _Handler(grpc.RpcMethodHandler):
    """The same handler with another body."""

    def __init__(self, handler: Any, body: Any):
        self.request_streaming = handler.request_streaming
        self.response_streaming = handler.response_streaming
        self.request_deserializer = handler.request_deserializer
        self.response_serializer = _or_bytes(handler.response_serializer)
        kind = (
            ("stream" if self.request_streaming else "unary")
            + "_"
            + ("stream" if self.response_streaming else "unary")
        )
        self.unary_unary = self.unary_stream = self.stream_unary = self.stream_stream = None
        setattr(self, kind, body)


def _or_bytes(serialize: Any) -> Any:
    """A servicer that tells many callers the same may hand over the message as bytes, once."""
    return lambda message: message if type(message) is bytes else serialize(message)


async def _refuse(context: grpc.aio.ServicerContext, error: Exception, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, grpc.aio.AioRpcError):
        from orion.platform.rpc.client import error_of

        error = error_of(error)
    if isinstance(error, NotOwner):
        owner = f"{error.service}|{error.part}|{error.address or ''}"
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error), (("orion-owner", owner),))
    if isinstance(error, Coded):
        _ERRORS.labels(method, error.code).inc()
        trailers: list[tuple[str, str | bytes]] = [("orion-code", error.code)]
        if error.extra:
            trailers.append(("orion-extra-bin", json.dumps(error.extra).encode()))
        if error.retry_after_s is not None:
            trailers.append(("orion-retry-after", str(error.retry_after_s)))
        await context.abort(
            getattr(grpc.StatusCode, error.kind.grpc), error.detail, tuple(trailers)
        )
    incident = new_uuid()
    _ERRORS.labels(method, "SYS-900").inc()
    telemetry.log.error("rpc failed", method=method, incident=incident, exc_info=error)
    await context.abort(
        grpc.StatusCode.INTERNAL, f"incident {incident}", (("orion-code", "SYS-900"),)
    )


class RpcServer:
    """The gRPC server of a process, with health. What is added answers at the address, and in
    `home`, for the callers of this process, without a socket between. With `credentials` callers
    must show a certificate, and `peers` says what it allows. `port`: the TCP port, once started.
    """

    def __init__(
        self,
        address: str,
        verify: Callable[[str], Any],
        home: Home | None = None,
        *,
        credentials: Credentials | None = None,
        peers: Peers | None = None,
    ):
        self._address, self._home, self._credentials = address, home, credentials
        self._gate = Gate(verify, peers)
        self.server = grpc.aio.server(interceptors=[self._gate], options=OPTIONS)
        self._health = health_aio.HealthServicer()
        self.add(health_pb2_grpc.add_HealthServicer_to_server, self._health)

    def add(self, register: Callable[[Any, Any], None], servicer: Any) -> None:
        """Answers for this servicer. `register`: the generated add_…Servicer_to_server."""
        register(servicer, self.server)
        if self._home is not None:
            register(servicer, self._home)

    async def start(self) -> None:
        """Listens. A stale socket file of a dead process is removed first."""
        if self._address.startswith("unix:"):
            Path(self._address.removeprefix("unix:")).unlink(missing_ok=True)
        await self.set_ready(False)  # the health service begins with yes
        await self._health.set(TAKES_CALLS, health_pb2.HealthCheckResponse.SERVING)
        if self._credentials is None:
            self.port = self.server.add_insecure_port(self._address)
        else:
            secured = self._credentials.for_answering()
            self.port = self.server.add_secure_port(self._address, secured)
        await self.server.start()
        if self._home is not None:
            self._home.open(self._gate.guard)

    async def set_ready(self, ready: bool) -> None:
        """What the health service answers."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if ready
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        await self._health.set("", status)

    async def stop(self, grace_s: float = 1.0) -> None:
        """Takes no new calls and gives running ones `grace_s`."""
        await self.set_ready(False)
        await self._health.set(TAKES_CALLS, health_pb2.HealthCheckResponse.NOT_SERVING)
        closing = () if self._home is None else (self._home.close(grace_s),)
        await asyncio.gather(self.server.stop(grace_s), *closing)
