"""A dealer's line to the gateway: one bidirectional stream, opened again whenever it breaks."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from orion.platform import telemetry
from orion.platform.errors import Coded
from orion.platform.rpc import rpc_errors
from orion.wire.stubs import lp_pb2, lp_pb2_grpc

MAX_WAITING = 10_000
MAX_BATCH = 200
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0


class Line:
    """Sends what is put and hands over what comes. What waits while the line is down is dropped:
    the gateway asks again."""

    def __init__(
        self, lp_id: str, hear: Callable[[lp_pb2.ToDealer], None], *, directory: Any, gap_s: float,
        address: str = "",
    ):  # fmt: skip
        channel = directory.channel("lp_gateway", address or None)
        self._stub = lp_pb2_grpc.LPGatewayServiceStub(channel)
        self.lp_id, self._hear, self._directory, self._gap_s = lp_id, hear, directory, gap_s
        self._waiting: deque[lp_pb2.FromDealer] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()
        self.is_up = False

    def put(self, message: lp_pb2.FromDealer) -> None:
        """Queues a message for the gateway; forgotten when the line is down."""
        if self.is_up:
            self._waiting.append(message)
            self._wake.set()

    async def run(self) -> None:
        """Keeps the line up until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            self._waiting.clear()
            try:
                async with rpc_errors():
                    await self._talk()
            except Coded as error:
                telemetry.log.warning("dealer's line ended", lp=self.lp_id, error=str(error))
            pause = FIRST_PAUSE_S if self.is_up else min(pause * 2, LONGEST_PAUSE_S)
            self.is_up = False
            await asyncio.sleep(pause)

    async def _talk(self) -> None:
        call = self._stub.Quote(metadata=self._directory.as_service())
        # A task of our own writes, not an iterator handed to gRPC: that one would outlive the call
        # and take what is meant for the next.
        writing = asyncio.create_task(self._write(call))
        try:
            async for frame in call:
                inside = frame.batch.messages if frame.HasField("batch") else (frame,)
                for message in inside:
                    self.is_up = True
                    self._hear(message)
        finally:
            writing.cancel()
            call.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, call: Any) -> None:
        hello = lp_pb2.DealerHello(lp_id=self.lp_id, software="orion-lp-bots", takes_batches=True)
        await call.write(lp_pb2.FromDealer(hello=hello))
        loop, last = asyncio.get_running_loop(), 0.0
        while True:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            if (pause := last + self._gap_s - loop.time()) > 0:
                await asyncio.sleep(pause)
            last = loop.time()
            while self._waiting:
                await call.write(self._frame())

    def _frame(self) -> lp_pb2.FromDealer:
        if len(self._waiting) == 1:
            return self._waiting.popleft()
        count = min(len(self._waiting), MAX_BATCH)
        messages = [self._waiting.popleft() for _ in range(count)]
        return lp_pb2.FromDealer(batch=lp_pb2.FromDealerBatch(messages=messages))
