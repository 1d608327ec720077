"""Builds the RFQ service."""

from __future__ import annotations

import asyncio

from orion.platform.cursor import Cursors, cursor_key
from orion.platform.listing import Lists
from orion.platform.module import Module, Ports
from orion.platform.projector import Projector
from orion.platform.transact import Owner
from orion.services.rfq.aggregate import RfqAggregate
from orion.services.rfq.config import Config
from orion.services.rfq.copies import Copies
from orion.services.rfq.hearing import traded
from orion.services.rfq.metrics import Counting
from orion.services.rfq.projections import PROJECTIONS
from orion.services.rfq.rpc import RFQs
from orion.services.rfq.watch import Hub
from orion.services.rfq.world import World
from orion.wire.stubs import rfq_pb2_grpc

PARTITIONS = 8


def build(ports: Ports, config: Config) -> Module:
    """The RFQ service as a module."""
    aggregate = RfqAggregate(PARTITIONS)
    owner = Owner(
        aggregate,
        ports.store,
        ports.bus,
        ports.clock,
        log=ports.log,
        partitions=PARTITIONS,
        address=ports.address,
        may=lambda: world.missing() is None,
    )
    owner.follow("execution.trades", "rfq", traded)
    owner.on_commit(Counting(aggregate).heard)
    hub = Hub(owner, ports.clock, config)
    world = World(clock=ports.clock, bus=ports.bus, directory=ports.directory, config=config)
    copies = Copies(owner, ports.directory, ports.address, config.command_timeout_s)
    projector = Projector(PROJECTIONS, ports.store, ports.bus, ports.clock)
    servicer = RFQs(
        owner=owner,
        world=world,
        hub=hub,
        copies=copies,
        database=ports.database,
        clock=ports.clock,
        lists=Lists(ports.database, Cursors(cursor_key(ports.settings)), projector.as_of),
        config=config,
        as_of=projector.as_of,
        metadata=ports.directory.as_user,
    )

    async def tidy() -> None:
        while True:
            await asyncio.sleep(60)
            aggregate.tidy(ports.clock.now())

    return Module(
        name="rfq",
        rpc=[(rfq_pb2_grpc.add_RFQServiceServicer_to_server, servicer)],
        tasks=[owner.run, world.run, projector.run, lambda: copies.watch_others(hub), tidy],
        ready=lambda: owner.ready() or world.missing(),
        leave=[owner.leave],
    )
