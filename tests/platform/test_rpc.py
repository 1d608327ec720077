"""The gate in front of every servicer: over a real gRPC connection, and within the process. Both
kinds of channel give the same answers to the same calls.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import structlog

from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.rpc import Directory, Home, RpcServer, current_caller, rpc_errors
from orion.platform.rpc.exchange import MAX_UNREAD
from orion.wire.stubs import (
    audit_pb2,
    audit_pb2_grpc,
    lp_pb2,
    lp_pb2_grpc,
    rfq_pb2,
    rfq_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

ALICE = Caller(
    "alpha",
    "u1",
    "trader@alpha",
    "Alice",
    "fx",
    frozenset({"ROLE_TRADER"}),
    None,
    "s1",
    0,
    2**31,
    "good",
)


def verify(token: str) -> Caller:
    if token != "good":
        raise Coded("AUTH-102")
    return ALICE


class Audit(audit_pb2_grpc.AuditServiceServicer):
    def __init__(self, world: "World"):
        self.world = world

    async def GetTimeline(self, request, context):
        match request.correlation_id:
            case "coded":
                raise Coded(
                    "RISK-103",
                    "asked 9, limit 5",
                    extra={"rfqId": "r1", "näme": "ü"},
                    retry_after_s=2,
                )
            case "moved":
                raise NotOwner("rfq", 3, None)
            case "bug":
                raise ZeroDivisionError("secret detail")
            case "patience":
                await self.world.stay()
            case "large":
                entry = audit_pb2.AuditEntry(summary="x" * 17 * 1024 * 1024)
                return audit_pb2.TimelineResponse(items=[entry])
            case "metadata":
                names = [k for k, _ in context.invocation_metadata() if k.startswith("x-")]
                return audit_pb2.TimelineResponse(
                    items=[audit_pb2.AuditEntry(service=name) for name in sorted(names)]
                )
        self.world.kept = audit_pb2.AuditEntry(service=current_caller().user)
        self.world.request = request
        bound = structlog.contextvars.get_contextvars()
        self.world.bound = {k: str(v) for k, v in bound.items()}
        return audit_pb2.TimelineResponse(items=[self.world.kept])


class Trades(trade_pb2_grpc.ExecutionServiceServicer):
    def __init__(self, world: "World"):
        self.world = world

    async def WatchTrades(self, request, context):
        yield trade_pb2.TradeUpdate(snapshot=True)
        yield trade_pb2.TradeUpdate(items=[trade_pb2.TradeDetails(requester=current_caller().user)])
        raise Coded("WS-503")


class RFQs(rfq_pb2_grpc.RFQServiceServicer):
    """A stream of bytes made ready, as long as somebody reads."""

    def __init__(self, world: "World"):
        self.world = world

    async def WatchRFQ(self, request, context):
        try:
            while True:
                self.world.sent += 1
                padding = "x" * 100_000  # so that a socket's buffers are full soon
                rfq = rfq_pb2.RFQDetails(version=self.world.sent, reason=padding)
                yield rfq_pb2.RFQUpdate(items=[rfq]).SerializeToString()
        finally:
            self.world.left.set()


class Gateway(lp_pb2_grpc.LPGatewayServiceServicer):
    """Says back what it hears, and how many there were at the end."""

    def __init__(self, world: "World"):
        self.world = world

    async def Quote(self, request_iterator, context):
        heard = 0
        try:
            async for message in request_iterator:
                heard += 1
                yield lp_pb2.ToDealer(pong=message.ping)
            yield lp_pb2.ToDealer(pong=lp_pb2.DealerPing(at_us=1_000 + heard))
        finally:
            self.world.left.set()


class World:
    """The servicers' side of a test."""

    def __init__(self) -> None:
        self.kept = self.request = None
        self.bound: dict[str, str] = {}
        self.sent = 0
        self.here, self.left = asyncio.Event(), asyncio.Event()
        self.server: RpcServer

    async def stay(self) -> None:
        self.here.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def serving(kind: str, tmp_path: Path, world: World) -> AsyncIterator[Directory]:
    address = f"unix:{tmp_path}/rpc.sock"
    home = Home(address) if kind == "local" else None
    world.server = server = RpcServer(address, verify, home)
    server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, Audit(world))
    server.add(trade_pb2_grpc.add_ExecutionServiceServicer_to_server, Trades(world))
    server.add(rfq_pb2_grpc.add_RFQServiceServicer_to_server, RFQs(world))
    server.add(lp_pb2_grpc.add_LPGatewayServiceServicer_to_server, Gateway(world))
    await server.start()
    names = ("audit", "execution", "rfq", "lp_gateway")
    directory = Directory(dict.fromkeys(names, address), lambda: "good", home)
    yield directory
    await directory.close()
    await server.stop(0)


@pytest.fixture(params=["socket", "local"])
async def directory(request, tmp_path: Path, world: World) -> AsyncIterator[Directory]:
    async with serving(request.param, tmp_path, world) as directory:
        yield directory


