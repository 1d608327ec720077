"""A small HTTP/1.1 client that knows the one thing that matters here: whether an answer was had.

General clients pool, retry and hide; this one sends each request once, over a connection that it
keeps, and tells an answer from its absence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HEAD_BYTES = 64 * 1024


class NoAnswer(Exception):
    """Nobody answered. What became of the request is not known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; an empty object where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Client:
    """Keep-alive connections to one port of this machine, each used by one request at a time."""

    def __init__(self, port: int, *, timeout_s: float = 10.0, host: str = "127.0.0.1"):
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        hangs_up_s: float | None = None,
    ) -> Answer:
        """One request, once; who hangs up leaves so long after it was sent. Raises NoAnswer."""
        raw = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if raw:
            lines += ["Content-Type: application/json", f"Content-Length: {len(raw)}"]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        door = None
        try:
            async with asyncio.timeout(self._timeout_s):
                door = self._idle.pop() if self._idle else await self._open()
                reader, writer = door
                writer.write(head + raw)
                if hangs_up_s is not None:
                    await writer.drain()
                    await asyncio.sleep(hangs_up_s)
                    raise NoAnswer("hung up")
                answer, stays = await _read(reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise NoAnswer(type(error).__name__) from error
        else:
            if stays:
                self._idle.append(door)
                door = None
            return answer
        finally:
            if door is not None:
                door[1].close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Lets go of all connections."""
        for _reader, writer in self._idle:
            writer.close()
        self._idle.clear()


async def _read(reader: asyncio.StreamReader) -> tuple[Answer, bool]:
    """An answer, and whether the connection can be used again. Raises EOFError, ValueError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(head[0].split(" ", 2)[1])
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return Answer(status, body), fields.get("connection", "").lower() != "close"


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        found += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return found
