"""One call within a process, as both sides share it, and what its caller holds.

Messages are written and read as if they travelled: neither side ever holds an object of the other.
Ends, deadlines and cancellations look to the caller as they do over a socket.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

MAX_UNREAD = 16  # messages of a stream that wait for their reader; then the writer waits
Trailers = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    trailers: Trailers = ()


CANCELLED = Outcome(grpc.StatusCode.CANCELLED, "cancelled")
_LEFT = Outcome(grpc.StatusCode.CANCELLED, "cancelled by the caller")
_LATE = Outcome(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")


class Pipe:
    """Messages of one direction, in order; what was put before the end can still be read."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._filled, self._drained = asyncio.Event(), asyncio.Event()
        self.is_closed = False

    async def put(self, body: bytes) -> bool:
        """False when nobody will read it."""
        while len(self._waiting) >= MAX_UNREAD and not self.is_closed:
            self._drained.clear()
            await self._drained.wait()
        if self.is_closed:
            return False
        self._waiting.append(body)
        self._filled.set()
        return True

    async def get(self) -> bytes | None:
        """The next message; None after the last."""
        while not self._waiting:
            if self.is_closed:
                return None
            self._filled.clear()
            await self._filled.wait()
        self._drained.set()
        return self._waiting.popleft()

    def close(self) -> None:
        """No more will come."""
        self.is_closed = True
        self._filled.set()
        self._drained.set()


class Exchange:
    """One call as both sides share it. The caller's object is not known here, so that a call
    nobody holds any more can be told by its end."""

    def __init__(self, request: bytes | None, expires: float | None):
        self.loop = asyncio.get_running_loop()
        self.request, self.answer = request, b""
        self.requests: Pipe | None = Pipe() if request is None else None
        self.answers: Pipe | None = None
        self.ended: asyncio.Future[None] = self.loop.create_future()
        self.outcome: Outcome | None = None
        self.task: asyncio.Task[None] | None = None
        self._expires = expires
        self._timer = None if expires is None else self.loop.call_at(expires, self.stop, _LATE)

    def time_remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self._expires is None else max(0.0, self._expires - self.loop.time())

    def end(self, outcome: Outcome) -> None:
        """The first end counts."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
        for pipe in (self.requests, self.answers):
            if pipe is not None:
                pipe.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def stop(self, outcome: Outcome) -> None:
        """Ends it from outside: whoever answers is told to leave off."""
        self.end(outcome)
        if self.task is not None:
            self.task.cancel()

    def raise_for_end(self) -> None:
        """Raises what a call over a socket raises."""
        outcome = self.outcome
        assert outcome is not None
        if outcome is _LEFT:
            raise asyncio.CancelledError
        if outcome.code is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(
                outcome.code,
                grpc.aio.Metadata(),
                grpc.aio.Metadata(*outcome.trailers),
                details=outcome.details,
            )


class _Call:
    """The caller's end. Dropped unfinished, it cancels the call."""

    def __init__(self, exchange: Exchange, read: Callable[[bytes], Any]):
        self._exchange, self._deserialize = exchange, read

    def cancel(self) -> bool:
        """Ends the call from here; False when it has ended."""
        if self._exchange.outcome is not None:
            return False
        self._exchange.stop(_LEFT)
        return True

    def done(self) -> bool:
        """Whether the call has ended."""
        return self._exchange.outcome is not None

    def cancelled(self) -> bool:
        """Whether it ended by being cancelled."""
        outcome = self._exchange.outcome
        return outcome is not None and outcome.code is grpc.StatusCode.CANCELLED

    def __del__(self) -> None:
        if not self._exchange.loop.is_closed():
            self.cancel()


class UnaryCall(_Call):
    """One message out, one back: to be awaited."""

    def __await__(self) -> Generator[Any, None, Any]:
        exchange = self._exchange
        try:
            yield from exchange.ended
        except asyncio.CancelledError:
            self.cancel()
            raise
        exchange.raise_for_end()
        return self._deserialize(exchange.answer)


class StreamCall(_Call):
    """Many messages back, and as many out as are written."""

    def __init__(
        self,
        exchange: Exchange,
        read: Callable[[bytes], Any],
        write: Callable[[Any], bytes],
        answers: Pipe,
    ):
        super().__init__(exchange, read)
        self._serialize, self._answers = write, answers
        self._writing: asyncio.Task[None] | None = None

    def write_all(self, messages: AsyncIterable[Any]) -> None:
        """Writes what comes, in a task of its own, and no more after it."""
        self._writing = self._exchange.loop.create_task(self._write_all(messages))
        exchange, writing = self._exchange, self._writing
        exchange.ended.add_done_callback(lambda _: writing.cancel())

    async def _write_all(self, messages: AsyncIterable[Any]) -> None:
        try:
            async for message in messages:
                await self.write(message)
            await self.done_writing()
        except Exception:
            self.cancel()  # as over a socket: the caller sees a cancelled call

    def __aiter__(self) -> StreamCall:
        return self

    async def __anext__(self) -> Any:
        if self._exchange.outcome is _LEFT:
            raise asyncio.CancelledError
        try:
            body = await self._answers.get()
        except asyncio.CancelledError:
            self.cancel()
            raise
        if body is None:
            self._exchange.raise_for_end()
            raise StopAsyncIteration
        return self._deserialize(body)

    async def read(self) -> Any:
        """The next message, or EOF."""
        try:
            return await anext(self)
        except StopAsyncIteration:
            return grpc.aio.EOF  # pyright: ignore[reportAttributeAccessIssue]

    async def write(self, message: Any) -> None:
        """One more message out. Raises InvalidStateError once the call has ended."""
        requests = self._exchange.requests
        if requests is None or requests.is_closed:
            raise asyncio.InvalidStateError("nothing more can be written on this call")
        try:
            taken = await requests.put(self._serialize(message))
        except asyncio.CancelledError:
            self.cancel()
            raise
        if not taken and self._exchange.outcome is not None:
            self._exchange.raise_for_end()

    async def done_writing(self) -> None:
        """That was the last."""
        if self._exchange.requests is not None:
            self._exchange.requests.close()


class Incoming:
    """A caller's messages, as a servicer reads them."""

    def __init__(self, requests: Pipe, read: Callable[[bytes], Any]):
        self._requests, self._deserialize = requests, read

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        body = await self._requests.get()
        if body is None:
            raise StopAsyncIteration
        return self._deserialize(body)
