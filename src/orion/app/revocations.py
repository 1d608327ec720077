"""Connects every process's verifier to identity's stream of revocations, and to the board in the
cache for when that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from orion.platform.cache.port import Cache
from orion.platform.clock import Clock
from orion.platform.revocation_board import BoardReader
from orion.platform.revocations import Revocations, Revoked, follow, follow_board
from orion.platform.rpc import Directory
from orion.wire.stubs import identity_pb2, identity_pb2_grpc


def follower(
    directory: Directory, revocations: Revocations, clock: Clock, cache: Cache | None = None
) -> Callable[[], Awaitable[None]]:
    """The task that follows identity for ever. `cache`: read where processes share it."""

    async def watch() -> AsyncIterator[Sequence[Revoked]]:
        stub = identity_pb2_grpc.IdentityServiceStub(directory.channel("identity"))
        call = stub.WatchRevocations(
            identity_pb2.WatchRevocationsRequest(), metadata=directory.as_service()
        )
        try:
            async for message in call:
                yield [_revoked(item) for item in message.items]
        finally:
            call.cancel()  # one that fell silent is open still

    async def run() -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(follow(revocations, watch, clock.now))
            if cache is not None and cache.is_shared:
                read = BoardReader(cache).read
                both.create_task(follow_board(revocations, read, clock.now))

    return run


def _revoked(item: identity_pb2.Revocation) -> Revoked:
    return Revoked(
        at=item.at_us,
        session_id=item.session_id if item.HasField("session_id") else None,
        subject=item.subject if item.HasField("subject") else None,
        is_bounded=item.is_bounded,
        is_lifted=item.is_lifted,
    )
