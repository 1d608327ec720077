"""Identity over gRPC: revocations to verifiers, disabling users, tokens for scripts; with an
external issuer, what becomes of the sign-ins there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from orion.core.permissions import Permission, may
from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.services.identity.external import Ended, ExternalSignIns
from orion.services.identity.feed import Feed
from orion.services.identity.operations import Operations
from orion.wire.stubs import identity_pb2, identity_pb2_grpc


class RevocationService(identity_pb2_grpc.IdentityServiceServicer):
    """What identity does whoever signs people in. The gate in front of it has verified the
    caller."""

    def __init__(self, feed: Feed):
        self._feed = feed

    async def WatchRevocations(
        self, request: identity_pb2.WatchRevocationsRequest, context: Any
    ) -> AsyncIterator[identity_pb2.Revocations]:
        _only_services()
        async for snapshot, items in self._feed.watch():
            rows = [
                identity_pb2.Revocation(
                    session_id=item.session_id,
                    subject=item.subject,
                    at_us=item.at,
                    is_bounded=item.is_bounded,
                    is_lifted=item.is_lifted,
                )
                for item in items
            ]
            yield identity_pb2.Revocations(items=rows, snapshot=snapshot)


class IdentityService(RevocationService):
    """With the embedded provider."""

    def __init__(self, operations: Operations, feed: Feed, *, may_mint: bool):
        super().__init__(feed)
        self._operations, self._may_mint = operations, may_mint

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


class ExternalIdentityService(RevocationService):
    """With an external issuer: accounts and passwords are there, what they may not do any more is
    known here too."""

    def __init__(self, sign_ins: ExternalSignIns, feed: Feed):
        super().__init__(feed)
        self._sign_ins = sign_ins

    async def DisableUser(
        self, request: identity_pb2.DisableUserRequest, context: Any
    ) -> identity_pb2.DisableUserResponse:
        caller = current_caller()
        if caller.service is None and not may(caller.roles, Permission.USER_MANAGE):
            raise Coded("AUTH-103")
        # An admin sees the accounts of the own tenant; the operator of the machine all.
        tenant = None if caller.service else caller.tenant
        subject = await self._sign_ins.set_disabled(
            request.user, request.disabled, tenant=tenant, by=caller.user
        )
        return identity_pb2.DisableUserResponse(subject=subject)

    async def MintToken(
        self, request: identity_pb2.MintTokenRequest, context: Any
    ) -> identity_pb2.MintTokenResponse:
        raise Coded("AUTH-103", "Tokens for programs are given by the identity provider")

    async def RecordSignIn(
        self, request: identity_pb2.RecordSignInRequest, context: Any
    ) -> identity_pb2.RecordSignInResponse:
        caller = current_caller()
        if caller.service is not None:
            raise Coded("AUTH-103")
        await self._sign_ins.began(caller, request.client, request.address)
        return identity_pb2.RecordSignInResponse()

    async def RecordSignOut(
        self, request: identity_pb2.RecordSignOutRequest, context: Any
    ) -> identity_pb2.RecordSignOutResponse:
        _only_services()
        await self._sign_ins.ended(
            Ended(
                tenant=request.tenant,
                subject=request.subject,
                user=request.user,
                session_id=request.session_id,
                reason=request.reason,
                issued_at=request.issued_at,
            )
        )
        return identity_pb2.RecordSignOutResponse()


def _only_services() -> None:
    if current_caller().service is None:
        raise Coded("AUTH-103")
