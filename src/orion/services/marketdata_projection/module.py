"""Builds the market data projection."""

from __future__ import annotations

from orion.platform.module import Module, Ports
from orion.services.marketdata_projection.config import Config
from orion.services.marketdata_projection.projector import Projector
from orion.services.marketdata_projection.rpc import MarketDataRpc
from orion.wire.stubs import marketdata_pb2_grpc


def build(ports: Ports, config: Config) -> Module:
    """The projection as a module."""
    projector = Projector(ports, config)

    def ready() -> str | None:
        if not projector.is_caught_up:
            return "the log of ticks is being read"
        return None if projector.classes else "the instruments are not known yet"

    return Module(
        name="marketdata_projection",
        rpc=[
            (
                marketdata_pb2_grpc.add_MarketDataServiceServicer_to_server,
                MarketDataRpc(projector, ports, config),
            )
        ],
        tasks=[
            projector.follow,
            projector.watch_feed,
            projector.catalogue,
            projector.write_cache,
            projector.write_tables,
        ],
        ready=ready,
    )
