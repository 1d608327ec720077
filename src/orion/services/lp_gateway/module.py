"""Builds the dealer gateway."""

from __future__ import annotations

from functools import partial

from orion.platform.lead import Lead
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
    lead = Lead(ports.store, ports.clock, "lp_gateway", ports.address)
    desk = Desk(
        clock=ports.clock,
        bus=ports.bus,
        config=config,
        roster=roster,
        submitter=submitter,
        lead=lead,
    )
    return Module(
        name="lp_gateway",
        rpc=[
            (lp_pb2_grpc.add_LPGatewayServiceServicer_to_server, LPGateway(desk, ports.directory))
        ],
        tasks=[
            roster.run,
            submitter.run,
            desk.listen,
            lead.run,
            partial(lead.only, [desk.tidy]),
        ],
        ready=lambda: lead.ready() if desk.ready.is_set() else "open requests are being read back",
        leave=[lead.leave],
    )
