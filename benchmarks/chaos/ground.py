"""What a platform of the cluster profile stands on while it is hurt: a broker and a Redis that can
be hurt too, and an issuer of tokens for users that nobody else has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orion.app.servers.process import free_ports
from orion.platform.discovery import WELL_KNOWN
from orion.services.identity.keys import SigningKeys


@dataclass(frozen=True)
class Ground:
    """The servers that run, by name, and the settings that name them."""

    servers: dict[str, Any]
    environment: dict[str, str]
    keys: SigningKeys | None


EMBEDDED = Ground({}, {}, None)


@contextlib.asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Ground]:
    """Kafka, Redis and an issuer, as long as the block lasts; `orion cluster` starts the rest."""
    from orion.app.servers.kafka import KafkaServer
    from orion.app.servers.valkey import ValkeyServer

    ports = free_ports(4)
    keys = SigningKeys(folder / "issuer")
    async with contextlib.AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(_issuer(keys, ports[3]))
        kafka = KafkaServer(folder / "kafka", port=ports[0], controller_port=ports[1])
        redis = ValkeyServer(folder / "redis", ports[2])
        for server in (kafka, redis):
            stack.push_async_callback(server.stop)
            await server.start()
        yield Ground(
            {"kafka": kafka, "redis": redis},
            {
                "ORION_KAFKA_BOOTSTRAP": kafka.bootstrap,
                "ORION_KAFKA_REPLICATION": "1",
                "ORION_REDIS_URL": redis.url,
                "ORION_REDIS_PASSWORD_FILE": str(redis.password_file),
                "ORION_OIDC_ISSUER": issuer,
            },
            keys,
        )


@contextlib.asynccontextmanager
async def _issuer(keys: SigningKeys, port: int) -> AsyncIterator[str]:
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
