"""The edge on a real port, with real gRPC streams behind it whose content the test writes, and a
real client before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import websockets
from joserfc.jwk import ECKey
from websockets.asyncio.client import ClientConnection

from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.errors import Coded
from orion.platform.module import Module, Ports
from orion.platform.rpc import Directory, RpcServer, current_caller
from orion.services.push_edge.config import Config
from orion.services.push_edge.edge import PATH
from orion.services.push_edge.module import build
from orion.wire.stubs import (
    common_pb2,
    identity_pb2,
    identity_pb2_grpc,
    marketdata_pb2,
    marketdata_pb2_grpc,
    notifications_pb2,
    notifications_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
    rfq_pb2,
    rfq_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)
from tests.forged import ISSUER, SERVICE_KEY, Forger

COOKIE = "__Host-orion-8080"
ORIGIN = "http://localhost:8080"
SERVICES = (
    "marketdata_projection", "rfq", "execution", "notifications", "reference", "bff_workstation",
)  # fmt: skip
CLASSES = {"EURUSD": "FX", "USDJPY": "FX", "GBPUSD": "FX", "UST10Y": "RATES", "VEGA": "EQUITY"}


class Source:
    """One upstream: a snapshot for whoever opens it, then what the test pushes. `break_all` drops
    every stream.
    """

    def __init__(self) -> None:
        self.snapshot: Any = None
        self.opened = 0
        self.held = asyncio.Event()
        self.held.set()
        self._queues: list[asyncio.Queue[Any]] = []

    async def stream(self) -> AsyncIterator[Any]:
        assert current_caller().service == "push_edge"
        self.opened += 1
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queues.append(queue)
        yield self.snapshot
        while (message := await queue.get()) is not None:
            yield message
        raise Coded("SYS-901")

    async def answers(self, demands: Any) -> AsyncIterator[Any]:
        """By demand: the snapshot, then what was pushed since, together; nothing while nothing is.
        Who is `held` says nothing at all.
        """
        assert current_caller().service == "push_edge"
        self.opened += 1
        queue: asyncio.Queue[Any] = asyncio.Queue()
        is_first = True
        async for _ in demands:
            await self.held.wait()
            if is_first:
                is_first = False
                self._queues.append(queue)
                yield self.snapshot
                continue
            answer = marketdata_pb2.TickBatch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    messages = [await queue.get()]
                while not queue.empty():
                    messages.append(queue.get_nowait())
                if None in messages:
                    raise Coded("SYS-901")
                for message in messages:
                    answer.MergeFrom(message)
            await self.held.wait()
            yield answer

    def push(self, message: Any) -> None:
        for queue in self._queues:
            queue.put_nowait(message)

    def break_all(self) -> None:
        queues, self._queues = self._queues, []
        for queue in queues:
            queue.put_nowait(None)


class Upstreams(
    marketdata_pb2_grpc.MarketDataServiceServicer,
    rfq_pb2_grpc.RFQServiceServicer,
    trade_pb2_grpc.ExecutionServiceServicer,
    notifications_pb2_grpc.NotificationServiceServicer,
    reference_pb2_grpc.ReferenceServiceServicer,
    identity_pb2_grpc.SessionServiceServicer,
):
    """Everything the edge talks to."""

    def __init__(self) -> None:
        self.ticks, self.rfqs, self.trades, self.notes = Source(), Source(), Source(), Source()
        self.ticks.snapshot = marketdata_pb2.TickBatch(
            ticks=[tick(n, "1.00", "1.02") for n in CLASSES], snapshot=True
        )
        self.rfqs.snapshot = rfq_pb2.RFQUpdate(snapshot=True)
        self.trades.snapshot = trade_pb2.TradeUpdate(snapshot=True)
        self.notes.snapshot = notifications_pb2.NotificationUpdate(snapshot=True)
        self.cookies: dict[str, str] = {}
        self.resolved = 0

    async def PullTicks(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        async for message in self.ticks.answers(request_iterator):
            yield message

    async def WatchRFQ(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for message in self.rfqs.stream():
            yield message

    async def WatchTrades(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for message in self.trades.stream():
            yield message

    async def WatchNotifications(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for message in self.notes.stream():
            yield message

    async def ListInstruments(self, request: Any, context: Any) -> Any:
        return reference_pb2.ListInstrumentsResponse(
            instruments=[
                reference_pb2.Instrument(instrument_id=n, asset_class=c) for n, c in CLASSES.items()
            ]
        )

    async def Resolve(self, request: Any, context: Any) -> Any:
        self.resolved += 1
        token = self.cookies.get(request.cookie)
        if token is None:
            raise Coded("AUTH-101")
        return identity_pb2.ResolvedSession(access_token=token)

    def register(self, server: Any) -> None:
        marketdata_pb2_grpc.add_MarketDataServiceServicer_to_server(self, server)
        rfq_pb2_grpc.add_RFQServiceServicer_to_server(self, server)
        trade_pb2_grpc.add_ExecutionServiceServicer_to_server(self, server)
        notifications_pb2_grpc.add_NotificationServiceServicer_to_server(self, server)
        reference_pb2_grpc.add_ReferenceServiceServicer_to_server(self, server)
        identity_pb2_grpc.add_SessionServiceServicer_to_server(self, server)


class World:
    """A running edge."""

    def __init__(
        self, up: Upstreams, verifier: Verifier, forger: Forger, module: Module, port: int
    ):
        self.up, self.verifier, self.forger = up, verifier, forger
        self.module, self.port = module, port
        self.edge = module.stream._handler  # the tests look at counters only the edge has

    def token(self, **claims: Any) -> str:
        tenant = claims.get("tenant", "alpha")
        return self.forger.user(**{"user": f"trader@{tenant}", **claims})

    def connect(self, token: str | None = None, **more: Any) -> Any:
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = f"ws://127.0.0.1:{self.port}{more.pop('path', PATH.decode())}"
        return websockets.connect(
            url, additional_headers=headers, compression=None, max_size=2**24, proxy=None, **more
        )


@contextlib.asynccontextmanager
async def running(
    *, elsewhere: dict[str, str] | None = None, cache: Any = None, **config: Any
) -> AsyncIterator[World]:
    """An edge with this configuration. `elsewhere`: services that are real, and where."""
    clock = SystemClock()
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    keys = StaticKeys({"keys": [{**key.as_dict(private=False), "kid": "k1"}]})
    verifier = Verifier(keys, issuer=ISSUER, clock=clock, service_key=SERVICE_KEY)
    up = Upstreams()
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        address = f"unix:{folder}/up.sock"
        server = RpcServer(address, verifier.verify)
        up.register(server.server)
        await server.start()
        tokens = ServiceTokens(SERVICE_KEY, "push_edge", clock)
        directory = Directory({**dict.fromkeys(SERVICES, address), **(elsewhere or {})}, tokens)
        settings = Settings(environment={"ORION_DATA_DIR": folder}, file=_empty(folder))
        held = cache or MemoryCache()
        ports = Ports(clock, None, None, None, held, directory, verifier, settings, None)
        module = build(ports, Config(**config))
        tasks = [asyncio.ensure_future(t()) for t in module.tasks]
        try:
            await until(lambda: module.ready() is None)
            port = await module.stream.listen("127.0.0.1", 0)
            yield World(up, verifier, Forger(key, int(clock.now() // 1_000_000)), module, port)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await directory.close()
            await server.stop(0)


def _empty(folder: str) -> Path:
    path = Path(folder) / "orion.toml"
    path.touch()
    return path


async def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits for a condition, bounded."""
    end = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < end, "it did not come true"
        await asyncio.sleep(0.005)


