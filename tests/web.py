"""A real HTTP server on loopback around an ASGI app, in the test's own loop; and raw requests that
no client library would send.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn


@contextlib.asynccontextmanager
async def served(make: Callable[[int], Any]) -> AsyncIterator[int]:
    """Serves `make(port)` on a free port of loopback and gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    try:
        app = make(port)
    except BaseException:
        listener.close()
        raise
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        http="httptools",
        ws="none",
        server_header=False,
        date_header=False,
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        yield port
    finally:
        server.should_exit = True
        await task
        listener.close()


async def raw(port: int, request: bytes, *, half_close: bool = False) -> bytes:
    """The bytes that come back for these bytes, until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    if half_close:
        writer.write_eof()
    with contextlib.suppress(ConnectionError):
        await writer.drain()
    got = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(3):
            while chunk := await reader.read(65536):
                got += chunk
    writer.close()
    return got


def status_of(answer: bytes) -> int:
    """The status of a raw answer."""
    return int(answer.split(b" ", 2)[1])
