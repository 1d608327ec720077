"""Builds execution."""

from __future__ import annotations

from orion.platform.cursor import Cursors, cursor_key
from orion.platform.listing import Lists
from orion.platform.module import Module, Ports
from orion.platform.projector import Projector
from orion.platform.transact import Owner
from orion.services.execution.aggregate import HEARD, SOURCE, TradeAggregate, heard
from orion.services.execution.config import Config
from orion.services.execution.projections import PROJECTIONS
from orion.services.execution.rpc import Trades
from orion.services.execution.watch import Hub
from orion.wire.stubs import trade_pb2_grpc

PARTITIONS = 8


def build(ports: Ports, config: Config) -> Module:
    """Execution as a module."""
    owner = Owner(
        TradeAggregate(),
        ports.store,
        ports.bus,
        ports.clock,
        log=ports.log,
        partitions=PARTITIONS,
        address=ports.address,
    )
    owner.follow(SOURCE, "execution", heard, HEARD)
    hub = Hub(ports.bus, ports.clock, config)
    projector = Projector(PROJECTIONS, ports.store, ports.bus, ports.clock)
    servicer = Trades(
        owner=owner,
        hub=hub,
        database=ports.database,
        lists=Lists(ports.database, Cursors(cursor_key(ports.settings)), projector.as_of),
    )
    return Module(
        name="execution",
        rpc=[(trade_pb2_grpc.add_ExecutionServiceServicer_to_server, servicer)],
        tasks=[owner.run, hub.run, projector.run],
        ready=owner.ready,
        leave=[owner.leave],
    )
