"""RFQs: ask, look, deal, take back."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency as Given
from litestar.di import Provide
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET

from orion.core import ids
from orion.core.permissions import Permission as P
from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.services.bff_workstation import render, shapes
from orion.services.bff_workstation.gate import IdempotencyKey, idempotency
from orion.services.bff_workstation.links import Links
from orion.services.bff_workstation.routes.filters import page_of, rfq_filter
from orion.wire.stubs import common_pb2, rfq_pb2

RfqPath = Annotated[str, PathParameter(description="The RFQ's id", min_length=1, max_length=64)]
READ = (P.RFQ_READ_OWN, P.RFQ_READ_DESK, P.RFQ_READ_TENANT)
LISTED = {
    "page": Provide(page_of, sync_to_thread=False),
    "wanted": Provide(rfq_filter, sync_to_thread=False),
}


@post(
    "/rfqs",
    permission=P.RFQ_CREATE,
    is_command=True,
    operation_id="createRfq",
    tags=["RFQ"],
    summary="Ask dealers for a price",
)
async def create_rfq(
    data: JSONBody[shapes.CreateRfq],
    key: IdempotencyKey,
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.Rfq:
    """Checks limits and entitlements, then asks the dealers that fit. A refused RFQ is recorded and
    answered with 422.
    """
    rfq_id = ids.rfq_id(caller.tenant, caller.user, caller.subject, key)
    telemetry.bind(entity_id=rfq_id, correlation_id=ids.correlation_id(rfq_id))
    optional = {
        name: value
        for name in ("min_size", "partial_allowed", "lp_ids", "venue_id", "settlement_date")
        if (value := getattr(data, name)) is not UNSET
    }
    request = rfq_pb2.CreateRFQRequest(
        idempotency=idempotency(key, "POST /api/v1/rfqs", data),
        instrument_id=data.instrument_id,
        side=render.SIDE_NUMBERS[data.side],
        size=data.size,
        expiry_seconds=data.expiry_seconds,
        **optional,
    )
    return render.rfq(await links.tell(caller, "rfq", "CreateRFQ", request))


@get(
    "/rfqs",
    permission=READ,
    dependencies=LISTED,
    operation_id="listRfqs",
    tags=["RFQ"],
    summary="RFQs that you may see",
)
async def list_rfqs(
    page: Given[common_pb2.Page],
    wanted: Given[rfq_pb2.RFQFilter],
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.RfqList:
    """A projection: `asOf` says how fresh it is. Newest first."""
    request = rfq_pb2.ListRFQsRequest(filter=wanted, page=page)
    found = await links.ask(caller, "rfq", "ListRFQs", request)
    return render.listed(shapes.RfqList, render.rfq_row, found)


@get(
    "/rfqs/{rfq_id:str}",
    permission=READ,
    operation_id="getRfq",
    tags=["RFQ"],
    summary="One RFQ with its quotes",
)
async def get_rfq(rfq_id: RfqPath, caller: Given[Caller], links: Given[Links]) -> shapes.Rfq:
    """Answered by the owner: shows what you just wrote."""
    request = rfq_pb2.GetRFQRequest(rfq_id=rfq_id)
    return render.rfq(await links.look(caller, "rfq", "GetRFQ", request))


@post(
    "/rfqs/{rfq_id:str}/accept",
    permission=P.RFQ_ACCEPT,
    is_command=True,
    status_code=200,
    operation_id="acceptQuote",
    tags=["RFQ"],
    summary="Deal on a quote",
)
async def accept_quote(
    rfq_id: RfqPath,
    data: JSONBody[shapes.AcceptQuote],
    key: IdempotencyKey,
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.Rfq:
    """Only the requester may. The answer carries `tradeId`; with a last look the status is ACCEPTED
    until the dealer answers.
    """
    request = rfq_pb2.AcceptQuoteRequest(
        idempotency=idempotency(key, f"accept {rfq_id}", rfq_id, data),
        rfq_id=rfq_id,
        quote_id=data.quote_id,
        version=data.version,
        reason=None if data.reason is UNSET else data.reason,
    )
    return render.rfq(await links.tell(caller, "rfq", "AcceptQuote", request))


@post(
    "/rfqs/{rfq_id:str}/cancel",
    permission=P.RFQ_CANCEL,
    is_command=True,
    status_code=200,
    operation_id="cancelRfq",
    tags=["RFQ"],
    summary="Take an RFQ back",
)
async def cancel_rfq(
    rfq_id: RfqPath,
    data: JSONBody[shapes.CancelRfq],
    key: IdempotencyKey,
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.Rfq:
    """Only the requester may, and only while it is open."""
    request = rfq_pb2.CancelRFQRequest(
        idempotency=idempotency(key, f"cancel {rfq_id}", rfq_id, data),
        rfq_id=rfq_id,
        version=None if data.version is UNSET else data.version,
    )
    return render.rfq(await links.tell(caller, "rfq", "CancelRFQ", request))


ROUTES = [create_rfq, list_rfqs, get_rfq, accept_quote, cancel_rfq]
