"""The guard: stands around the whole HTTP side of a process. Ids, limits, headers, measurements,
and the last net for errors.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from structlog.contextvars import bound_contextvars

from orion.platform import telemetry
from orion.platform.errors import Coded
from orion.platform.http.headers import security_headers
from orion.platform.http.problems import Answer, answer, coded, invalid
from orion.platform.ids import new_uuid

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

MAX_TARGET_BYTES = 8 * 1024
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
BODY_TIMEOUT_S = 15.0
DRAIN_BYTES = 1024 * 1024
DRAIN_S = 1.0
_LATENCY = telemetry.histogram("http_seconds", "Time to answer a request", ("method", "route"))
_ANSWERS = telemetry.counter("http_answers", "Answers by route and status", ("route", "status"))
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}

# What programs on this machine ask for without a cookie: probes, and the identity provider's back
# channel.
_ANY_NAME = frozenset(
    {
        "/healthz",
        "/readyz",
        "/oidc/jwks",
        "/oidc/.well-known/openid-configuration",
        "/oidc/token",
        "/oidc/revoke",
    }
)


class ClientGone(Exception):
    """The client hung up before its request was complete: nobody waits for an answer."""


class Guard:
    """Wraps an ASGI app. `public_url` decides redirects and the security policy."""

    def __init__(self, inner: App, public_url: str):
        self._inner = inner
        self._public = public_url
        self._headers = security_headers(public_url)
        url = urlsplit(public_url)
        self._host, self._port = url.hostname or "", url.port

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if "request_id" in scope.get("state", {}):  # a guard stands around us already
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":  # the stream has its own process
            await send({"type": "websocket.close", "code": 4404, "reason": "not here"})
            return
        request_id = new_uuid()
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(scope, receive, send, request_id, self._headers)
        with bound_contextvars(request_id=request_id):
            await self._serve(scope, exchange, request_id)

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """What the app inside does at start and stop."""
        inside = getattr(self._inner, "lifespan", None)
        return inside() if inside is not None else nullcontext()

    async def _serve(self, scope: Scope, exchange: _Exchange, request_id: str) -> None:
        start, began_ns = time.perf_counter(), time.time_ns()
        try:
            check_head(scope)
            where = self._other_loopback_name(scope)
            if where:
                headers = [("location", where), ("cache-control", "no-store")]
                await exchange.answer(Answer(308, b"", headers))
                return
            await self._inner(scope, exchange.receive, exchange.send)
        except ClientGone:
            return
        except Exception as error:
            refusal, headers = coded(error)
            if exchange.started:
                raise
            told = answer(refusal, request_id)
            told.headers.extend(headers.items())
            await exchange.answer(told)
        finally:
            took = time.perf_counter() - start
            _measure(scope, exchange.status, took, request_id)
            route = f"{scope['method']} {scope.get('path_template') or 'other'}"
            telemetry.span(route, began_ns, **{"http.response.status_code": exchange.status})

    def _other_loopback_name(self, scope: Scope) -> str | None:
        """Where a page asked for under another name of this machine really is (cookies belong to
        one name).
        """
        host = _header(scope, b"host")
        name, _, port = host.rpartition(":") if ":" in host.rsplit("]", 1)[-1] else (host, "", "")
        if name.lower() == self._host or not (is_loopback(name) and is_loopback(self._host)):
            return None
        if port and self._port is not None and port != str(self._port):
            return None
        # Programs with a bearer token and probes have no cookie to lose.
        if _header(scope, b"authorization") or scope["path"] in _ANY_NAME:
            return None
        query = scope.get("query_string", b"").decode("latin-1")
        raw = scope.get("raw_path") or scope["path"].encode()
        return self._public + raw.decode("latin-1") + (f"?{query}" if query else "")


class _Exchange:
    """One request and its answer: adds headers, cuts the body of HEAD, bounds the wait for the
    request's body.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, headers: list[Any]
    ):
        self._receive, self._send = receive, send
        self._extra = [*headers, (b"x-request-id", request_id.encode())]
        self._is_head = scope["method"] == "HEAD"
        self._deadline = time.monotonic() + BODY_TIMEOUT_S
        self._body_done = False
        self.started = False
        self.status = 0
        if self._is_head:
            scope["method"] = "GET"

    async def receive(self) -> Message:
        if self._body_done:
            return await self._receive()
        try:
            left = max(0.0, self._deadline - time.monotonic())
            async with asyncio.timeout(left):
                message = await self._receive()
        except TimeoutError:
            raise Coded("API-113") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._body_done = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] == 413:
                await self._drain()
            self.started, self.status = True, message["status"]
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            given.extend((n, v) for n, v in self._extra if n not in names)
            message["headers"] = given
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def _drain(self) -> None:
        # A connection that is closed while the client still sends is reset, and our answer lost
        # with it:
        # what is on its way is taken in and thrown away, within bounds.
        taken = 0
        with suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(DRAIN_S):
                while not self._body_done and taken < DRAIN_BYTES:
                    taken += len((await self.receive()).get("body", b""))

    async def answer(self, told: Answer) -> None:
        headers = [(k.lower().encode(), v.encode()) for k, v in told.headers]
        headers.append((b"content-length", str(len(told.body)).encode()))
        await self.send({"type": "http.response.start", "status": told.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": told.body})


def check_head(scope: Scope) -> None:
    """Refuses heads that no honest client sends: oversized, not UTF-8 when decoded, with control
    characters.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope.get("query_string", b"")
    if len(raw) + len(query) > MAX_TARGET_BYTES:
        raise Coded("API-112", "The address is too long")
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum(len(k) + len(v) for k, v in headers) > MAX_HEADER_BYTES:
        raise Coded("API-112")
    if scope["method"] not in _METHODS:
        raise Coded("API-107")
    for what, part in (("path", raw), ("query", query.replace(b"+", b" "))):
        try:
            text = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            raise invalid(what, "is not UTF-8") from None
        if any(ord(c) < 32 or ord(c) == 127 for c in text):
            raise invalid(what, "holds control characters")
    if sum(1 for k, _ in headers if k == b"host") > 1:
        raise invalid("Host", "is given more than once")


def is_loopback(name: str) -> bool:
    """True for the names this machine has for itself."""
    bare = name.strip("[]").lower()
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope["headers"] if k == name), "")


def _measure(scope: Scope, status: int, took: float, request_id: str) -> None:
    route = scope.get("path_template") or "other"
    _LATENCY.labels(scope["method"], route).observe(took)
    _ANSWERS.labels(route, str(status)).inc()
    if status >= 400 or scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        telemetry.log.info(
            "request",
            method=scope["method"],
            path=scope["path"][:200],
            status=status,
            ms=round(took * 1000, 2),
            request_id=request_id,
        )
