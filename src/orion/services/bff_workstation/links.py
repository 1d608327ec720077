"""The BFF's way to the services: one place for stubs, deadlines, the user's token, and commands
sent to the right owner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orion.platform.caller import Caller
from orion.platform.errors import NotOwner, Unavailable
from orion.platform.rpc import Directory, rpc_errors
from orion.services.bff_workstation.config import Config
from orion.wire.stubs.audit_pb2_grpc import AuditServiceStub
from orion.wire.stubs.marketdata_pb2_grpc import MarketDataServiceStub
from orion.wire.stubs.notifications_pb2_grpc import NotificationServiceStub
from orion.wire.stubs.reference_pb2_grpc import ReferenceServiceStub
from orion.wire.stubs.rfq_pb2_grpc import RFQServiceStub
from orion.wire.stubs.trade_pb2_grpc import ExecutionServiceStub
from orion.wire.stubs.workspace_pb2_grpc import WorkspaceServiceStub

STUBS: dict[str, Callable[[Any], Any]] = {
    "rfq": RFQServiceStub,
    "execution": ExecutionServiceStub,
    "reference": ReferenceServiceStub,
    "marketdata_projection": MarketDataServiceStub,
    "workspace": WorkspaceServiceStub,
    "audit": AuditServiceStub,
    "notifications": NotificationServiceStub,
}


class Links:
    """Calls to the services on behalf of one user at a time."""

    def __init__(self, directory: Directory, config: Config):
        self._directory = directory
        self._query_s = config.query_timeout_ms / 1000
        self._command_s = config.command_timeout_ms / 1000

    async def ask(self, caller: Caller, service: str, method: str, request: Any) -> Any:
        """A query: safe to ask again, short deadline."""
        return await self._call(caller, service, method, request, self._query_s)

    async def look(self, caller: Caller, service: str, method: str, request: Any) -> Any:
        """A query that only an entity's owner can answer: safe to ask again, and as patient as a
        command, for the owner may be changing.
        """
        return await self._call(caller, service, method, request, self._command_s)

    async def tell(self, caller: Caller, service: str, method: str, request: Any) -> Any:
        """A command, under its idempotency key: when the deadline passes its outcome is unknown
        (SYS-902).
        """
        return await self._call(caller, service, method, request, self._command_s)

    async def _call(
        self, caller: Caller, service: str, method: str, request: Any, timeout_s: float
    ) -> Any:
        call = getattr(STUBS[service](self._directory.channel(service)), method)
        try:
            async with rpc_errors():
                metadata = self._directory.as_user(caller)
                return await call(request, timeout=timeout_s, metadata=metadata)
        except NotOwner as moving:
            raise Unavailable("The owner of this entity is changing; try again") from moving
