"""Which copy gets a call, what is said again and when a copy is left alone: over real sockets."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest

from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.rpc import Directory, RpcServer, rpc_errors
from orion.platform.rpc.breaker import IN_A_ROW, MOST_TOKENS, Breaker, Budget
from orion.wire.repeatable import repeatable_methods
from orion.wire.stubs import audit_pb2, audit_pb2_grpc, trade_pb2, trade_pb2_grpc

ME = Caller("", "me", "me", "me", "", frozenset(), None, "", 0, 2**31, "me", service="me")
READ = "/orion.v1.AuditService/GetTimeline"


class Audit(audit_pb2_grpc.AuditServiceServicer):
    """Answers with its name, unless told otherwise."""

    def __init__(self, name: str) -> None:
        self.name, self.asked = name, 0
        self.instead: Callable[[grpc.aio.ServicerContext], Awaitable[None]] | None = None

    async def GetTimeline(self, request, context):
        self.asked += 1
        if self.instead is not None:
            await self.instead(context)
        return audit_pb2.TimelineResponse(items=[audit_pb2.AuditEntry(service=self.name)])


class Trades(trade_pb2_grpc.ExecutionServiceServicer):
    async def WatchTrades(self, request, context):
        yield trade_pb2.TradeUpdate(snapshot=True)
        await asyncio.Event().wait()


class Copy:
    """One copy, on a socket of its own."""

    def __init__(self, listen: str, name: str) -> None:
        self.listen, self.service = listen, Audit(name)
        self.server = RpcServer(listen, lambda _: ME)
        self.server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, self.service)
        self.server.add(trade_pb2_grpc.add_ExecutionServiceServicer_to_server, Trades())


@asynccontextmanager
async def copies(folder: Path, count: int = 2):
    async with AsyncExitStack() as stack:
        made = [Copy(f"unix:{folder}/{n}.sock", f"copy {n}") for n in range(count)]
        for one in made:
            await one.server.start()
            stack.push_async_callback(one.server.stop, 0)
            await one.server.set_ready(True)
        yield made


@asynccontextmanager
async def calling(addresses: list[str], repeatable=(READ,)):
    directory = Directory({"audit": addresses}, lambda: "me", repeatable=repeatable)
    yield directory
    await directory.close()


async def ask(directory: Directory, address: str | None = None, timeout: float = 20) -> str:
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit", address))
    async with rpc_errors():
        answer = await stub.GetTimeline(
            audit_pb2.TimelineRequest(), timeout=timeout, metadata=directory.as_service()
        )
    return answer.items[0].service


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():
            await asyncio.sleep(0.02)


async def both_answer(directory: Directory) -> bool:
    return len({await ask(directory) for _ in range(4)}) == 2


async def lost(context: grpc.aio.ServicerContext) -> None:
    """As a connection that breaks in the middle looks to the caller."""
    await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")


async def test_copies_answer_in_turn(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        await until(lambda: both_answer(directory))


async def test_while_one_is_dead_the_other_answers_every_call(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        await until(lambda: both_answer(directory))
        await made[0].server.stop(0)
        assert {await ask(directory) for _ in range(30)} == {"copy 1"}


async def test_what_was_lost_is_said_again_to_the_other(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        await until(lambda: both_answer(directory))
        made[0].service.instead = lost
        assert {await ask(directory) for _ in range(8)} == {"copy 1"}


async def test_what_may_not_be_said_twice_is_said_once(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made], ()) as directory:
        for one in made:
            one.service.instead = lost
        with pytest.raises(Unavailable):
            await ask(directory)
        assert sum(one.service.asked for one in made) == 1


async def test_a_refusal_is_an_answer(tmp_path):
    async def refuse(_):
        raise Coded("SYS-903")

    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        for one in made:
            one.service.instead = refuse
        for _ in range(IN_A_ROW * 4):
            with pytest.raises(Coded) as caught:
                await ask(directory)
            assert caught.value.code == "SYS-903"
        assert sum(one.service.asked for one in made) == IN_A_ROW * 4


async def test_no_more_is_said_again_than_the_budget_allows(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        answering = iter(range(1_000_000))

        async def lost_mostly(context):  # so that no breaker opens
            if next(answering) % IN_A_ROW:
                await lost(context)

        for one in made:
            one.service.instead = lost_mostly
        calls = 200
        for _ in range(calls):
            with suppress(Unavailable):
                await ask(directory)
        asked = sum(one.service.asked for one in made)
        assert calls < asked <= calls * 1.1 + MOST_TOKENS


async def test_who_does_not_answer_is_left_alone_and_then_tried_again(tmp_path):
    async with copies(tmp_path, 1) as made, calling([made[0].listen], ()) as directory:
        service = made[0].service
        service.instead = lost
        for _ in range(IN_A_ROW):
            with pytest.raises(Unavailable) as caught:
                await ask(directory)
            assert caught.value.code == "SYS-901"
        held = None
        for _ in range(20):
            with pytest.raises(Unavailable) as caught:
                await ask(directory)
            held = caught.value if caught.value.code == "SYS-905" else held
        assert held is not None and held.retry_after_s is not None and held.retry_after_s > 0
        assert service.asked < IN_A_ROW + 20
        service.instead = None

        async def answers() -> bool:
            try:
                return await ask(directory) == "copy 0"
            except Unavailable:
                return False

        await until(answers)
        assert {await ask(directory) for _ in range(10)} == {"copy 0"}


async def test_a_caller_is_sent_on_to_the_owner(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:

        async def elsewhere(_):
            raise NotOwner("audit", 3, made[1].listen)

        made[0].service.instead = elsewhere
        assert {await ask(directory) for _ in range(8)} == {"copy 1"}
        with pytest.raises(NotOwner):  # who wants this copy gets it
            await ask(directory, made[0].listen)


async def test_two_that_send_to_each_other_are_not_followed_for_ever(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        for one, other in (made, made[::-1]):

            async def elsewhere(_, other=other):
                raise NotOwner("audit", 3, other.listen)

            one.service.instead = elsewhere
        with pytest.raises(NotOwner):
            await ask(directory)
        assert sum(one.service.asked for one in made) == 3


async def test_a_call_has_one_deadline_whatever_happens_underneath(tmp_path):
    async def hang(_):
        await asyncio.Event().wait()

    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        for one in made:
            one.service.instead = hang
        with pytest.raises(Unavailable) as caught:
            await ask(directory, timeout=0.2)
        assert caught.value.code == "SYS-902"


async def test_a_copy_that_wants_no_calls_gets_none_while_another_does(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:
        await until(lambda: both_answer(directory))
        await made[0].server.set_ready(False)

        async def only_the_other() -> bool:
            return {await ask(directory) for _ in range(6)} == {"copy 1"}

        await until(only_the_other)
        await made[1].server.set_ready(False)  # then any is better than none
        await until(lambda: both_answer(directory))


async def test_a_copy_that_came_back_gets_no_call_before_it_is_ready(tmp_path):
    async with copies(tmp_path) as made, calling([c.listen for c in made]) as directory:

        async def health_is_known() -> bool:
            await ask(directory)
            lines = [directory._line("audit", one.listen) for one in made]
            return all(line.health is not None and line.health.is_serving for line in lines)

        await until(health_is_known)
        await made[0].server.stop(0)
        again = Copy(made[0].listen, "copy 0")
        await again.server.start()
        line = directory._line("audit", again.listen)

        async def is_connected() -> bool:
            assert await ask(directory) == "copy 1"
            return line.connection.get_state() is grpc.ChannelConnectivity.READY

        await until(is_connected)
        assert {await ask(directory) for _ in range(20)} == {"copy 1"}
        await again.server.set_ready(True)
        await until(lambda: both_answer(directory))
        await again.server.stop(0)


async def test_a_name_of_several_machines_is_spread_over_those_that_take_calls():
    made = [Copy("127.0.0.1:0", f"copy {n}") for n in range(2)]
    for one in made:
        await one.server.start()
    address = "ipv4:" + ",".join(f"127.0.0.1:{one.server.port}" for one in made)
    async with calling([address]) as directory:
        await until(lambda: both_answer(directory))
        stopping = asyncio.create_task(made[0].server.stop(30))

        async def only_the_other() -> bool:
            return {await ask(directory) for _ in range(6)} == {"copy 1"}

        await until(only_the_other)
        await made[1].server.stop(0)
        await stopping


SERVER = """
import asyncio, sys
from tests.platform.test_route import Copy

