"""The gate in front of every servicer, over a real gRPC connection."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.rpc import Directory, RpcServer, current_caller, rpc_errors
from orion.wire.stubs import audit_pb2, audit_pb2_grpc, trade_pb2, trade_pb2_grpc

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
                raise NotOwner("rfq", 3, "unix:/elsewhere")
            case "bug":
                raise ZeroDivisionError("secret detail")
        entry = audit_pb2.AuditEntry(service=current_caller().user)
        return audit_pb2.TimelineResponse(items=[entry])


class Trades(trade_pb2_grpc.ExecutionServiceServicer):
    async def WatchTrades(self, request, context):
        yield trade_pb2.TradeUpdate(snapshot=True)
        yield trade_pb2.TradeUpdate(items=[trade_pb2.TradeDetails(requester=current_caller().user)])
        raise Coded("WS-503")


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Directory]:
    address = f"unix:{tmp_path}/rpc.sock"
    server = RpcServer(address, verify)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(Audit(), server.server)
    trade_pb2_grpc.add_ExecutionServiceServicer_to_server(Trades(), server.server)
    await server.start()
    directory = Directory({"audit": address, "execution": address}, lambda: "service")
    yield directory
    await directory.close()
    await server.stop(0)


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


async def test_a_wrong_address_is_answered_with_the_right_one(directory):
    with pytest.raises(NotOwner) as caught:
        await ask(directory, "moved")
    assert (caught.value.service, caught.value.part, caught.value.address) == (
        "rfq",
        3,
        "unix:/elsewhere",
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


async def test_nobody_there_is_unavailable(tmp_path):
    directory = Directory({"audit": f"unix:{tmp_path}/none.sock"}, lambda: "service")
    with pytest.raises(Unavailable):
        await ask(directory, "x")
    await directory.close()
