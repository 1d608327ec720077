"""Connects every process's verifier to identity's stream of revocations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from orion.platform.clock import Clock
from orion.platform.revocations import Revocations, Revoked, follow
from orion.platform.rpc import Directory
from orion.wire.stubs import identity_pb2, identity_pb2_grpc


def follower(
    directory: Directory, revocations: Revocations, clock: Clock
) -> Callable[[], Awaitable[None]]:
    """The task that follows identity for ever."""

    async def watch() -> AsyncIterator[Sequence[Revoked]]:
        stub = identity_pb2_grpc.IdentityServiceStub(directory.channel("identity"))
        call = stub.WatchRevocations(
            identity_pb2.WatchRevocationsRequest(), metadata=directory.as_service()
        )
        async for message in call:
            yield [_revoked(item) for item in message.items]

    return lambda: follow(revocations, watch, clock.now)


def _revoked(item: identity_pb2.Revocation) -> Revoked:
    return Revoked(
        at=item.at_us,
        session_id=item.session_id if item.HasField("session_id") else None,
        subject=item.subject if item.HasField("subject") else None,
        is_bounded=item.is_bounded,
        is_lifted=item.is_lifted,
    )
