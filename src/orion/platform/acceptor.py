"""The one public port: looks at the head of a connection's first request and hands the socket to
the process that answers it.

The head is only peeked at, so no byte is copied or proxied: after the hand-over this process has
no part in the connection.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import psutil

from orion.platform import telemetry
from orion.platform.datadir import StartError
from orion.platform.descriptors import Busy, Gone, Ring, Sender
from orion.platform.errors import Coded, Unavailable
from orion.platform.http.problems import whole

HEAD_BYTES = 8 * 1024
HEAD_S = 5.0
PENDING = 2048  # connections whose head has not come yet; the oldest makes room
AT_ONCE = 64
BACKLOG = 1024
LINGER_S = 1.0
LOOPBACK = ("127.0.0.1", "::1")
# A head that arrives in pieces is looked at again after these; readiness would fire all the time.
BUSY_S = 0.005  # a target whose queue is full is tried again so often
BUSY_TRIES = 200  # and so many times: then it hangs
AGAIN_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)

REQUEST = re.compile(rb"(?:[A-Z]{1,20}) (\S{1,7000}) HTTP/1\.[01]\r?\n")
# The WebSocket library refuses a wrong head in words of its own, without a code, so it gets only
# a GET with whole header lines and no body.
HANDSHAKE = re.compile(
    rb"GET \S+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n){1,100}\r\n"
)
WITH_BODY = re.compile(rb"\n(?:transfer-encoding|content-length)[ \t]*:(?![ \t]*0[ \t]*\r)", re.I)
MAYBE = re.compile(rb"[A-Z]{1,20}(?: |\Z)")
END = re.compile(rb"\r?\n\r?\n")

_accepted = telemetry.counter(
    "acceptor_connections_total", "Connections by what became of them", ("outcome",)
)

Route = Callable[[bytes, bytes], str]  # (request target, head) → name of a target; Coded: refused


def by_path(stream: str, web: str, sign_in: str) -> Route:
    """Which target a request's path belongs to: the market stream to the edge, the sign-in
    provider where it runs, all else to the BFF. Refuses what opens no stream.
    """

    def route(target: bytes, head: bytes) -> str:
        path = target.split(b"?", 1)[0]
        if path == b"/api/v1/stream":
            if not HANDSHAKE.match(head) or WITH_BODY.search(head):
                raise Coded("API-100", "The stream opens with a WebSocket handshake (RFC 6455).")
            return stream
        return sign_in if path == b"/oidc" or path.startswith(b"/oidc/") else web

    return route


def addresses(bind: str) -> tuple[str, ...]:
    """The addresses that `ORION_BIND` names."""
    if bind == "loopback":
        return LOOPBACK
    return tuple(part.strip().strip("[]") for part in bind.split(",") if part.strip())


def listen(bind: str, port: int) -> list[socket.socket]:
    """Listening sockets on each address. Raises StartError. An address family that this machine
    lacks is left out on loopback.
    """
    opened: list[socket.socket] = []
    try:
        for address in addresses(bind):
            try:
                opened.append(_listen(address, port))
            except OSError as error:
                if bind == "loopback" and address == "::1" and error.errno != errno.EADDRINUSE:
                    continue
                raise _refused(address, port, error) from error
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    return opened


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _refused(address: str, port: int, error: OSError) -> StartError:
    if error.errno == errno.EADDRINUSE:
        return StartError(
            f"Port {port} is in use{_holder(port)}. Stop that, or start Orion on another port: "
            f"--port {port + 1} (or ORION_PORT={port + 1})."
        )
    if error.errno == errno.EACCES:
        return StartError(
            f"Port {port} may not be opened by this user. Use one above 1023, such as --port 8080."
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return StartError(
            f"ORION_BIND: {address!r} is no address of this machine. Use loopback, 0.0.0.0 or one "
            "of this machine's own."
        )
    return StartError(f"Port {port} on {address} cannot be opened: {error.strerror}.")


def _holder(port: int) -> str:
    """Who listens there, where this user may know it."""
    with suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if local and local.port == port and connection.status == psutil.CONN_LISTEN:
                if connection.pid is None:
                    break
                name = psutil.Process(connection.pid).name()
                return f" by {name} (pid {connection.pid})"
    return ""


class Acceptor:
    """Accepts on `listeners` and hands each connection to one of `targets` by `route`. `start`,
    `close`.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        targets: Mapping[str, Sender | Ring],
        route: Route,
        *,
        head_s: float = HEAD_S,
        pending: int = PENDING,
    ):
        self._listeners, self._targets, self._route = listeners, targets, route
        self._head_s, self._limit = head_s, pending
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, _Peek] = {}  # in order of arrival
        self._waiting: dict[socket.socket, asyncio.TimerHandle] = {}  # for a busy target
        self._paused: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begins to accept."""
        for sock in self._listeners:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def close(self) -> None:
        """Stops accepting and lets go of what has not been handed over. Connections handed over
        live on.
        """
        if self._paused is not None:
            self._paused.cancel()
        for sock in self._listeners:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        for peek in list(self._pending.values()):
            peek.drop()
        for sock, again in self._waiting.items():
            again.cancel()
            sock.close()
        for sender in self._targets.values():
            sender.close()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                sock, _peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._pause(error)
                return
            sock.setblocking(False)
            if len(self._pending) >= self._limit:
                next(iter(self._pending.values())).drop()
                _accepted.labels("crowded_out").inc()
            peek = _Peek(self, sock)
            self._pending[sock.fileno()] = peek
            peek.look()

    def _pause(self, error: OSError) -> None:
        """Out of descriptors: the backlog waits a moment, instead of this loop running hot."""
        telemetry.log.error("cannot accept connections", reason=error.strerror)
        for sock in self._listeners:
            self._loop.remove_reader(sock.fileno())
        self._paused = self._loop.call_later(0.5, self.start)

    # --- called by _Peek

    @property
    def head_s(self) -> float:
        """How long a head may take."""
        return self._head_s

    def forget(self, handle: int) -> None:
        """The connection is no longer pending."""
        self._pending.pop(handle, None)

    def decide(self, sock: socket.socket, target: bytes, head: bytes) -> None:
        """Gives the socket to the process that answers this request, or refuses it."""
        try:
            name = self._route(target, head)
        except Coded as refusal:
            _accepted.labels("garbage").inc()
            self.refuse(sock, whole(refusal))
            return
        self.hand_over(sock, name)

    def hand_over(self, sock: socket.socket, name: str, tries: int = 0) -> None:
        """Gives the socket to this target, or answers that it is not there. A full queue (many
        reconnect at once) is tried again for a while.
        """
        self._waiting.pop(sock, None)
        try:
            self._targets[name].send(sock)
        except Gone as gone:
            if isinstance(gone, Busy) and tries < BUSY_TRIES:
                again = partial(self.hand_over, sock, name, tries + 1)
                self._waiting[sock] = self._loop.call_later(BUSY_S, again)
                return
            telemetry.log.warning("no hand-over", target=name, reason=str(gone))
            _accepted.labels("unavailable").inc()
            detail = "This part of the platform is restarting; try again in a moment."
            self.refuse(sock, whole(Unavailable(detail)))
            return
        _accepted.labels(name).inc()
        sock.close()

    def refuse(self, sock: socket.socket, answer: bytes) -> None:
        """Answers and closes so that the answer arrives: closing with unread bytes would reset
        the connection.
        """
        task = self._loop.create_task(_answer(self._loop, sock, answer))
        _LINGERING.add(task)
        task.add_done_callback(_LINGERING.discard)


_LINGERING: set[asyncio.Task[None]] = set()


async def _answer(loop: asyncio.AbstractEventLoop, sock: socket.socket, answer: bytes) -> None:
    try:
        async with asyncio.timeout(LINGER_S):
            _swallow(sock)
            await loop.sock_sendall(sock, answer)
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, 65536):
                pass
    except (OSError, TimeoutError):
        pass
    finally:
        sock.close()


def _swallow(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.recv(HEAD_BYTES)


class _Peek:
    """One connection whose head has not been seen whole."""

    __slots__ = ("_acceptor", "_again", "_loop", "_seen", "_sock", "_timer", "_tries")

    def __init__(self, acceptor: Acceptor, sock: socket.socket):
        self._acceptor, self._sock = acceptor, sock
        self._loop = asyncio.get_running_loop()
        self._seen = 0
        self._tries = 0
        self._again: asyncio.TimerHandle | None = None
        self._timer = self._loop.call_later(acceptor.head_s, self._late)

    def look(self) -> None:
        """Looks at what has come; decides, or waits for more."""
        try:
            head = self._sock.recv(HEAD_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            self._wait_readable()
            return
        except OSError:
            self.drop()
            return
        if not head:
            self.drop()
        elif END.search(head):
            self._decide(head)
        elif not MAYBE.match(head) and len(head) >= 20:
            self._refuse("API-100", "This is not HTTP/1.1.", "garbage")
        elif len(head) >= HEAD_BYTES:
            self._refuse("API-112", f"A request head ends within {HEAD_BYTES} bytes.", "too_large")
        else:
            self._wait_for_more(len(head))

    def _decide(self, head: bytes) -> None:
        match = REQUEST.match(head)
        if match is None:
            self._refuse("API-100", "The first line is not a request of HTTP/1.1.", "garbage")
            return
        self._release()
        end = END.search(head)
        self._acceptor.decide(self._sock, match.group(1), head[: end.end()] if end else head)

    def _wait_readable(self) -> None:
        self._loop.add_reader(self._sock.fileno(), self._readable)

    def _readable(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self.look()

    def _wait_for_more(self, size: int) -> None:
        self._tries = self._tries + 1 if size == self._seen else 0
        self._seen = size
        delay = AGAIN_S[min(self._tries, len(AGAIN_S) - 1)]
        self._again = self._loop.call_later(delay, self.look)

    def _late(self) -> None:
        if self._seen:
            self._refuse("API-113", "The request head did not arrive in time.", "slow")
        else:  # a browser's spare connection: it opens another when it needs one
            self.drop()

    def _refuse(self, code: str, detail: str, outcome: str) -> None:
        _accepted.labels(outcome).inc()
        self._release()
        self._acceptor.refuse(self._sock, whole(Coded(code, detail)))

    def drop(self) -> None:
        """Closes without a word."""
        self._release()
        self._sock.close()

    def _release(self) -> None:
        self._timer.cancel()
        if self._again is not None:
            self._again.cancel()
        with suppress(ValueError, OSError):
            self._loop.remove_reader(self._sock.fileno())
        self._acceptor.forget(self._sock.fileno())
