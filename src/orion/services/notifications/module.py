"""How the hall builds the notification service."""

from __future__ import annotations

from orion.platform.module import Module, Ports
from orion.platform.projector import Projector
from orion.services.notifications.config import Config
from orion.services.notifications.live import Live
from orion.services.notifications.projections import PROJECTIONS
from orion.services.notifications.rpc import NotificationRpc
from orion.wire.stubs.notifications_pb2_grpc import add_NotificationServiceServicer_to_server


def build(ports: Ports, config: Config) -> Module:
    """The projector keeps the list; a follower of the bus feeds the edge."""
    live = Live(ports.bus, ports.clock, config.max_queue)
    projector = Projector(PROJECTIONS, ports.store, ports.bus, ports.clock)
    servicer = NotificationRpc(ports.database, live, ports.clock, config)
    return Module(
        "notifications",
        rpc=[(add_NotificationServiceServicer_to_server, servicer)],
        tasks=[projector.run, live.run],
        ready=lambda: (
            projector.ready() or (None if live.is_ready else "notifications: catching up")
        ),
    )
