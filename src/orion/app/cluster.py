"""`orion cluster`: the cluster profile on this machine. Kafka, PostgreSQL, Redis, S3 and Keycloak
as real servers on the loopback address, then every service as a process of its own: `orion up` with
settings that name them.

A server that a setting names already is used and not started. Those that are lie in
DATA_DIR/servers, their logs with them; they end with the platform and keep their data (Redis keeps
none). What a cluster's operator would provide, secrets and topics, is made here.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orion.app.modules import connections
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
RPC_PORT = 120  # and those of the services
SECRETS = ("service.key", "cursor.key", "session.key", "audit.key")
BFF_SECRET, PROGRAM_SECRET = "oidc-client-orion-bff", "oidc-client-orion-program-alpha"


@dataclass(frozen=True)
class Part:
    """One server: the setting that names it, the server, and what the platform is told of it."""

    setting: str
    server: Any
    told: Mapping[str, Any]


@asynccontextmanager
async def servers(
    settings: Settings, screen: Screen, only: Collection[str] = ()
) -> AsyncIterator[dict[str, Any]]:
    """Those that no setting names (of them `only` these, if given), as long as the block lasts: the
    settings that name them. Raises StartError.
    """
    run_dir = settings.run_dir.with_name(f"{settings.run_dir.name}-s")
    made = _parts(settings, settings.data_dir / "servers", run_dir)
    made = {n: p for n, p in made.items() if not only or n in only}
    ours = {n: p for n, p in made.items() if not getattr(settings.platform, p.setting)}
    try:
        with screen.step(f"Servers: {', '.join(ours)}"):
            await _at_once(*(part.server.start() for part in ours.values()))
        yield {name: value for part in ours.values() for name, value in part.told.items()}
    finally:
        await _at_once(*(part.server.stop() for part in ours.values()))
        shutil.rmtree(run_dir, ignore_errors=True)


async def _at_once(*work: Coroutine[Any, Any, None]) -> None:
    """All of them; raises what went wrong first, when all have ended."""
    done = await asyncio.gather(*work, return_exceptions=True)
    for error in done:
        if isinstance(error, BaseException):
            raise error


def _parts(settings: Settings, folder: Path, run_dir: Path) -> dict[str, Part]:
    port = settings.platform.port + FIRST_PORT
    secrets = SecretFiles(settings.secrets_dir, may_create=True)
    for name in SECRETS:
        secrets.read(name)
    postgres = EmbeddedPostgres(folder, run_dir, connections=connections(settings.platform))
    kafka = KafkaServer(folder / "kafka", port=port, controller_port=port + 1)
    redis = ValkeyServer(folder / "redis", port + 2)
    s3 = SeaweedServer(folder / "s3", SeaweedPorts(*range(port + 3, port + 7)))
    keycloak = KeycloakServer(
        folder / "keycloak",
        port + 7,
        _realm(settings, secrets),
        admin_password=secrets.read("keycloak-admin").decode(),
    )
    return {
        "PostgreSQL": Part("postgres_dsn", postgres, {"postgres_dsn": postgres.access.admin_dsn}),
        "Kafka": Part(
            "kafka_bootstrap", kafka, {"kafka_bootstrap": kafka.bootstrap, "kafka_replication": 1}
        ),
        "Redis": Part(
            "redis_url",
            redis,
            {"redis_url": redis.url, "redis_password_file": str(redis.password_file)},
        ),
        "S3": Part(
            "blob_url",
            s3,
            {
                "blob_url": f"s3://{s3.bucket}/archive",
                "blob_endpoint": s3.endpoint,
                "blob_credentials_file": str(s3.credentials_file),
            },
        ),
        "Keycloak": Part("oidc_issuer", keycloak, {"oidc_issuer": keycloak.issuer}),
    }


def _realm(settings: Settings, secrets: SecretFiles) -> RealmValues:
    return RealmValues(
        public_url=settings.public_url,
        bff_secret=secrets.read(BFF_SECRET).decode(),
        program_secret=secrets.read(PROGRAM_SECRET).decode(),
        demo_password=DEMO_PASSWORD,
        back_channel_url=f"http://127.0.0.1:{settings.platform.port}",
    )


async def cluster(flags: dict[str, Any], console: Console) -> None:
    """Starts the servers and the platform on them; waits for the end; stops all. Raises StartError
    or ConfigError with a sentence.
    """
    screen = Screen(console)
    screen.say(f"Demo users: {DEMO_USERS}, each @alpha and @beta; password {DEMO_PASSWORD}\n")
    settings = Settings(flags={**flags, "profile": "cluster"})
    with DataFolder(settings.data_dir / "servers"):
        async with servers(settings, screen) as told:
            if not settings.platform.rpc_addresses:
                told["rpc_addresses"] = f"loopback:{settings.platform.port + RPC_PORT}"
            whole = Settings(flags={**flags, "profile": "cluster", **told})
            with screen.step("Topics: looking") as done:
                done(f"Topics: {await _topics(whole)}")
            await up(whole, console)


async def _topics(settings: Settings) -> str:
    from orion.app import topics

    did, left = await asyncio.to_thread(topics.apply, kafka_settings(settings.platform))
    if left:
        raise StartError("Kafka's topics are not as they should be:\n" + "\n".join(map(str, left)))
    return f"{len(did)} changes made" if did else "as they should be"
