"""The way to a service: which copy gets a call, what is said again, and when to leave a copy alone.
All calls over sockets go this way, and none within the process.

A call has one deadline, whatever happens underneath. It is said again only to keep what was asked
for unchanged: when it never left, or when its method says in the contract that twice is as good as
once; and within a budget. Streams are opened once: who reads them opens them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import grpc
import grpc.aio

from orion.platform import telemetry
from orion.platform.rpc.breaker import Breaker, Budget
from orion.platform.rpc.health import Health

READY, IDLE = grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE
CONNECTING = grpc.ChannelConnectivity.CONNECTING
DEADLINE_S = 10.0  # where a caller names none
MOST_TRIES, MOST_HOPS = 3, 2
PAUSE_S = 0.05
LEFT_ALONE = 4  # the worst rank
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
_NEVER_LEFT = ("failed to connect to all addresses", "connections to all backends failing")

_AGAIN = telemetry.counter("rpc_retries", "Calls said again", ("service", "why"))
_SPENT = telemetry.counter(
    "rpc_retry_budget_empty", "Calls not said again, for too many were", ("service",)
)
_OPENED = telemetry.counter("rpc_breaker_opened", "An address was left alone", ("service",))
_HELD = telemetry.counter("rpc_breaker_refused", "Calls not made to one left alone", ("service",))


class Line:
    """One address of a service: its connection, how it does, and the calls that were prepared on
    it. `connect` makes a connection, `generation` tells when it should be made anew.
    """

    def __init__(
        self,
        service: str,
        address: str,
        connect: Callable[[], grpc.aio.Channel],
        generation: Callable[[], int] = lambda: 0,
    ):
        self.service, self.address = service, address
        self.breaker = Breaker()
        self.health: Health | None = None
        self._connect, self._generation = connect, generation
        self._made_at, self.connection = generation(), connect()
        self._calls: dict[tuple[str, str], Any] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def prepared(self, kind: str, method: str, write: Any, read: Any) -> Any:
        """What makes a call of this method."""
        if self._made_at != self._generation():
            self._renew()
        key = (kind, method)
        if key not in self._calls:
            make = getattr(self.connection, kind)
            self._calls[key] = make(method, request_serializer=write, response_deserializer=read)
        return self._calls[key]

    def _renew(self) -> None:
        """A certificate is shown once, at the beginning: new ones need new connections. What runs
        on the old one has a minute."""
        old, self._made_at, self.connection = self.connection, self._generation(), self._connect()
        self._calls.clear()
        if self.health is not None:
            self.health.moved(self.connection)
        closing = asyncio.get_running_loop().create_task(old.close(grace=60.0))
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    def allows(self, now: float) -> bool:
        """Whether the breaker lets a call through; where nobody is connected gRPC itself tells."""
        if self.breaker.allows(now):
            return True
        if self.connection.get_state() is not READY:
            self.breaker.answered()  # whoever is connected next begins anew
            return True
        return False

    def rank(self, now: float) -> int:
        """How good an idea it is to ask here; 0 is best."""
        state = self.connection.get_state(try_to_connect=True)
        if not self.breaker.allows(now) and state is READY:
            return LEFT_ALONE
        if state is READY:
            # Whoever has just come back has not said yet that it is ready.
            return 0 if self.health is not None and self.health.is_serving else 1
        return 2 if state in (IDLE, CONNECTING) else 3

    async def close(self) -> None:
        """Ends the connection and what runs on it."""
        if self.health is not None:
            self.health.close()
        for task in tuple(self._leaving):
            task.cancel()
        await self.connection.close(grace=0.2)


class Route(grpc.aio.Channel):
    """What stubs are made with: all the copies of a service, or one of them. `line_to`: the line to
    an address that one of them named as the owner's; None: the caller wanted this copy.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        budget: Budget,
        repeatable: frozenset[str],
        line_to: Callable[[str], Line | grpc.aio.Channel] | None = None,
    ):
        self._lines, self._budget = tuple(lines), budget
        self._repeatable, self._line_to = repeatable, line_to
        self._service = self._lines[0].service
        self._turn = 0

    def choose(self, tried: Sequence[Line] = ()) -> Line:
        """The next in turn among those that it is best to ask now."""
        if len(self._lines) == 1:
            return self._lines[0]
        now, count = asyncio.get_running_loop().time(), len(self._lines)
        self._turn += 1
        ring = [self._lines[(self._turn + n) % count] for n in range(count)]
        for line in ring:
            if line.health is None:
                line.health = Health(line.connection)
        ranked = [(line.rank(now), line) for line in ring]
        return min(ranked, key=lambda r: (r[0] == LEFT_ALONE, r[1] in tried, r[0]))[1]

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        write, read = request_serializer, response_deserializer

        def call(
            request: Any, *, timeout: float | None = None, metadata: Any = None
        ) -> Coroutine[Any, Any, Any]:
            return self._ask(method, write, read, request, timeout or DEADLINE_S, metadata)

        return call

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._opened("unary_stream", method, request_serializer, response_deserializer)

    def stream_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._opened("stream_unary", method, request_serializer, response_deserializer)

    def stream_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None,
        _registered_method: bool | None = False,
    ) -> Any:  # fmt: skip
        """See grpc.aio.Channel."""
        return self._opened("stream_stream", method, request_serializer, response_deserializer)

    def _opened(self, kind: str, method: str, write: Any, read: Any) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            return self.choose().prepared(kind, method, write, read)(*args, **named)

        return call

    async def _ask(
        self, method: str, write: Any, read: Any, request: Any, timeout: float, metadata: Any
    ) -> Any:
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout
        tried: list[Line] = []
        hops, line = 0, self.choose()
        self._budget.called()
        while True:
            try:
                call = line.prepared("unary_unary", method, write, read)
                return await self._once(line, call, request, ends, metadata)
            except grpc.aio.AioRpcError as error:
                owner = _owner_named(error)
                if owner and self._line_to is not None and hops < MOST_HOPS:
                    hops += 1
                    there = self._line_to(owner)
                    if not isinstance(there, Line):  # this very process
                        return await there.unary_unary(method, write, read)(
                            request, timeout=ends - loop.time(), metadata=metadata
                        )
                    line = there
                    continue
                tried.append(line)
                if not self._may_repeat(method, error, tried):
                    raise
                pause = 0.0 if len(tried) < len(self._lines) else PAUSE_S * len(tried)
                if loop.time() + pause >= ends:
                    raise
                await asyncio.sleep(pause)
                line = self.choose(tried)

    async def _once(self, line: Line, call: Any, request: Any, ends: float, metadata: Any) -> Any:
        loop = asyncio.get_running_loop()
        now, breaker = loop.time(), line.breaker
        if breaker.is_open and not line.allows(now):
            _HELD.labels(line.service).inc()
            raise _held_back(breaker.wait_s(now))
        breaker.begins(now, ends - now)
        try:
            answer = await call(request, timeout=max(ends - now, 0.001), metadata=metadata)
        except grpc.aio.AioRpcError as error:
            self._judge(line, error, loop.time())
            raise
        except BaseException:
            breaker.left()
            raise
        breaker.answered()
        return answer

    def _judge(self, line: Line, error: grpc.aio.AioRpcError, now: float) -> None:
        was_open = line.breaker.is_open
        if never_left(error):
            line.breaker.left()
        elif is_unanswered(error):
            line.breaker.failed(now)
        else:
            line.breaker.answered()
        if line.breaker.is_open and not was_open:
            _OPENED.labels(line.service).inc()
            telemetry.log.warning(
                "an address is left alone", service=line.service, address=line.address
            )

    def _may_repeat(self, method: str, error: grpc.aio.AioRpcError, tried: list[Line]) -> bool:
        if len(tried) >= MOST_TRIES or _trailer(error, "orion-owner") is not None:
            return False
        others = len(self._lines) > len(set(tried))
        if never_left(error) or _trailer(error, "orion-held") is not None:
            why, may = "never left", others  # the same address is just as far away now
        else:
            why = "lost"
            may = error.code() in _LOST and is_unanswered(error) and method in self._repeatable
        if not may:
            return False
        if not self._budget.spend():
            _SPENT.labels(self._service).inc()
            return False
        _AGAIN.labels(self._service, why).inc()
        return True

    async def close(self, grace: float | None = None) -> None:
        """Nothing to close: the directory closes its lines."""

    async def __aenter__(self) -> Route:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Ready when one copy is."""
        states = [line.connection.get_state(try_to_connect) for line in self._lines]
        return READY if READY in states else states[0]

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of any of the copies."""
        while self.get_state() is last_observed_state:
            waiting = [
                asyncio.ensure_future(c.wait_for_state_change(c.get_state()))
                for c in (line.connection for line in self._lines)
            ]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
            finally:
                for task in waiting:
                    task.cancel()

    async def channel_ready(self) -> None:
        """Until one copy is connected."""
        while (state := self.get_state(try_to_connect=True)) is not READY:
            await self.wait_for_state_change(state)


