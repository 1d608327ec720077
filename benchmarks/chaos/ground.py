"""What a platform of the cluster profile stands on while it is hurt: a broker and a Redis that can
be hurt too, and an issuer of tokens for users that nobody else has.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.own_issuer import issuer
from orion.app.servers.process import free_ports
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
        url = await stack.enter_async_context(issuer(keys, ports[3]))
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
                "ORION_OIDC_ISSUER": url,
            },
            keys,
        )
