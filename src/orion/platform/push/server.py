"""WebSocket machinery on picows: many sockets, small memory, bounded queues. Knows frames and
limits, no content.

Two ways in: `listen` opens a port of its own (tests, benchmarks, a load balancer in front), and
`protocol` makes the protocol for a socket that someone else has accepted and handed over.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Protocol

from picows import (
    WSAutoPingStrategy,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from orion.platform.errors import Coded
from orion.platform.http.problems import answer
from orion.platform.ids import new_uuid

# An adapter is no Logger, so picows makes no child logger (1 KB) per connection.
_LOG = logging.LoggerAdapter(logging.getLogger("orion.push"), {})
logging.getLogger("orion.push").setLevel(logging.CRITICAL)  # it logs each garbage frame as an error
HANDSHAKE_S = 5.0
READ_BUFFER = 2_048
LINGER_S = 2.0
KEY_BYTES = 16  # of a handshake
USER_TIMEOUT_MS = 20_000

BAD_FRAME = 4400
NOT_SIGNED_IN = 4401
FORBIDDEN = 4403
SLOW = 4408
REPLACED = 4409
TOO_BIG = 1009
RESTARTING = 1012


@dataclass(frozen=True, slots=True)
class Limits:
    """What one socket may cost. Bytes are of one socket; the buffers count what the kernel has not
    taken.
    """

    frame_bytes: int = 64 * 1024  # the largest message taken in
    soft_bytes: int = 128 * 1024  # above: what can be conflated waits
    hard_bytes: int = 2 * 1024 * 1024  # above: the socket is cut
    slow_s: float = 10.0  # behind for so long: the socket is cut
    # what the kernel may hold for a socket: old prices in there help nobody
    kernel_bytes: int = 256 * 1024
    messages_per_s: float = 20.0
    message_burst: float = 60.0


class Handler(Protocol):
    """What the content does with sockets. All methods are quick and never raise for what a client
    did.
    """

    def admit(self, request: WSUpgradeRequest) -> None:
        """Raises Coded to refuse the handshake with a problem document."""
        ...

    def opened(self, peer: Peer, request: WSUpgradeRequest) -> None: ...

    def message(self, peer: Peer, text: bytes) -> None:
        """One text message of at most `Limits.frame_bytes`. May raise Coded: the socket is closed
        with 4400 and the code.
        """
        ...

    def closed(self, peer: Peer) -> None: ...


class Peer(WSListener):  # type: ignore[misc]
    """One socket. `state` belongs to the handler."""

    __slots__ = (
        "_allowance",
        "_handler",
        "_limits",
        "_refilled",
        "behind_since",
        "is_closing",
        "state",
        "transport",
    )

    def __init__(self, handler: Handler, limits: Limits):
        self._handler, self._limits = handler, limits
        self.transport: WSTransport | None = None
        self.state: Any = None
        self.is_closing = False
        self.behind_since = 0.0
        self._allowance = limits.message_burst
        self._refilled = 0.0

    # -- outgoing

    def send(self, frame: bytes) -> bool:
        """Sends, or cuts a socket that has not read what was sent before. False: it is closed or
        being cut.
        """
        transport = self.transport
        if transport is None or self.is_closing:
            return False
        if self.backlog > self._limits.hard_bytes:
            self.close(SLOW, "WS-503")
            return False
        transport.send(WSMsgType.TEXT, frame)
        return True

    @property
    def backlog(self) -> int:
        """Bytes that the kernel has not taken yet."""
        transport = self.transport
        return 0 if transport is None else transport.underlying_transport.get_write_buffer_size()

    def is_behind(self, now: float) -> bool:
        """True when what can wait should wait. A socket that stays behind for `slow_s` is cut."""
        if self.backlog <= self._limits.soft_bytes:
            self.behind_since = 0.0
            return False
        if not self.behind_since:
            self.behind_since = now
        elif now - self.behind_since > self._limits.slow_s:
            self.close(SLOW, "WS-503")
        return True

    def close(self, code: int, reason: str) -> None:
        """Says goodbye with a code; a peer that does not read it is dropped after a moment."""
        transport = self.transport
        if transport is None or self.is_closing:
            return
        self.is_closing = True
        transport.send_close(code, reason)  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(LINGER_S, _drop, transport)

    # -- incoming (called by picows)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        under = transport.underlying_transport
        under.set_write_buffer_limits(high=self._limits.soft_bytes)
        sock = under.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.kernel_bytes)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        self._handler.opened(self, transport.request)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.is_closing and frame.msg_type != WSMsgType.CLOSE:
            return
        try:
            self._take(transport, frame)
        except Coded as refusal:
            self.close(TOO_BIG if refusal.code == "WS-502" else BAD_FRAME, reason_of(refusal))

    def _take(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            self.is_closing = True
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        self._charge()
        if kind in (WSMsgType.PING, WSMsgType.PONG):
            if kind == WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())
            return
        if kind != WSMsgType.TEXT or not frame.fin or frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise Coded("WS-501", "Only whole text messages are taken")
        if frame.payload_size > self._limits.frame_bytes:
            raise Coded("WS-502")
        self._handler.message(self, frame.get_payload_as_bytes())

    def _charge(self) -> None:
        now = asyncio.get_running_loop().time()
        rate, burst = self._limits.messages_per_s, self._limits.message_burst
        if self._refilled:
            self._allowance = min(burst, self._allowance + (now - self._refilled) * rate)
        self._refilled = now
        self._allowance -= 1.0
        if self._allowance < 0:
            raise Coded("WS-504", "Too many messages")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_closing = True
        self.transport = None
        self._handler.closed(self)

    def pause_writing(self) -> None:
        """The backlog is looked at before each send; nothing else waits for it."""

    def resume_writing(self) -> None:
        """See pause_writing."""


def _drop(transport: WSTransport) -> None:
    if not transport.is_disconnected:
        transport.disconnect(graceful=False)


def reason_of(refusal: Coded) -> str:
    """The text of a close frame: the code first, at most 123 bytes."""
    return f"{refusal.code} {refusal.detail}".encode()[:120].decode(errors="ignore")


class PushServer:
    """Makes sockets for one handler. Called with a request it is picows' listener factory."""

    def __init__(self, handler: Handler, limits: Limits | None = None):
        self._handler, self._limits = handler, limits or Limits()
        self._servers: list[asyncio.Server] = []

    def listener(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        """What picows asks for a new connection (the listener factory)."""
        try:
            check_handshake(request.headers)
            self._handler.admit(request)
        except Coded as refusal:
            return WSUpgradeResponseWithListener(_refusal(refusal), None)
        return Peer(self._handler, self._limits)

    __call__ = listener

    def protocol(self) -> Any:
        """A protocol for one accepted socket: `loop.connect_accepted_socket(server.protocol,
        sock)`.
        """
        return WSProtocol(
            None,
            None,
            False,
            self.listener,
            _LOG,
            True,
            HANDSHAKE_S,
            False,
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            self._limits.frame_bytes * 2,
            None,
            READ_BUFFER,
        )

    async def listen(self, host: str, port: int, *, backlog: int = 4096) -> int:
        """Opens a port of its own (0: any free one) and returns it."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self.protocol, host, port, backlog=backlog)
        self._servers.append(server)
        return server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stops listening; open sockets are the handler's to close."""
        for server in self._servers:
            server.close()


def check_handshake(headers: Any) -> None:
    """Refuses with a code what picows would refuse in words of its own, and lets pass what it does
    not know: Firefox says `Connection: keep-alive, Upgrade`. Changes `headers`. Raises Coded.
    """
    options = {
        part.strip().lower() for part in ",".join(headers.getall("Connection", [])).split(",")
    }
    if headers.get("Upgrade", "").strip().lower() != "websocket" or "upgrade" not in options:
        raise Coded("API-100", "Upgrade: the stream opens with a WebSocket handshake (RFC 6455)")
    if headers.get("Sec-WebSocket-Version", "") != "13":
        raise Coded("API-100", "Sec-WebSocket-Version: only 13 is spoken")
    try:
        key = b64decode(headers.get("Sec-WebSocket-Key", "").encode("ascii"), validate=True)
    except ValueError:  # not base64, or not even ASCII
        key = b""
    if len(key) != KEY_BYTES:
        raise Coded("API-100", "Sec-WebSocket-Key: 16 bytes in base64 are needed")
    headers["Connection"] = "upgrade"


def _refusal(refusal: Coded) -> WSUpgradeResponse:
    told = answer(refusal, new_uuid())
    return WSUpgradeResponse.create_error_response(told.status, told.body, dict(told.headers))
