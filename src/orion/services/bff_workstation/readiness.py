"""Ready means: every service this door needs answers its health check. What can be done without is
no condition; that it is not there is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from orion.platform.cache.port import Cache
from orion.platform.errors import Unavailable
from orion.platform.rpc import Directory


class Readiness:
    """Asks all services at once, each with its own short deadline."""

    def __init__(
        self,
        directory: Directory,
        services: Sequence[str],
        timeout_s: float,
        own: Callable[[], str | None] = lambda: None,
        cache: Cache | None = None,
    ):
        self._directory, self._services, self._timeout_s, self._own = (
            directory,
            services,
            timeout_s,
            own,
        )
        self._cache = cache

    async def missing(self) -> list[str]:
        """Names of what does not answer, or is not ready yet."""
        answers = await asyncio.gather(*(self._is_serving(s) for s in self._services))
        names = [s for s, fine in zip(self._services, answers, strict=True) if not fine]
        reason = self._own()
        return [*names, reason] if reason else names

    async def degraded(self) -> list[str]:
        """What is not there while everything goes on without it."""
        if self._cache is None:
            return []
        try:
            await self._cache.ping()
        except Unavailable:
            return ["cache"]
        return []

    async def _is_serving(self, service: str) -> bool:
        try:
            stub: Any = health_pb2_grpc.HealthStub(self._directory.channel(service))
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=self._timeout_s)
        except (grpc.aio.AioRpcError, KeyError):
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING
