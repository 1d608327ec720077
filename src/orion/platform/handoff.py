"""Takes sockets that the acceptor has accepted, and feeds them to the protocols that speak on
them.

A socket comes as one datagram with one descriptor (SCM_RIGHTS) on a unix socket of this process.
Nothing was read from it: every byte is still in the kernel. A datagram socket knows no
connection, so a target that died or hangs is seen by the very next send.
"""

from __future__ import annotations

import array
import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orion.platform import telemetry

HELLO = b"orion1"
AT_ONCE = 64  # sockets taken per turn of the loop
HEAD_BYTES = 32 * 1024  # of one request's head
HEAD_S = 5.0
KEEP_ALIVE_S = 60
CONNECTIONS = 4096
GRACE_S = 3.0


class Speaks(Protocol):
    """Something that makes a protocol for each socket (orion.platform.push.PushServer)."""

    def protocol(self) -> asyncio.BaseProtocol:
        """A protocol for one new connection."""
        ...


class Gone(Exception):
    """The target does not take sockets: it is not there, or it does not keep up."""


def give_away(out: socket.socket, accepted: socket.socket, path: str, hello: bytes = HELLO) -> None:
    """Sends one descriptor. Raises OSError. (`socket.send_fds` forgets the address.)"""
    handles = array.array("i", [accepted.fileno()])
    out.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)], 0, path)


class Sender:
    """Hands sockets to the process that listens at `path`."""

    def __init__(self, path: Path):
        self.path = path
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)

    def send(self, accepted: socket.socket) -> None:
        """Gives the socket away; the caller closes its own copy. Raises Gone; never blocks."""
        try:
            give_away(self._out, accepted, str(self.path))
        except OSError as error:
            raise Gone(f"{self.path.name}: {error.strerror}") from error

    def close(self) -> None:
        self._out.close()


class Receiver:
    """`with Receiver(path, on_socket)`: calls `on_socket` in the loop with each socket. Replaces
    what a dead predecessor left at `path`.
    """

    def __init__(self, path: Path, on_socket: Callable[[socket.socket], None]):
        self._path, self._on_socket = path, on_socket
        self._in = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Receiver:
        self._path.unlink(missing_ok=True)
        self._in.setblocking(False)
        self._in.bind(str(self._path))
        self._path.chmod(0o600)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._in.fileno(), self._take)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._path.unlink(missing_ok=True)  # first: a send from now on is refused, not lost
        self._take()
        self._loop.remove_reader(self._in.fileno())
        self._in.close()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                hello, handles, _flags, _from = socket.recv_fds(self._in, len(HELLO), 1)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    telemetry.log.error("no descriptor left for a new connection")
                    return
                raise
            for handle in handles:
                accepted = socket.socket(fileno=handle)
                if hello != HELLO:
                    accepted.close()
                    continue
                accepted.setblocking(False)
                self._on_socket(accepted)


class _Feeder:
    """Starts a protocol on each socket; keeps the tasks until they are done."""

    def __init__(self, factory: Callable[[], asyncio.BaseProtocol]):
        self._factory = factory
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, accepted: socket.socket) -> None:
        task = self._loop.create_task(self._start(accepted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, accepted: socket.socket) -> None:
        with suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.connect_accepted_socket(self._factory, accepted)
        except OSError:  # it went away between the hand-over and now
            accepted.close()


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's HTTP protocol with a bound on each request's head: on a kept connection the
    acceptor sees only the first.
    """

    _head = 0
    _slow: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._slow is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES and not self.transport.is_closing():
                self._refuse(431, "Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._slow = self.loop.call_later(HEAD_S, self._refuse, 408, "Request Timeout")

    def on_headers_complete(self) -> None:
        self._in_time()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _refuse(self, status: int, phrase: str) -> None:
        self._in_time()
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.close()


async def serve_asgi(path: Path, app: Any) -> None:
    """Serves an ASGI application on the sockets that come in at `path`, until cancelled; then
    lets requests finish, for a while.
    """
    config = uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        limit_concurrency=CONNECTIONS,
    )
    config.load()
    server = uvicorn.Server(config)
    lifespan = config.lifespan_class(config)
    await lifespan.startup()
    if lifespan.should_exit:
        raise RuntimeError("the HTTP application did not start")

    def factory() -> asyncio.BaseProtocol:
        return BoundedHttp(config, server.server_state, lifespan.state)

    try:
        with Receiver(path, _Feeder(factory)):
            while True:
                await server.on_tick(0)  # renews the Date header
                await asyncio.sleep(1.0)
    finally:
        await _finish(server)
        await lifespan.shutdown()


async def _finish(server: uvicorn.Server) -> None:
    """Idle connections close at once, those with a request after its answer, all of them after
    the grace.
    """
    state = server.server_state
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(list(state.tasks), timeout=GRACE_S)
    for task in list(state.tasks):
        task.cancel()


async def serve_stream(path: Path, server: Speaks) -> None:
    """Serves WebSockets on the sockets that come in at `path`, until cancelled. Open ones are the
    server's to close.
    """
    with Receiver(path, _Feeder(server.protocol)):
        await asyncio.Event().wait()
