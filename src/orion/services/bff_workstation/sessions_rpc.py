"""Who holds a cookie: asked by the streaming edge, which sees cookies but keeps no sessions."""

from __future__ import annotations

from typing import Any

from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.services.bff_workstation.sessions import Sessions
from orion.wire.stubs import identity_pb2, identity_pb2_grpc


class SessionService(identity_pb2_grpc.SessionServiceServicer):
    """The servicer. An open stream is no use of the session: a forgotten screen goes idle."""

    def __init__(self, sessions: Sessions):
        self._sessions = sessions

    async def Resolve(
        self, request: identity_pb2.ResolveSessionRequest, context: Any
    ) -> identity_pb2.ResolvedSession:
        if current_caller().service is None:
            raise Coded("AUTH-103")
        caller = await self._sessions.resolve(request.cookie, is_use=False)
        return identity_pb2.ResolvedSession(
            access_token=caller.token, expires_at_us=caller.expires_at * 1_000_000
        )