def never_left(error: grpc.aio.AioRpcError) -> bool:
    """Whether the call cannot have reached anybody: there was no connection."""
    return error.code() is grpc.StatusCode.UNAVAILABLE and (error.details() or "").startswith(
        _NEVER_LEFT
    )


def is_unanswered(error: grpc.aio.AioRpcError) -> bool:
    """Whether the machinery failed, not whoever answers: what is answered has a code of ours."""
    if _trailer(error, "orion-code") is not None or _trailer(error, "orion-owner") is not None:
        return False
    return error.code() in (*_LOST, grpc.StatusCode.DEADLINE_EXCEEDED)


def _trailer(error: grpc.aio.AioRpcError, name: str) -> str | None:
    metadata: Any = error.trailing_metadata() or ()
    return next((str(value) for key, value in metadata if key == name), None)


def _owner_named(error: grpc.aio.AioRpcError) -> str:
    named = _trailer(error, "orion-owner")
    return named.split("|", 2)[2] if named else ""


def _held_back(wait_s: float) -> grpc.aio.AioRpcError:
    trailers = (
        ("orion-code", "SYS-905"),
        ("orion-retry-after", f"{max(wait_s, 0.1):.1f}"),
        ("orion-held", "1"),
    )
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE,
        grpc.aio.Metadata(),
        grpc.aio.Metadata(*trailers),
        details="It did not answer several calls in a row and is asked again soon",
    )