async def say(ws: ClientConnection, **message: Any) -> None:
    await ws.send(json.dumps(message))


async def hear(ws: ClientConnection, kind: str | None = None, channel: str | None = None) -> Any:
    """The next frame of this kind and channel; heartbeats pass by."""
    async with asyncio.timeout(10):
        while True:
            frame = json.loads(await ws.recv())
            if frame["type"] == "heartbeat" and kind != "heartbeat":
                continue
            if (kind is None or frame["type"] == kind) and channel in (None, frame.get("channel")):
                return frame


async def closed_with(ws: ClientConnection) -> tuple[int | None, str | None]:
    """How the server closes this socket."""
    async with asyncio.timeout(15):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.recv()
    return ws.close_code, ws.close_reason


def tick(name: str, bid: str, ask: str, at: int = 0, **more: Any) -> marketdata_pb2.MarketTick:
    now = at or SystemClock().now()
    return marketdata_pb2.MarketTick(
        instrument_id=name,
        bid=bid,
        ask=ask,
        mid=bid,
        timestamp_us=now,
        received_at_us=now,
        source="SIM",
        **more,
    )


def ticks(*items: marketdata_pb2.MarketTick, **more: Any) -> marketdata_pb2.TickBatch:
    return marketdata_pb2.TickBatch(ticks=items, **more)


def rfq(
    number: int, tenant: str = "alpha", requester: str = "trader", desk: str = "fx", **more: Any
) -> rfq_pb2.RFQDetails:
    values: dict[str, Any] = {
        "rfq_id": f"rfq-{tenant}-{number}", "display_id": f"R-{number}", "status": "QUOTING",
        "tenant_id": tenant, "requester": f"{requester}@{tenant}", "desk": desk,
        "instrument_id": "EURUSD", "side": common_pb2.BUY, "size": "1000000", "revision": 1,
        "created_at_us": SystemClock().now(), "expires_at_us": SystemClock().now() + 30_000_000,
        **more,
    }  # fmt: skip
    return rfq_pb2.RFQDetails(**values)


def trade(number: int, tenant: str = "alpha", requester: str = "trader", desk: str = "fx") -> Any:
    return trade_pb2.TradeDetails(
        trade_id=f"trade-{tenant}-{number}",
        tenant_id=tenant,
        requester=f"{requester}@{tenant}",
        desk=desk,
        side=common_pb2.SELL,
        traded_at_us=SystemClock().now(),
        status="EXECUTED",
    )


def note(number: int, tenant: str = "alpha", user: str = "trader") -> Any:
    return notifications_pb2.Notification(
        notification_id=f"note-{tenant}-{number}",
        tenant_id=tenant,
        user=f"{user}@{tenant}",
        kind="TRADE_DONE",
        severity="INFO",
        title="t",
        text="x",
        at_us=SystemClock().now(),
    )
