"""The one place where a profile is chosen: which adapters stand behind the ports of this
process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from orion.app.blobs import open_blobs
from orion.app.certs import credentials_of, file_of
from orion.app.letters import letter_copy, letter_fact
from orion.app.modules import copies_of, layout
from orion.core.permissions import Role
from orion.platform.auth import HttpKeys, ServiceTokens, Verifier
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.bus.postgres import PostgresBus
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import Clock, SystemClock
from orion.platform.config import ConfigError, Settings
from orion.platform.discovery import read_keys
from orion.platform.embedded import Access
from orion.platform.faults import Faults, faults_of
from orion.platform.issuer import issuer_of
from orion.platform.module import Ports
from orion.platform.relay_marks import RelayMarks
from orion.platform.rpc import Directory, Home
from orion.platform.rpc.addresses import is_local, listening, of_process, of_services
from orion.platform.secret_files import SecretFiles
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.wire.repeatable import repeatable_methods

SERVICE_KEY = "service.key"


def secrets(settings: Settings) -> SecretFiles:
    """The secrets of this platform; the embedded profile makes missing ones."""
    return SecretFiles(settings.secrets_dir, may_create=settings.is_embedded)


def addresses(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Where each service's copies answer RPC."""
    platform = settings.platform
    grouped = layout(platform.processes, platform.profile)
    if not is_local(platform.rpc_addresses):
        return of_services(platform.rpc_addresses, chain.from_iterable(grouped.values()))
    return {
        service: tuple(_local(settings, copy) for copy in copies_of(process, platform.copies))
        for process, names in grouped.items()
        for service in names
    }


def own_address(settings: Settings, process: str) -> tuple[str, str]:
    """(where a process listens for RPC, under which address others find it)."""
    platform = settings.platform
    own = _local(settings, process) if is_local(platform.rpc_addresses) else ""
    return listening(platform.rpc_listen, platform.rpc_advertise, own)


def _local(settings: Settings, process: str) -> str:
    platform = settings.platform
    if not platform.rpc_addresses:
        return settings.rpc_address(process)
    names = layout(platform.processes, platform.profile)
    everyone = [copy for name in names for copy in copies_of(name, platform.copies)]
    return of_process(platform.rpc_addresses, process, everyone)


def access(settings: Settings) -> Access:
    """How to log into the database of this platform."""
    return Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)


@asynccontextmanager
async def open_ports(process: str, settings: Settings) -> AsyncIterator[Ports]:
    """The ports of a process; closed in reverse order."""
    faults = faults_of(settings.platform, process)
    clock = faults.clock(SystemClock()) if faults else SystemClock()
    key = secrets(settings).read(SERVICE_KEY)
    async with AsyncExitStack() as stack:
        door = access(settings)
        store = await stack.enter_async_context(
            PostgresStore.open(door, say=letter_fact, keep=letter_copy)
        )
        log = await stack.enter_async_context(PostgresBus.open(door))
        database = await stack.enter_async_context(PostgresDatabase.open(door))
        home = Home(own_address(settings, process)[1])
        directory = Directory(
            addresses(settings),
            ServiceTokens(key, file_of(process), clock),
            home,
            credentials_of(settings, process),
            repeatable_methods(),
        )
        stack.push_async_callback(directory.close)
        cluster = None if settings.is_embedded else await _cluster(settings, door, stack)
        ports = Ports(
            clock=clock,
            bus=cluster.bus if cluster else log,
            log=log,
            marks=cluster.marks if cluster else None,
            store=store,
            database=database,
            cache=cluster.cache if cluster else MemoryCache(),
            blobs=cluster.blobs if cluster else None,
            directory=directory,
            verifier=_verifier(settings, clock, key),
            settings=settings,
            telemetry=None,
            address=home.address,
        )
        yield hurt(ports, faults) if faults else ports


def hurt(ports: Ports, faults: Faults) -> Ports:
    """The same ports with edges at which a fault test may let this process die."""
    return replace(
        ports,
        store=faults.store(ports.store),
        database=faults.database(ports.database),
        bus=faults.bus(ports.bus),
        log=faults.log(ports.log),
        marks=faults.marks(ports.marks) if ports.marks else None,
        blobs=faults.blobs(ports.blobs) if ports.blobs else None,
    )


@dataclass(frozen=True)
class _Cluster:
    """What the cluster profile has in other places than the embedded one."""

    bus: Any
    cache: Any
    marks: Any
    blobs: Any


async def _cluster(settings: Settings, door: Access, stack: AsyncExitStack) -> _Cluster:
    # Imported here: the embedded profile has none of these clients installed.
    try:
        from orion.platform.bus.kafka import KafkaBus
        from orion.platform.cache.redis import RedisCache
    except ModuleNotFoundError as error:
        raise ConfigError(
            "ORION_PROFILE", f"cluster needs {error.name}", "Run `./orion setup --cluster`"
        ) from None
    marks = RelayMarks(door.dsn("orion_writer"))
    stack.push_async_callback(marks.close)
    return _Cluster(
        bus=await stack.enter_async_context(
            KafkaBus.open(kafka_settings(settings.platform), await marks.patiently_abandoned())
        ),
        cache=await stack.enter_async_context(RedisCache.open(settings.platform)),
        marks=marks,
        blobs=await stack.enter_async_context(open_blobs(settings)),
    )


def ports_of(ports: Ports, service: str, settings: Settings) -> Ports:
    """The same ports for one service: it speaks to others in its own name."""
    key = secrets(settings).read(SERVICE_KEY)
    tokens = ServiceTokens(key, service, ports.clock)
    return replace(ports, directory=ports.directory.speaking_as(tokens))


def _verifier(settings: Settings, clock: Clock, key: bytes) -> Verifier:
    issuer = issuer_of(settings, (role.value for role in Role))
    # Another issuer's keys are where its metadata says, unless that is set.
    address = settings.platform.oidc_jwks_url if issuer.is_external else settings.jwks_url

    # Once in a while, so by the standard library in a thread.
    async def jwks() -> object:
        return await asyncio.to_thread(read_keys, issuer.url, address)

    return Verifier(HttpKeys(jwks, clock), issuer=issuer, clock=clock, service_key=key)
