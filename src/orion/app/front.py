"""Joins the HTTP applications of one process: the identity provider answers below /oidc, the BFF
the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from orion.platform.module import Module

IDENTITY = "identity"


def front(modules: Sequence[Module]) -> Any | None:
    """One ASGI application for all modules of this process that have one; None when none has."""
    apps = {module.name: module.http for module in modules if module.http is not None}
    if len(apps) < 2:
        return next(iter(apps.values()), None)
    identity = apps.pop(IDENTITY)
    (rest,) = apps.values()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan((identity, rest), receive, send)
        elif scope["path"] == "/oidc" or scope["path"].startswith("/oidc/"):
            await identity(scope, receive, send)
        else:
            await rest(scope, receive, send)

    return app


async def _lifespan(apps: Sequence[Any], receive: Any, send: Any) -> None:
    async with AsyncExitStack() as stack:
        await receive()
        for app in apps:
            await stack.enter_async_context(app.lifespan())
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
