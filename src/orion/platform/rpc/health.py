"""Whether a copy wants calls: followed by its own health service, where there are others to ask."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

PAUSE_S = 0.05
LONG_PAUSE_S = 5.0  # where nobody can tell


class Health:
    """`is_serving` as the copy last said; None while it says nothing."""

    def __init__(self, connection: grpc.aio.Channel):
        self.is_serving: bool | None = None
        self._task = asyncio.get_running_loop().create_task(self._follow(connection))

    def moved(self, connection: grpc.aio.Channel) -> None:
        """Goes on over another connection."""
        self._task.cancel()
        self._task = asyncio.get_running_loop().create_task(self._follow(connection))

    def close(self) -> None:
        """Follows no more."""
        self._task.cancel()

    async def _follow(self, connection: grpc.aio.Channel) -> None:
        stub: Any = health_pb2_grpc.HealthStub(connection)
        while True:
            pause = PAUSE_S
            try:
                call = stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
                async for answer in call:
                    serving = health_pb2.HealthCheckResponse.SERVING
                    self.is_serving = answer.status == serving
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    pause = LONG_PAUSE_S
            self.is_serving = None
            await asyncio.sleep(pause)
