"""Feeds sockets that the acceptor, or a port of our own, has accepted to the protocols that speak
on them: uvicorn's HTTP for an ASGI application, picows for WebSockets.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orion.platform.descriptors import Receiver
from orion.platform.errors import Coded
from orion.platform.http.problems import whole
from orion.platform.leaving import Leaving
from orion.platform.tcp_door import TcpDoor

HEAD_BYTES = 32 * 1024  # of one request's head
HEAD_S = 5.0
KEEP_ALIVE_S = 60
CONNECTIONS = 4096
GRACE_S = 3.0
LEAVE_S = 2.0  # a kept connection that is not used for so long is closed, when the process leaves
CLOSING = (b"connection", b"close")


class Speaks(Protocol):
    """Something that makes a protocol for each socket (orion.platform.push.PushServer)."""

    def protocol(self) -> asyncio.BaseProtocol:
        """A protocol for one new connection."""
        ...


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


@asynccontextmanager
async def _opened(
    door: Path | TcpDoor, factory: Callable[[], asyncio.BaseProtocol]
) -> AsyncIterator[None]:
    """A protocol for each connection that comes in, handed over or at a port of our own."""
    if isinstance(door, Path):
        with Receiver(door, _Feeder(factory)):
            yield
        return
    server = await door.listen(factory)
    try:
        yield
    finally:
        server.close()


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
                self._refuse("API-112")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._slow = self.loop.call_later(HEAD_S, self._refuse, "API-113")

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

    def send_400_response(self, msg: str) -> None:
        """What the parser does not take is refused with a code, like everything else."""
        self._refuse("API-100", "This is not a request of HTTP/1.1.")

    def _refuse(self, code: str, detail: str = "") -> None:
        self._in_time()
        if not self.transport.is_closing():
            self.transport.write(whole(Coded(code, detail)))
            self.transport.close()


async def serve_asgi(
    door: Path | TcpDoor,
    app: Any,
    opened: Callable[[], None] = lambda: None,
    leaving: Leaving | None = None,
) -> None:
    """Serves an ASGI application on the sockets that come in at `door`, until cancelled; then
    lets requests finish, for a while. Asked to leave before, it takes no more sockets and ends
    each connection with an answer that says so: none is cut while a request is on its way.
    """
    leaving = leaving or Leaving()
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
        async with _opened(door, factory):
            opened()
            while not leaving.asked.is_set():
                await server.on_tick(0)  # renews the Date header
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await leaving.asked.wait()
        await _send_away(config, server)
        leaving.done.set()
        await asyncio.Event().wait()
    finally:
        await _finish(server)
        await lifespan.shutdown()


async def _send_away(config: uvicorn.Config, server: uvicorn.Server) -> None:
    config.encoded_headers.append(CLOSING)
    await server.on_tick(0)  # the next answers carry it
    loop = asyncio.get_running_loop()
    ends = loop.time() + LEAVE_S
    while server.server_state.connections and loop.time() < ends:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.02)


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


async def serve_stream(
    door: Path | TcpDoor,
    server: Speaks,
    opened: Callable[[], None] = lambda: None,
    leaving: Leaving | None = None,
) -> None:
    """Serves WebSockets on the sockets that come in at `door`, until cancelled or asked to leave.
    Open ones are the server's to close.
    """
    leaving = leaving or Leaving()
    async with _opened(door, server.protocol):
        opened()
        await leaving.asked.wait()
    leaving.done.set()
    await asyncio.Event().wait()
