"""The one place where a profile is chosen: which adapters stand behind the ports of this
process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from orion.app.letters import letter_fact
from orion.app.modules import copies_of, layout
from orion.core.permissions import Role
from orion.platform.auth import HttpKeys, ServiceTokens, Verifier
from orion.platform.bus.postgres import PostgresBus
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import SystemClock
from orion.platform.config import ConfigError, Settings
from orion.platform.discovery import read_keys
from orion.platform.embedded import Access
from orion.platform.issuer import issuer_of
from orion.platform.module import Ports
from orion.platform.rpc import Directory, Home
from orion.platform.secret_files import SecretFiles
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore

SERVICE_KEY = "service.key"


def secrets(settings: Settings) -> SecretFiles:
    """The secrets of this platform; the embedded profile makes missing ones."""
    return SecretFiles(settings.secrets_dir, may_create=settings.is_embedded)


def addresses(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Where each service's copies answer RPC, in the grouping that is configured."""
    platform = settings.platform
    grouped = layout(platform.processes)
    return {
        service: tuple(settings.rpc_address(copy) for copy in copies_of(process, platform.copies))
        for process, names in grouped.items()
        for service in names
    }


def access(settings: Settings) -> Access:
    """How to log into the database of this platform."""
    return Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)


@asynccontextmanager
async def open_ports(process: str, settings: Settings) -> AsyncIterator[Ports]:
    """The ports of a process; closed in reverse order."""
    if not settings.is_embedded:
        raise ConfigError("ORION_PROFILE", "the cluster profile is not there yet", "Use embedded")
    clock = SystemClock()
    key = secrets(settings).read(SERVICE_KEY)
    async with AsyncExitStack() as stack:
        door = access(settings)
        store = await stack.enter_async_context(PostgresStore.open(door, say=letter_fact))
        bus = await stack.enter_async_context(PostgresBus.open(door))
        database = await stack.enter_async_context(PostgresDatabase.open(door))
        home = Home(settings.rpc_address(process))
        directory = Directory(addresses(settings), ServiceTokens(key, process, clock), home)
        stack.push_async_callback(directory.close)
        yield Ports(
            clock=clock,
            bus=bus,
            store=store,
            database=database,
            cache=MemoryCache(),
            directory=directory,
            verifier=_verifier(settings, clock, key),
            settings=settings,
            telemetry=None,
            address=home.address,
        )


def ports_of(ports: Ports, service: str, settings: Settings) -> Ports:
    """The same ports for one service: it speaks to others in its own name."""
    key = secrets(settings).read(SERVICE_KEY)
    tokens = ServiceTokens(key, service, ports.clock)
    return replace(ports, directory=ports.directory.speaking_as(tokens))


def _verifier(settings: Settings, clock: SystemClock, key: bytes) -> Verifier:
    issuer = issuer_of(settings, (role.value for role in Role))
    # Another issuer's keys are where its metadata says, unless that is set.
    address = settings.platform.oidc_jwks_url if issuer.is_external else settings.jwks_url

    # Once in a while, so by the standard library in a thread.
    async def jwks() -> object:
        return await asyncio.to_thread(read_keys, issuer.url, address)

    return Verifier(HttpKeys(jwks, clock), issuer=issuer, clock=clock, service_key=key)
