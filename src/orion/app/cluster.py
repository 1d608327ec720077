"""`orion cluster`: the cluster profile on this machine. Kafka, PostgreSQL, Redis, S3 and Keycloak
as real servers on the loopback address, then every service as a process of its own: `orion up` with
settings that name them.

Servers lie in DATA_DIR/servers, their logs with them; they end with the platform and keep their
data (Redis keeps none). What a cluster's operator would provide, secrets and topics, is made here.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orion.app.servers.kafka import KafkaServer
from orion.app.servers.keycloak import KeycloakServer, RealmValues
from orion.app.servers.seaweed import SeaweedPorts, SeaweedServer
from orion.app.servers.valkey import ValkeyServer
from orion.app.up import DEMO_PASSWORD, DEMO_USERS, Screen, up
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
    run_dir = settings.run_dir.with_name(f"{settings.run_dir.name}-s")
    made = _servers(settings, settings.data_dir / "servers", run_dir)
    parts = (made.postgres, made.kafka, made.redis, made.s3, made.keycloak)
    try:
        with screen.step("Servers: PostgreSQL, Kafka, Redis, S3 and Keycloak") as done:
            await _at_once(*(part.start() for part in parts))
            done("Servers: PostgreSQL, Kafka, Redis, S3, Keycloak")
        yield made
    finally:
        await _at_once(*(part.stop() for part in parts))
        shutil.rmtree(run_dir, ignore_errors=True)


async def _at_once(*work: Coroutine[Any, Any, None]) -> None:
    """All of them; raises what went wrong first, when all have ended."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for error in done:
        if isinstance(error, BaseException):
            raise error


def _servers(settings: Settings, folder: Path, run_dir: Path) -> Servers:
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
        postgres=EmbeddedPostgres(folder, run_dir),
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


async def cluster(flags: dict[str, Any], console: Console) -> None:
    """Starts the servers and the platform on them; waits for the end; stops all. Raises StartError
    or ConfigError with a sentence.
    """
    screen = Screen(console)
    screen.say(f"Demo users: {DEMO_USERS}, each @alpha and @beta; password {DEMO_PASSWORD}\n")
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
