"""`orion cluster`: the cluster profile on this machine. Kafka, PostgreSQL, Redis, S3 and Keycloak
as real servers on the loopback address, then every service as a process of its own: `orion up` with
settings that name them.

Servers lie in DATA_DIR/servers, their logs with them; they end with the platform and keep their
data (Redis keeps none). What a cluster's operator would provide, secrets and topics, is made here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orion.app.servers.kafka import KafkaServer
from orion.app.servers.keycloak import KeycloakServer, RealmValues
from orion.app.servers.seaweed import SeaweedPorts, SeaweedServer
from orion.app.servers.valkey import ValkeyServer
from orion.app.up import DEMO_PASSWORD, Screen, up
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.config import Settings
from orion.platform.datadir import DataFolder, StartError
from orion.platform.embedded import EmbeddedPostgres
from orion.platform.secret_files import SecretFiles

FIRST_PORT = 100  # the servers' ports begin so far above the public one
SECRETS = ("service.key", "cursor.key", "session.key", "audit.key")
BFF_SECRET, PROGRAM_SECRET = "oidc-client-orion-bff", "oidc-client-orion-program-alpha"


@dataclass(frozen=True)
class Servers:
    """What the platform stands on, running."""

    postgres: EmbeddedPostgres
    kafka: KafkaServer
    redis: ValkeyServer
    s3: SeaweedServer
    keycloak: KeycloakServer
    rpc_port: int

    def flags(self) -> dict[str, Any]:
        """The settings that name them."""
        return {
            "profile": "cluster",
            "postgres_dsn": self.postgres.access.admin_dsn,
            "kafka_bootstrap": self.kafka.bootstrap,
            "kafka_replication": 1,
            "redis_url": self.redis.url,
            "redis_password_file": str(self.redis.password_file),
            "blob_url": f"s3://{self.s3.bucket}/archive",
            "blob_endpoint": self.s3.endpoint,
            "blob_credentials_file": str(self.s3.credentials_file),
            "oidc_issuer": self.keycloak.issuer,
            "rpc_addresses": f"loopback:{self.rpc_port}",
        }


@asynccontextmanager
async def servers(settings: Settings, screen: Screen) -> AsyncIterator[Servers]:
    """All of them, as long as the block lasts. Raises StartError."""
    folder = settings.data_dir / "servers"
    made = _servers(settings, folder, screen)
    async with AsyncExitStack() as stack:
        with screen.step("PostgreSQL: starting") as done:
            await stack.enter_async_context(made.postgres)
            done("PostgreSQL: on a socket of its own")
        for name, server in (
            ("Kafka", made.kafka),
            ("Redis", made.redis),
            ("S3", made.s3),
            ("Keycloak", made.keycloak),
        ):
            with screen.step(f"{name}: starting") as done:
                stack.push_async_callback(server.stop)
                await server.start()
                done(f"{name}: {_place(server)}")
        yield made


def _servers(settings: Settings, folder: Path, screen: Screen) -> Servers:
    port = settings.platform.port + FIRST_PORT
    secrets = SecretFiles(settings.secrets_dir, may_create=True)
    for name in SECRETS:
        secrets.read(name)
    realm = RealmValues(
        public_url=settings.public_url,
        bff_secret=secrets.read(BFF_SECRET).decode(),
        program_secret=secrets.read(PROGRAM_SECRET).decode(),
        demo_password=DEMO_PASSWORD,
        back_channel_url=f"http://127.0.0.1:{settings.platform.port}",
    )
    return Servers(
        postgres=EmbeddedPostgres(folder, settings.run_dir.with_name(f"{settings.run_dir.name}-s")),
        kafka=KafkaServer(folder / "kafka", port=port, controller_port=port + 1),
        redis=ValkeyServer(folder / "redis", port + 2),
        s3=SeaweedServer(folder / "s3", SeaweedPorts(*range(port + 3, port + 7))),
        keycloak=KeycloakServer(
            folder / "keycloak",
            port + 7,
            realm,
            admin_password=secrets.read("keycloak-admin").decode(),
        ),
        rpc_port=port + 20,
    )


def _place(server: Any) -> str:
    for name in ("bootstrap", "issuer", "url", "endpoint"):
        if place := getattr(server, name, ""):
            return place
    raise TypeError(server)


async def cluster(flags: dict[str, Any], console: Console) -> None:
    """Starts the servers and the platform on them; waits for the end; stops all. Raises StartError
    or ConfigError with a sentence.
    """
    screen = Screen(console)
    settings = Settings(flags={**flags, "profile": "cluster"})
    with DataFolder(settings.data_dir / "servers"):
        async with servers(settings, screen) as running:
            whole = Settings(flags={**flags, **running.flags()})
            with screen.step("Topics: looking") as done:
                done(f"Topics: {await _topics(whole)}")
            await up(whole, console)


async def _topics(settings: Settings) -> str:
    from orion.app import topics

    did, left = await asyncio.to_thread(topics.apply, kafka_settings(settings.platform))
    if left:
        raise StartError("Kafka's topics are not as they should be:\n" + "\n".join(map(str, left)))
    return f"{len(did)} changes made" if did else "as they should be"
