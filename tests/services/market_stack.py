"""Reference, ingest and projection over a real PostgreSQL, spoken to over real gRPC."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.bus.postgres import PostgresBus
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import Clock, SystemClock
from orion.platform.config import Settings
from orion.platform.module import Module, Ports
from orion.platform.rpc import Directory, RpcServer
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.services.marketdata_ingest import module as ingest_module
from orion.services.marketdata_ingest.config import Config as IngestConfig
from orion.services.marketdata_projection import module as projection_module
from orion.services.marketdata_projection.config import Config as ProjectionConfig
from orion.services.reference import module as reference_module
from orion.services.reference.config import Config as ReferenceConfig
from orion.wire.stubs import marketdata_pb2_grpc, reference_pb2_grpc
from tests.forged import ISSUER, SERVICE_KEY, Forger
from tests.postgres import TestDatabase
from tests.services.edge_world import until

NAMES = ("reference", "marketdata_ingest", "marketdata_projection")


class Stack:
    """What a test may touch."""

    def __init__(self, ports: Ports, forger: Forger):
        self.ports, self.forger = ports, forger
        self.cache: Any = ports.cache
        self.modules: dict[str, Module] = {}
        channel = ports.directory.channel("reference")
        self.reference = reference_pb2_grpc.ReferenceServiceStub(channel)
        self.market = marketdata_pb2_grpc.MarketDataServiceStub(channel)
        self.feed = marketdata_pb2_grpc.MarketFeedServiceStub(channel)

    def as_user(self, **claims: Any) -> Any:
        return (("authorization", f"Bearer {self.forger.user(**claims)}"),)

    def as_service(self) -> Any:
        return self.ports.directory.as_service()

    async def counts(self, topic: str) -> int:
        """Events that lie on a topic."""
        return sum((await self.ports.bus.ends(topic)).values())


@contextlib.asynccontextmanager
async def running(
    db: TestDatabase,
    *,
    environment: Mapping[str, str] | None = None,
    names: Sequence[str] = NAMES,
    ingest: Mapping[str, Any] | None = None,
    projection: Mapping[str, Any] | None = None,
    reference: Mapping[str, Any] | None = None,
    clock: Clock | None = None,
    cache: Any = None,
) -> AsyncIterator[Stack]:
    """The services of these names, ready."""
    clock = clock or SystemClock()
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    keys = StaticKeys({"keys": [{**key.as_dict(private=False), "kid": "k1"}]})
    verifier = Verifier(keys, issuer=ISSUER, clock=clock, service_key=SERVICE_KEY)
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))
        file = Path(folder) / "orion.toml"
        file.touch()
        settings = Settings(
            environment={"ORION_DATA_DIR": folder, **(environment or {})}, file=file
        )
        store = PostgresStore(db.writer)
        bus = PostgresBus(db.writer)
        database = PostgresDatabase(db.reader, db.writer)
        for closing in (store, bus, database):
            stack.push_async_callback(closing.close)
        address = f"unix:{folder}/core.sock"
        directory = Directory(
            dict.fromkeys(NAMES, address), ServiceTokens(SERVICE_KEY, "test", clock)
        )
        stack.push_async_callback(directory.close)
        ports = Ports(
            clock,
            bus,
            store,
            database,
            cache or MemoryCache(),
            directory,
            verifier,
            settings,
            None,
            address=address,
        )
        world = Stack(ports, Forger(key, clock.now() // 1_000_000))
        builders: dict[str, Callable[[], Module]] = {
            "reference": lambda: reference_module.build(
                ports, ReferenceConfig(**(reference or {}))
            ),
            "marketdata_ingest": lambda: ingest_module.build(ports, IngestConfig(**(ingest or {}))),
            "marketdata_projection": lambda: projection_module.build(
                ports, ProjectionConfig(**(projection or {}))
            ),
        }
        world.modules = {n: builders[n]() for n in names}
        server = RpcServer(address, verifier.verify)
        for made in world.modules.values():
            for register, servicer in made.rpc:
                register(servicer, server.server)
        await server.start()
        stack.push_async_callback(server.stop, 0)
        tasks = [asyncio.ensure_future(t()) for m in world.modules.values() for t in m.tasks]
        stack.push_async_callback(_stop, tasks)
        await until(lambda: _ready(world.modules.values(), tasks), 30)
        yield world


def _ready(modules: Any, tasks: Sequence[asyncio.Future[None]]) -> bool:
    for task in tasks:
        if task.done():
            task.result()
            raise AssertionError("a task has ended")
    return all(m.ready() is None for m in modules)


async def _stop(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
