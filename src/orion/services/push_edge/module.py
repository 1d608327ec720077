"""Builds the streaming edge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from orion.platform import telemetry
from orion.platform.http.origins import cookie_name
from orion.platform.module import Module, Ports
from orion.platform.push import Limits, PushServer
from orion.services.push_edge.config import Config
from orion.services.push_edge.edge import Edge


def limits_of(config: Config) -> Limits:
    """What one socket may cost."""
    return Limits(
        soft_bytes=config.soft_kb * 1024,
        hard_bytes=config.hard_kb * 1024,
        slow_s=config.slow_seconds,
        kernel_bytes=config.kernel_kb * 1024,
        messages_per_s=config.messages_per_second,
        message_burst=float(config.message_burst),
    )


def build(ports: Ports, config: Config) -> Module:
    """The edge as a module. `stream` takes the acceptor's sockets."""
    settings = ports.settings
    edge = Edge(ports, config, cookie_name(settings.public_url), settings.public_url)
    server = PushServer(edge, limits_of(config))

    async def attend() -> None:
        """Opens a port of its own where one is wanted; on stop every socket hears goodbye."""
        if config.listen:
            host, _, port = config.listen.rpartition(":")
            opened = await server.listen(host or "127.0.0.1", int(port))
            telemetry.log.info("stream port open", port=opened)
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(Exception):
                await server.close()
            edge.goodbye()

    tasks: list[Callable[[], Awaitable[None]]] = [
        attend,
        edge.catalogue,
        edge.ticks.run,
        edge.sweep,
        edge.watch_cache,
        edge.heartbeat,
    ]
    tasks += [upstream.run for upstream in edge.upstreams]
    return Module(name="push_edge", tasks=tasks, stream=server, ready=edge.ready)