async def main():
    copy = Copy(sys.argv[1], "apart")
    await copy.server.start()
    await copy.server.set_ready(True)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def apart(listen: str):
    """A copy in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-c", SERVER, listen),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 60) == b"ready\n"
        yield process
    finally:
        process.kill()
        await process.wait()


async def test_a_server_that_hangs_is_noticed_and_the_other_answers(tmp_path):
    there = f"unix:{tmp_path}/apart.sock"
    async with (
        apart(there) as process,
        copies(tmp_path, 1) as made,
        calling([there, made[0].listen]) as directory,
    ):
        await until(lambda: both_answer(directory))
        watch = trade_pb2_grpc.ExecutionServiceStub(directory.channel("audit", there)).WatchTrades(
            trade_pb2.WatchTradesRequest(), metadata=directory.as_service()
        )
        assert (await anext(aiter(watch))).snapshot
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(Unavailable):  # without a deadline: only a silent line can end it
            async with asyncio.timeout(90), rpc_errors():
                await anext(aiter(watch))
        assert {await ask(directory) for _ in range(6)} == {"copy 0"}
        process.send_signal(signal.SIGCONT)
        await until(lambda: both_answer(directory))


def test_the_contract_names_what_may_be_said_twice():
    methods = repeatable_methods()
    assert READ in methods
    assert "/orion.v1.RFQService/CreateRFQ" in methods  # under its key
    assert "/orion.v1.WorkspaceService/PutPreferences" not in methods
    assert "/orion.v1.LPGatewayService/Quote" not in methods


def test_a_budget_fills_up_with_calls():
    budget = Budget()
    spent = sum(budget.spend() for _ in range(100))
    for _ in range(20):
        budget.called()
    assert (spent, budget.spend(), budget.spend(), budget.spend()) == (10, True, True, False)


def test_a_breaker_rests_longer_each_time_and_lets_one_try():
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        assert breaker.allows(0.0)
        breaker.failed(0.0)
    first = breaker.wait_s(0.0)
    assert not breaker.allows(0.0) and breaker.allows(first)
    breaker.begins(first, 1.0)
    assert not breaker.allows(first)  # one tries
    breaker.failed(first)
    assert breaker.wait_s(first) > first
    breaker.answered()
    assert breaker.allows(first) and not breaker.is_open
