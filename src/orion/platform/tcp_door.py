"""TCP ports of a process that runs by itself, without the supervisor and its acceptor: where it
takes HTTP or the stream behind a proxy, and where a scraper and a health check ask it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from orion.platform import telemetry
from orion.platform.config import ConfigError
from orion.platform.datadir import StartError

BACKLOG = 1024
ASK_S = 2.0
HEAD_BYTES = 8 * 1024
METRICS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class TcpDoor:
    """An address to listen on."""

    host: str
    port: int
    key: str  # the setting that named it

    @classmethod
    def of(cls, key: str, text: str) -> TcpDoor:
        """From host:port; an IPv6 address stands in brackets. Raises ConfigError."""
        host, _, port = text.strip().rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        is_whole = bare and (":" not in bare or host != bare)
        if not (is_whole and port.isdecimal() and int(port) < 65_536):
            raise ConfigError(key, f"{text!r} is no address", "Write host:port, as 0.0.0.0:8080")
        return cls(bare, int(port), key)

    async def listen(self, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
        """Starts a protocol for every connection. Raises StartError."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.create_server(factory, self.host, self.port, backlog=BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            raise StartError(f"{self.key}: {self.host}:{self.port}: {reason}.") from error


@asynccontextmanager
async def probe_port(
    address: str, reasons: Callable[[], list[str]], key: str = "ORION_METRICS_LISTEN"
) -> AsyncIterator[int]:
    """Answers at `address`, for as long as the block lasts: /metrics; /readyz with 200, or 503 and
    the reasons why not; /healthz with 200, so its loop turns. Gives the port. Raises ConfigError,
    StartError.
    """

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Exception):
            async with asyncio.timeout(ASK_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, reasons))
                await writer.drain()
        writer.close()

    def protocol() -> asyncio.BaseProtocol:
        reader = asyncio.StreamReader(limit=HEAD_BYTES)
        return asyncio.StreamReaderProtocol(reader, attend)

    server = await TcpDoor.of(key, address).listen(protocol)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _answer(head: bytes, reasons: Callable[[], list[str]]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method != b"GET":
        return _whole("405 Method Not Allowed", b"only GET\n")
    if path == b"/metrics":
        return _whole("200 OK", telemetry.exposition(), METRICS)
    if path == b"/healthz":
        return _whole("200 OK", b"alive\n")
    if path == b"/readyz":
        waiting = reasons()
        told = "\n".join(waiting or ["ready"]) + "\n"
        return _whole("503 Service Unavailable" if waiting else "200 OK", told.encode())
    return _whole("404 Not Found", b"/metrics /readyz /healthz\n")


def _whole(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
