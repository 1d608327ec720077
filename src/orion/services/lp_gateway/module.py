"""Builds the dealer gateway."""

from __future__ import annotations

from orion.platform.module import Module, Ports
from orion.services.lp_gateway.config import Config
from orion.services.lp_gateway.desk import Desk
from orion.services.lp_gateway.roster import Roster
from orion.services.lp_gateway.rpc import LPGateway
from orion.services.lp_gateway.submit import Submitter
from orion.wire.stubs import lp_pb2_grpc


def build(ports: Ports, config: Config) -> Module:
    """The gateway as a module."""
    roster = Roster(ports.directory, config.roster_refresh_s)
    submitter = Submitter(ports.directory, config)
    desk = Desk(clock=ports.clock, bus=ports.bus, config=config, roster=roster, submitter=submitter)
    return Module(
        name="lp_gateway",
        rpc=[(lp_pb2_grpc.add_LPGatewayServiceServicer_to_server, LPGateway(desk))],
        tasks=[roster.run, submitter.run, desk.listen, desk.tidy],
        ready=lambda: None if desk.ready.is_set() else "open requests are being read back",
    )
