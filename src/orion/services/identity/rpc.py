"""Identity over gRPC: revocations to verifiers, disabling users, tokens for scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from orion.core.permissions import Permission, may
from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.services.identity.feed import Feed
from orion.services.identity.operations import Operations
from orion.wire.stubs import identity_pb2, identity_pb2_grpc


class IdentityService(identity_pb2_grpc.IdentityServiceServicer):
    """The servicer. The gate in front of it has verified the caller."""

    def __init__(self, operations: Operations, feed: Feed, *, may_mint: bool):
        self._operations, self._feed, self._may_mint = operations, feed, may_mint

    async def WatchRevocations(
        self, request: identity_pb2.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[identity_pb2.Revocations]:
        _only_services()
        async for snapshot, items in self._feed.watch():
            rows = [
                identity_pb2.Revocation(
                    session_id=item.session_id, subject=item.subject, at_us=item.at
                )
                for item in items
            ]
            yield identity_pb2.Revocations(items=rows, snapshot=snapshot)

    async def DisableUser(
        self, request: identity_pb2.DisableUserRequest, context: Any
    ) -> identity_pb2.DisableUserResponse:
        caller = current_caller()
        if caller.service is None:
            if not may(caller.roles, Permission.USER_MANAGE):
                raise Coded("AUTH-103")
            # Another tenant's user and one that does not exist are answered alike.
            if request.user.strip().lower().rpartition("@")[2] != caller.tenant:
                raise Coded("API-104", "There is no such user")
        user = await self._operations.set_disabled(request.user, request.disabled, caller.user)
        return identity_pb2.DisableUserResponse(subject=user.user_id)

    async def MintToken(
        self, request: identity_pb2.MintTokenRequest, context: Any
    ) -> identity_pb2.MintTokenResponse:
        _only_services()
        if not self._may_mint:
            raise Coded("AUTH-103", "Tokens for scripts are given in the embedded profile only")
        token = await self._operations.mint(request.user)
        return identity_pb2.MintTokenResponse(access_token=token)


def _only_services() -> None:
    if current_caller().service is None:
        raise Coded("AUTH-103")
