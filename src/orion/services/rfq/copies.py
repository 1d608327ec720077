"""Several copies of this service: a call that belongs to another copy goes there, and watchers hear
all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orion.core.rfq.state import Rfq
from orion.platform import telemetry
from orion.platform.errors import Coded, NotOwner, Unavailable
from orion.platform.rpc import rpc_errors
from orion.platform.transact import Owner
from orion.services.rfq.watch import Hub
from orion.wire.stubs import rfq_pb2, rfq_pb2_grpc

T = TypeVar("T")
LOOK_S = 0.05
HOP = ("x-orion-hop", "1")
AWAY = Unavailable().code


class Copies:
    """Finds the copy that owns a partition; patient while a partition changes hands."""

    def __init__(self, owner: Owner[Rfq], directory: Any, address: str, patience_s: float):
        self._owner, self._directory, self._address = owner, directory, address
        self._patience_s = patience_s

    async def here_or_there(
        self,
        here: Callable[[], Awaitable[T]],
        there: Callable[[rfq_pb2_grpc.RFQServiceStub], Awaitable[T]],
        *,
        may_hop: bool,
    ) -> T:
        """Does it here, or at the owner. Raises Unavailable when nobody owns the partition for too
        long."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self._patience_s
        while True:
            try:
                return await here()
            except NotOwner as elsewhere:
                address = elsewhere.address
            if address and address != self._address:
                if not may_hop:
                    raise Unavailable("the partition is changing hands")
                try:
                    async with rpc_errors():
                        return await there(self.stub(address))
                except NotOwner:
                    pass  # it has moved on meanwhile
                except Coded as gone:
                    if gone.code != AWAY:
                        raise
            if loop.time() >= give_up:
                raise Unavailable("the partition has no owner now")
            await asyncio.sleep(LOOK_S)

    def stub(self, address: str) -> rfq_pb2_grpc.RFQServiceStub:
        """The copy at this address."""
        return rfq_pb2_grpc.RFQServiceStub(self._directory.channel("rfq", address))

    async def watch_others(self, hub: Hub) -> None:
        """Listens to every other copy, so that watchers here hear of all partitions."""
        listening: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                others = set(self._owner.tenure.elsewhere.values()) - {"", self._address}
                for address in others - set(listening):
                    listening[address] = asyncio.create_task(self._listen(address, hub))
                for address in set(listening) - others:
                    listening.pop(address).cancel()
                await asyncio.sleep(0.5)
        finally:
            for task in listening.values():
                task.cancel()

    async def _listen(self, address: str, hub: Hub) -> None:
        while True:
            try:
                metadata = (*self._directory.as_service(), HOP)
                async with rpc_errors():
                    call = self.stub(address).WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=metadata)
                    async for update in call:
                        hub.heard_elsewhere(update.items)
            except Coded as away:
                telemetry.log.warning("another copy is away", address=address, code=away.code)
            await asyncio.sleep(0.2)
