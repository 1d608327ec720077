"""Sign-ins at another issuer, told to identity: for the audit trail, and so that what a session
held is dead everywhere when it ends."""

from __future__ import annotations

import asyncio
from typing import Protocol

from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.platform.errors import Unavailable
from orion.platform.rpc import Directory, rpc_errors
from orion.services.bff_workstation.sessions_store import Session
from orion.wire.stubs import identity_pb2, identity_pb2_grpc

ASK_S = 2.0
TRIES = 3
PAUSE_S = 0.2


class Trail(Protocol):
    """Where the beginning and the end of sessions are told."""

    async def began(self, caller: Caller, address: str) -> None:
        """Raises Unavailable, or AUTH-105 for one who is kept out."""
        ...

    async def ended(self, session: Session, reason: str, issued_at: int) -> None:
        """Told after the fact; does not raise."""
        ...


class IdentityTrail:
    """Tells identity."""

    def __init__(self, directory: Directory, client_id: str):
        self._directory, self._client_id = directory, client_id

    async def began(self, caller: Caller, address: str) -> None:
        """By the user's own token: identity reads from it who that is."""
        request = identity_pb2.RecordSignInRequest(client=self._client_id, address=address)
        async with rpc_errors():
            await self._stub().RecordSignIn(
                request, timeout=ASK_S, metadata=self._directory.as_user(caller)
            )

    async def ended(self, session: Session, reason: str, issued_at: int) -> None:
        """Tried a few times. The session itself is over already, whatever comes of this."""
        request = identity_pb2.RecordSignOutRequest(
            tenant=session.tenant,
            subject=session.subject,
            user=session.user_name,
            session_id=session.session_id,
            reason=reason,
            issued_at=issued_at,
        )
        for left in reversed(range(TRIES)):
            try:
                async with rpc_errors():
                    await self._stub().RecordSignOut(
                        request, timeout=ASK_S, metadata=self._directory.as_service()
                    )
                return
            except Unavailable as error:
                if not left:
                    telemetry.log.error(
                        "a sign-out is missing in the trail",
                        tenant=session.tenant,
                        session=session.session_id,
                        error=str(error),
                    )
                    return
                await asyncio.sleep(PAUSE_S)

    def _stub(self) -> identity_pb2_grpc.IdentityServiceStub:
        return identity_pb2_grpc.IdentityServiceStub(self._directory.channel("identity"))
