"""The dealers that exist, as reference data says; read at start and again from time to time."""

from __future__ import annotations

import asyncio
from typing import Any

from orion.platform import telemetry
from orion.platform.errors import Coded
from orion.platform.rpc import rpc_errors
from orion.wire.stubs import reference_pb2, reference_pb2_grpc


class Roster:
    """Configured dealers by id. Keeps what it has while reference is away."""

    def __init__(self, directory: Any, refresh_s: float):
        self._stub = reference_pb2_grpc.ReferenceServiceStub(directory.channel("reference"))
        self._directory, self._refresh_s = directory, refresh_s
        self.dealers: dict[str, reference_pb2.Dealer] = {}
        self.known = asyncio.Event()

    async def run(self) -> None:
        """Reads until cancelled."""
        while True:
            try:
                async with rpc_errors():
                    reply = await self._stub.ListDealers(
                        reference_pb2.ListDealersRequest(),
                        timeout=2.0,
                        metadata=self._directory.as_service(),
                    )
                self.dealers = {dealer.lp_id: dealer for dealer in reply.dealers}
                self.known.set()
            except Coded as away:
                telemetry.log.warning("reference did not list dealers", code=away.code)
            await asyncio.sleep(self._refresh_s if self.known.is_set() else 0.1)
