"""The trading services put together as in the product: real modules, real gRPC on a socket, real
PostgreSQL, real dealers."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from joserfc.jwk import ECKey

from orion.app.modules import MODULES
from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.bus.postgres import PostgresBus
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.module import Module, Ports
from orion.platform.rpc import Directory, Home, RpcServer, rpc_errors
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.wire.stubs import common_pb2, rfq_pb2, rfq_pb2_grpc, trade_pb2, trade_pb2_grpc
from tests.forged import ISSUER, SERVICE_KEY, Forger
from tests.postgres import TestDatabase
from tests.services.trading.street import until

ALL = (
    "reference", "marketdata_ingest", "marketdata_projection", "rfq", "lp_gateway", "execution",
    "lp_bots",
)  # fmt: skip
ENTITLED = {
    "assetClasses": ["FX", "RATES", "CREDIT", "EQUITY"], "instrumentIds": None,
    "venueIds": ["XORN", "XLYR", "XCRU"], "maxNotional": "100000000", "rfqPerMinute": 10_000,
}  # fmt: skip
QUICK = {
    "ORION_LP_BOTS_DELAY_SCALE": "0.02", "ORION_LP_BOTS_NO_INTEREST_SCALE": "0",
    "ORION_LP_BOTS_THROTTLE_SCALE": "100", "ORION_RFQ_THROTTLE_SCALE": "100",
    "ORION_LP_GATEWAY_THROTTLE_SCALE": "100",
}  # fmt: skip
_NUMBER = itertools.count(1)


class Process:
    """Some modules behind one gRPC server, as one process of the product."""

    def __init__(self, exchange: Exchange, name: str, services: Sequence[str]):
        self.exchange, self.name, self.services = exchange, name, services
        self.address = f"unix:{exchange.folder}/{name}.sock"
        self.modules: dict[str, Module] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        x = self.exchange
        self._store = PostgresStore(x.db.writer)
        self._bus = PostgresBus(x.db.writer)
        self._database = PostgresDatabase(x.db.reader, x.db.writer)
        home = Home(self.address)
        self.rpc = RpcServer(self.address, x.verifier.verify, home)
        self.directories = []
        for service in self.services:
            entry = MODULES[service]
            directory = Directory(x.addresses, ServiceTokens(SERVICE_KEY, service, x.clock), home)
            self.directories.append(directory)
            ports = Ports(
                clock=x.clock, bus=self._bus, store=self._store, database=self._database,
                cache=x.cache, directory=directory, verifier=x.verifier, settings=x.settings,
                telemetry=None, address=self.address,
            )  # fmt: skip
            module = entry.build(ports, x.settings.section(service, entry.config_type))
            self.modules[service] = module
            for register, servicer in module.rpc:
                self.rpc.add(register, servicer)
        await self.rpc.start()
        tasks = [task for module in self.modules.values() for task in module.tasks]
        self._tasks = [asyncio.create_task(task()) for task in tasks]

    async def ready(self) -> None:
        """Waits until every module says so; a task that died is told at once."""

        def is_ready() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
                    raise AssertionError(f"{task} ended")
            return all(module.ready() is None for module in self.modules.values())

        await until(is_ready, f"{self.name} ready: {[m.ready() for m in self.modules.values()]}")

    async def stop(self, grace_s: float = 0) -> None:
        await self.rpc.stop(grace_s)
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task
        for directory in self.directories:
            await directory.close()
        await self._bus.close()
        await self._store.close()
        await self._database.close()


class Exchange:
    """The whole platform of the trading services, and its users."""

    def __init__(
        self, db: TestDatabase, folder: Path, layout: dict[str, Sequence[str]], **env: str
    ):
        self.db, self.folder, self.clock = db, folder, SystemClock()
        self.key = ECKey.generate_key("P-256", {"kid": "k1"})
        keys = StaticKeys({"keys": [self.key.as_dict(private=False)]})
        self.verifier = Verifier(keys, issuer=ISSUER, clock=self.clock, service_key=SERVICE_KEY)
        environment = {"ORION_DATA_DIR": str(folder), **QUICK, **env}
        self.settings = Settings(environment=environment)
        self.cache = MemoryCache()
        self.processes = {name: Process(self, name, services) for name, services in layout.items()}
        self.addresses: dict[str, str] = {}
        for process in reversed(self.processes.values()):
            self.addresses |= dict.fromkeys(process.services, process.address)
        self.directory = Directory(
            self.addresses, ServiceTokens(SERVICE_KEY, "push_edge", self.clock)
        )

    async def start(self) -> None:
        for process in self.processes.values():
            await process.start()
        for process in self.processes.values():
            await process.ready()

    async def stop(self) -> None:
        await self.directory.close()
        for process in reversed(self.processes.values()):
            await process.stop()

    async def restart(self, name: str) -> None:
        """The process dies and comes back, with nothing in memory."""
        await self.processes[name].stop()
        fresh = Process(self, name, self.processes[name].services)
        self.processes[name] = fresh
        await fresh.start()
        await fresh.ready()

    # -- people ------------------------------------------------------------------------------------

    def token(self, user: str = "trader", tenant: str = "alpha", **changes: Any) -> str:
        forger = Forger(self.key, self.clock.now() // 1_000_000)
        role = changes.pop("role", "ROLE_TRADER")
        ent = {**ENTITLED, **changes.pop("ent", {})}
        return forger.user(
            sub=f"u-{user}-{tenant}", tenant=tenant, user=f"{user}@{tenant}", roles=[role],
            desk=changes.pop("desk", "fx"), ent=ent, sid=f"s-{user}-{tenant}", **changes,
        )  # fmt: skip

    def person(self, user: str = "trader", tenant: str = "alpha", **changes: Any) -> Person:
        return Person(self, self.token(user, tenant, **changes))

    def service(self, name: str) -> tuple[tuple[str, str], ...]:
        token = ServiceTokens(SERVICE_KEY, name, self.clock)()
        return (("authorization", f"Bearer {token}"),)


class Person:
    """A user with a token, calling the services as the BFF does."""

    def __init__(self, exchange: Exchange, token: str, address: str | None = None):
        self.metadata = (("authorization", f"Bearer {token}"),)
        channel = exchange.directory.channel
        self.rfq = rfq_pb2_grpc.RFQServiceStub(channel("rfq", address))
        self.trades = trade_pb2_grpc.ExecutionServiceStub(channel("execution"))

    async def ask(self, call: Any, request: Any) -> Any:
        async with rpc_errors():
            return await call(request, timeout=10, metadata=self.metadata)

    async def create(self, key: str = "", **changes: Any) -> rfq_pb2.RFQDetails:
        fields = {
            "instrument_id": "EURUSD", "side": common_pb2.BUY, "size": "1000000",
            "expiry_seconds": 30, **changes,
        }  # fmt: skip
        request = rfq_pb2.CreateRFQRequest(idempotency=_key(key), **fields)
        return await self.ask(self.rfq.CreateRFQ, request)

    async def get(self, rfq_id: str) -> rfq_pb2.RFQDetails:
        return await self.ask(self.rfq.GetRFQ, rfq_pb2.GetRFQRequest(rfq_id=rfq_id))

    async def quoted(self, rfq_id: str, count: int = 1) -> rfq_pb2.RFQDetails:
        """The RFQ, once so many dealers have quoted."""

        async def there() -> rfq_pb2.RFQDetails | None:
            found = await self.get(rfq_id)
            live = [q for q in found.quotes if q.status == "QUOTED"]
            return found if len(live) >= count else None

        return await until(there, f"{count} quotes")

    async def accept(
        self, seen: rfq_pb2.RFQDetails, quote_id: str = "", key: str = ""
    ) -> rfq_pb2.RFQDetails:
        request = rfq_pb2.AcceptQuoteRequest(
            idempotency=_key(key), rfq_id=seen.rfq_id, version=seen.version,
            quote_id=quote_id or seen.best_quote_id, reason="test",
        )  # fmt: skip
        return await self.ask(self.rfq.AcceptQuote, request)

    async def cancel(self, rfq_id: str, key: str = "") -> rfq_pb2.RFQDetails:
        request = rfq_pb2.CancelRFQRequest(idempotency=_key(key), rfq_id=rfq_id)
        return await self.ask(self.rfq.CancelRFQ, request)

    async def list(self, cursor: str = "", limit: int = 50, **wanted: Any) -> Any:
        request = rfq_pb2.ListRFQsRequest(
            filter=rfq_pb2.RFQFilter(**wanted), page=common_pb2.Page(limit=limit, cursor=cursor)
        )
        return await self.ask(self.rfq.ListRFQs, request)

    async def list_trades(self, cursor: str = "", limit: int = 50, **wanted: Any) -> Any:
        request = trade_pb2.ListTradesRequest(
            filter=trade_pb2.TradeFilter(**wanted), page=common_pb2.Page(limit=limit, cursor=cursor)
        )
        return await self.ask(self.trades.ListTrades, request)

    async def settled(self, rfq_id: str, *status: str) -> rfq_pb2.RFQDetails:
        async def there() -> rfq_pb2.RFQDetails | None:
            found = await self.get(rfq_id)
            return found if found.status in status else None

        return await until(there, f"{status}")

    async def trade_once(self, **changes: Any) -> rfq_pb2.RFQDetails:
        """Asks until a trade is made: a dealer may go back on its quote at last look."""
        for _ in range(20):
            made = await self.create(**changes)
            seen = await self.quoted(made.rfq_id, 2)
            firm = [q for q in seen.quotes if q.status == "QUOTED" and q.lp_id not in LOOKING]
            if not firm:
                continue
            await self.accept(seen, firm[0].quote_id)
            return await self.settled(made.rfq_id, "TRADED")
        raise AssertionError("no firm quote in twenty RFQs")


LOOKING = ("HALDEN", "TARNWICK")


def _key(key: str) -> common_pb2.Idempotency:
    return common_pb2.Idempotency(key=key or f"key-{next(_NUMBER):08}")


@asynccontextmanager
async def running(
    db: TestDatabase, layout: dict[str, Sequence[str]] | None = None, **env: str
) -> AsyncIterator[Exchange]:
    """The exchange as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="ox-") as folder:
        exchange = Exchange(db, Path(folder), layout or {"core": ALL}, **env)
        try:
            await exchange.start()
            yield exchange
        finally:
            await exchange.stop()


async def read_stream(call: grpc.aio.UnaryStreamCall, wanted: Any) -> Any:
    """Reads a stream until something wanted came; bounded."""
    async with asyncio.timeout(20):
        async for update in call:
            found = wanted(update)
            if found:
                return found
    raise AssertionError("the stream ended")
