"""What the dealers see of the market: instruments from reference, prices from the market data
stream."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from orion.platform import telemetry
from orion.platform.errors import Coded
from orion.platform.rpc import rpc_errors
from orion.wire.stubs import (
    marketdata_pb2,
    marketdata_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
)

REFRESH_S = 30.0
CONFLATE_MS = 20  # no dealer prices faster


@dataclass(frozen=True, slots=True)
class Tradable:
    """What pricing needs of an instrument."""

    instrument_id: str
    asset_class: str
    tick_size: Decimal
    lot_size: Decimal
    max_size: Decimal
    pip: Decimal


class Market:
    """Latest mids and instruments, kept up to date by `run`."""

    def __init__(self, directory: Any):
        self._reference = reference_pb2_grpc.ReferenceServiceStub(directory.channel("reference"))
        self._prices = marketdata_pb2_grpc.MarketDataServiceStub(
            directory.channel("marketdata_projection")
        )
        self._directory = directory
        self.instruments: dict[str, Tradable] = {}
        self.mids: dict[str, Decimal] = {}

    async def run(self) -> None:
        """Follows both until cancelled; keeps what it has while they are away."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_reference())
            group.create_task(self._follow_prices())

    async def _follow_reference(self) -> None:
        while True:
            pause = 0.2
            try:
                async with rpc_errors():
                    reply = await self._reference.ListInstruments(
                        reference_pb2.ListInstrumentsRequest(),
                        timeout=2.0,
                        metadata=self._directory.as_service(),
                    )
                # The mapping is shared with the bots, so it is changed, never replaced.
                self.instruments.update({i.instrument_id: tradable(i) for i in reply.instruments})
                pause = REFRESH_S
            except Coded as away:
                telemetry.log.warning("reference did not list instruments", code=away.code)
            await asyncio.sleep(pause)

    async def _follow_prices(self) -> None:
        while True:
            try:
                async with rpc_errors():
                    stream = self._prices.StreamTicks(
                        marketdata_pb2.TickSubscription(conflate_ms=CONFLATE_MS),
                        metadata=self._directory.as_service(),
                    )
                    async for batch in stream:
                        self._take(batch)
            except Coded as away:
                telemetry.log.warning("the price stream ended", code=away.code)
            await asyncio.sleep(0.2)

    def _take(self, batch: marketdata_pb2.TickBatch) -> None:
        for tick in batch.ticks:
            if tick.HasField("mid"):
                self.mids[tick.instrument_id] = Decimal(tick.mid)


def tradable(instrument: reference_pb2.Instrument) -> Tradable:
    """The part of an instrument that dealers use."""
    return Tradable(
        instrument_id=instrument.instrument_id,
        asset_class=instrument.asset_class,
        tick_size=Decimal(instrument.tick_size),
        lot_size=Decimal(instrument.lot_size),
        max_size=Decimal(instrument.max_size),
        pip=Decimal(instrument.pip),
    )