async def ask(directory: Directory, correlation: str, metadata=None) -> audit_pb2.TimelineResponse:
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))
    async with rpc_errors():
        request = audit_pb2.TimelineRequest(correlation_id=correlation)
        return await stub.GetTimeline(
            request, timeout=5, metadata=metadata or directory.as_user(ALICE)
        )


async def test_the_verified_caller_reaches_the_servicer(directory):
    assert (await ask(directory, "x")).items[0].service == "trader@alpha"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((("authorization", "Bearer forged"),), "AUTH-102"),
        ((("authorization", "Basic good"),), "AUTH-101"),
        ((("x-other", "1"),), "AUTH-101"),
    ],
)
async def test_without_a_valid_token_nothing_gets_in(directory, metadata, code):
    with pytest.raises(Coded) as caught:
        await ask(directory, "x", metadata)
    assert caught.value.code == code


async def test_a_refusal_keeps_code_detail_and_extra(directory):
    with pytest.raises(Coded) as caught:
        await ask(directory, "coded")
    error = caught.value
    assert (error.code, error.detail, error.retry_after_s) == ("RISK-103", "asked 9, limit 5", 2)
    assert error.extra == {"rfqId": "r1", "näme": "ü"}


async def test_a_partition_without_an_owner_is_named(directory):
    with pytest.raises(NotOwner) as caught:
        await ask(directory, "moved")
    assert (caught.value.service, caught.value.part, caught.value.address) == (
        "rfq",
        3,
        None,
    )


async def test_a_bug_shows_an_id_and_nothing_else(directory):
    with pytest.raises(Coded) as caught:
        await ask(directory, "bug")
    assert caught.value.code == "SYS-900"
    assert "secret" not in str(caught.value)


async def test_streams_carry_the_caller_and_the_error(directory):
    stub = trade_pb2_grpc.ExecutionServiceStub(directory.channel("execution"))
    seen = []
    with pytest.raises(Coded) as caught:
        async with rpc_errors():
            call = stub.WatchTrades(
                trade_pb2.WatchTradesRequest(), metadata=directory.as_user(ALICE)
            )
            async for update in call:
                seen.append(update)
    assert [u.snapshot for u in seen] == [True, False]
    assert seen[1].items[0].requester == "trader@alpha"
    assert caught.value.code == "WS-503"


@pytest.mark.parametrize("kind", ["socket", "local"])
async def test_nobody_there_is_unavailable(tmp_path, kind):
    address = f"unix:{tmp_path}/none.sock"
    home = Home(address) if kind == "local" else None
    directory = Directory({"audit": address}, lambda: "service", home)
    with pytest.raises(Unavailable):
        await ask(directory, "x")
    await directory.close()


async def test_neither_side_holds_an_object_of_the_other(directory, world):
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))
    request = audit_pb2.TimelineRequest(correlation_id="mine")
    answer = await stub.GetTimeline(request, metadata=directory.as_user(ALICE))
    world.kept.service, request.correlation_id = "changed later", "changed later"
    assert answer.items[0].service == "trader@alpha"
    assert world.request.correlation_id == "mine"


async def test_what_a_caller_has_bound_comes_along_only_as_metadata(directory, world):
    structlog.contextvars.bind_contextvars(request_id="r-1", secret="mine")
    try:
        await ask(directory, "x")
        here = structlog.contextvars.get_contextvars()
    finally:
        structlog.contextvars.unbind_contextvars("request_id", "secret")
    assert world.bound["request_id"] == "r-1"
    assert (world.bound["tenant"], world.bound.get("secret")) == ("alpha", None)
    assert "tenant" not in here  # and what is bound over there stays there
    with pytest.raises(LookupError):
        current_caller()


async def test_metadata_reach_the_servicer(directory):
    metadata = (*directory.as_user(ALICE), ("x-orion-hop", "1"))
    found = await ask(directory, "metadata", metadata)
    assert "x-orion-hop" in [item.service for item in found.items]


async def test_a_deadline_ends_both_sides(directory, world):
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))
    with pytest.raises(Unavailable) as caught:
        async with rpc_errors():
            await stub.GetTimeline(
                audit_pb2.TimelineRequest(correlation_id="patience"),
                timeout=0.2,
                metadata=directory.as_user(ALICE),
            )
    assert caught.value.code == "SYS-902"
    await bounded(world.left.wait())


async def test_a_caller_that_is_cancelled_takes_the_call_along(directory, world):
    asking = asyncio.create_task(ask(directory, "patience"))
    await bounded(world.here.wait())
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await bounded(world.left.wait())


