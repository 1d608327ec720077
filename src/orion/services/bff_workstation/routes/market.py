"""Instruments, dealers, prices."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency as Given
from litestar.params import QueryParameter

from orion.core.permissions import Permission as P
from orion.platform.caller import Caller
from orion.services.bff_workstation import render, shapes
from orion.services.bff_workstation.links import Links
from orion.services.bff_workstation.routes.filters import Instruments, OneInstrument, instruments_of
from orion.wire.stubs import marketdata_pb2, reference_pb2, rfq_pb2

Minutes = Annotated[int, QueryParameter(name="minutes", ge=1, le=1440, description="How far back")]


@get(
    "/instruments",
    permission=P.REFERENCE_READ,
    operation_id="listInstruments",
    tags=["Market"],
    summary="Instruments that you may see",
)
async def list_instruments(caller: Given[Caller], links: Given[Links]) -> shapes.InstrumentList:
    """Those of your entitlements; others are not shown."""
    request = reference_pb2.ListInstrumentsRequest()
    found = await links.ask(caller, "reference", "ListInstruments", request)
    return shapes.InstrumentList(
        items=[render.instrument(i) for i in found.instruments],
        as_of=render.time_of(found.as_of_us),
    )


@get(
    "/dealers",
    permission=P.DEALERS_READ,
    operation_id="listDealers",
    tags=["Market"],
    summary="Dealers, and how they answered",
)
async def list_dealers(caller: Given[Caller], links: Given[Links]) -> shapes.DealerList:
    """Reference data of the dealers with the scorecard of your own tenant's RFQs."""
    known, scored = await asyncio.gather(
        links.ask(caller, "reference", "ListDealers", reference_pb2.ListDealersRequest()),
        links.ask(caller, "rfq", "DealerStatistics", rfq_pb2.DealerStatisticsRequest()),
    )
    scores = {s.lp_id: s for s in scored.scores}
    return shapes.DealerList(
        items=[render.dealer(d, scores.get(d.lp_id)) for d in known.dealers],
        as_of=render.time_of(max(known.as_of_us, scored.as_of_us)),
    )


@get(
    "/market/snapshot",
    permission=P.MARKET_READ,
    operation_id="getSnapshot",
    tags=["Market"],
    summary="Newest prices",
)
async def get_snapshot(
    caller: Given[Caller], links: Given[Links], instrument_id: Instruments = None
) -> shapes.TickList:
    """Of the named instruments, or of all that you may see."""
    request = marketdata_pb2.SnapshotRequest(instrument_ids=instruments_of(instrument_id))
    found = await links.ask(caller, "marketdata_projection", "GetSnapshot", request)
    return shapes.TickList(
        items=[render.tick(t) for t in found.ticks], as_of=render.time_of(found.as_of_us)
    )


@get(
    "/market/history",
    permission=P.MARKET_READ,
    operation_id="getHistory",
    tags=["Market"],
    summary="Bars of five seconds",
)
async def get_history(
    caller: Given[Caller], links: Given[Links], instrument_id: OneInstrument, minutes: Minutes = 30
) -> shapes.BarList:
    """Mid and spread of one instrument, oldest first."""
    request = marketdata_pb2.HistoryRequest(instrument_id=instrument_id, minutes=minutes)
    found = await links.ask(caller, "marketdata_projection", "GetHistory", request)
    return shapes.BarList(
        items=[render.bar(b) for b in found.bars], as_of=render.time_of(found.as_of_us)
    )


ROUTES = [list_instruments, list_dealers, get_snapshot, get_history]
