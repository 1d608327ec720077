"""An OIDC issuer for users that nobody else has, for platforms whose sign-in is not our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from orion.platform.discovery import WELL_KNOWN
from orion.services.identity.keys import SigningKeys


@contextlib.asynccontextmanager
async def issuer(keys: SigningKeys, port: int) -> AsyncIterator[str]:
    """An OIDC issuer that tells its keys. Nobody signs in at it: tokens are made here."""
    url = f"http://127.0.0.1:{port}"
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    said: dict[str, Any] = {
        WELL_KNOWN: {"issuer": url, **{name: f"{url}/{name}" for name in names}},
        "/jwks_uri": keys.public(),
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
            asked = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            body = json.dumps(said.get(asked, {})).encode()
            status = b"200 OK" if asked in said else b"404 Not Found"
            writer.write(
                b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
                b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield url
