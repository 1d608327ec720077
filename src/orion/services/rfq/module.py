"""Builds the RFQ service."""

from __future__ import annotations

import asyncio

from orion.core.rfq import commands as c
from orion.core.trade import TradeExecuted
from orion.platform.bus.port import Record
from orion.platform.cursor import Cursors, cursor_key
from orion.platform.module import Module, Ports
from orion.platform.project import Projector
from orion.platform.transact import Owner
from orion.services.rfq.aggregate import Order, RfqAggregate
from orion.services.rfq.blotter import event_in
from orion.services.rfq.config import Config
from orion.services.rfq.copies import Copies
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
        aggregate, ports.store, ports.bus, ports.clock, partitions=PARTITIONS, address=ports.address
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
        cursors=Cursors(cursor_key(ports.settings)),
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
        ready=lambda: owner.ready() or (None if world.is_known else "reference data is not known"),
    )


def traded(record: Record) -> tuple[str, Order] | None:
    """What the RFQ does when its trade is made."""
    event = event_in(record)
    if not isinstance(event, TradeExecuted):
        return None
    trade = event.trade
    command = c.MarkTraded(
        at=record.at,
        quote_id=trade.quote_id,
        trade_id=trade.trade_id,
        trade_display_id=trade.display_id,
    )
    return trade.rfq_id, Order(command, record.event_id)