async def test_a_message_that_is_too_large_is_refused(directory):
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetTimeline(
            audit_pb2.TimelineRequest(correlation_id="large"), metadata=directory.as_user(ALICE)
        )
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unknown_method_is_refused(directory):
    call = directory.channel("audit").unary_unary("/orion.v1.AuditService/No", bytes, bytes)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(b"", metadata=directory.as_user(ALICE))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def watch(directory: Directory):
    stub = rfq_pb2_grpc.RFQServiceStub(directory.channel("rfq"))
    return stub.WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=directory.as_user(ALICE))


async def test_who_does_not_read_stops_who_writes(directory, world):
    call = watch(directory)
    first = await bounded(anext(aiter(call)))
    await settled(lambda: world.sent)
    assert first.items[0].version == 1
    assert world.sent < 1_000  # a socket's buffers; within the process the bound is known
    if directory.home is not None:
        assert world.sent <= MAX_UNREAD + 2
    seen = [update.items[0].version async for update in up_to(call, 20)]
    assert seen == list(range(2, 22))
    call.cancel()
    await bounded(world.left.wait())


async def test_a_stream_that_nobody_holds_any_more_ends(tmp_path, world):
    async def look(directory: Directory) -> None:
        async for _ in watch(directory):
            return

    async with serving("local", tmp_path, world) as directory:
        await bounded(look(directory))
        await bounded(world.left.wait())


async def test_a_stream_cancelled_here_says_so_here(directory, world):
    call = watch(directory)
    await bounded(anext(aiter(call)))
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        async for _ in call:
            pass
    assert call.done() and not call.cancel()
    await bounded(world.left.wait())


def quote(directory: Directory):
    stub = lp_pb2_grpc.LPGatewayServiceStub(directory.channel("lp_gateway"))
    return stub.Quote(metadata=directory.as_user(ALICE))


async def test_both_sides_of_a_stream_talk(directory, world):
    call = quote(directory)
    heard = aiter(call)
    for n in (1, 2):
        await call.write(lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=n)))
        assert (await bounded(anext(heard))).pong.at_us == n
    await call.done_writing()
    assert [m.pong.at_us async for m in heard] == [1_002]
    await bounded(world.left.wait())
    with pytest.raises(asyncio.InvalidStateError):
        await call.write(lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=3)))


async def test_a_stream_takes_what_it_writes_from_an_iterator(directory):
    async def two():
        for n in (1, 2):
            yield lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=n))

    stub = lp_pb2_grpc.LPGatewayServiceStub(directory.channel("lp_gateway"))
    call = stub.Quote(two(), metadata=directory.as_user(ALICE))
    assert [m.pong.at_us async for m in up_to(call, 3)] == [1, 2, 1_002]


async def test_an_iterator_that_fails_cancels_its_stream(directory, world):
    async def broken():
        yield lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=1))
        raise ValueError

    stub = lp_pb2_grpc.LPGatewayServiceStub(directory.channel("lp_gateway"))
    call = stub.Quote(broken(), metadata=directory.as_user(ALICE))
    with pytest.raises(asyncio.CancelledError):
        async for _ in call:
            pass
    await bounded(world.left.wait())


async def test_a_stream_can_be_left_in_the_middle(directory, world):
    call = quote(directory)
    await call.write(lp_pb2.FromDealer(ping=lp_pb2.DealerPing(at_us=1)))
    assert (await bounded(anext(aiter(call)))).pong.at_us == 1
    call.cancel()
    await bounded(world.left.wait())


async def test_a_server_that_stops_ends_its_calls(directory, world):
    waiting = asyncio.create_task(ask(directory, "patience"))
    await bounded(world.here.wait())
    await world.server.stop(0)
    with pytest.raises(Unavailable):
        await waiting
    await bounded(world.left.wait())
    with pytest.raises(Unavailable):
        await ask(directory, "x")


async def test_only_the_own_address_is_answered_here(tmp_path, world):
    here, there = f"unix:{tmp_path}/here.sock", f"unix:{tmp_path}/there.sock"
    home = Home(here)
    world.server = RpcServer(there, verify)
    world.server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, Audit(world))
    await world.server.start()
    directory = Directory({"audit": here}, lambda: "good", home)
    assert directory.channel("audit") is home.channel is directory.channel("audit", here)
    assert directory.speaking_as(lambda: "good").channel("audit") is home.channel
    other = directory.channel("audit", there)
    stub = audit_pb2_grpc.AuditServiceStub(other)
    answer = await stub.GetTimeline(
        audit_pb2.TimelineRequest(correlation_id="x"), metadata=directory.as_user(ALICE)
    )
    assert answer.items[0].service == "trader@alpha"
    await directory.close()
    await world.server.stop(0)


async def bounded(waiting):
    async with asyncio.timeout(10):
        return await waiting


async def up_to(call, count: int):
    found = aiter(call)
    for _ in range(count):
        yield await bounded(anext(found))


async def settled(value: Callable[[], int]) -> None:
    """Waits until it has not grown for a while."""
    last, quiet = value(), 0
    while quiet < 10:
        await asyncio.sleep(0.02)
        last, quiet = value(), quiet + 1 if value() == last else 0
