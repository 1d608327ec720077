"""RFQService over gRPC: traders' commands and questions, dealers' answers, watchers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from orion.core import ids
from orion.core.permissions import Permission, may_read, read_scope
from orion.core.rfq.state import Rfq
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded, NotOwner
from orion.platform.listing import Lists
from orion.platform.rpc import current_caller
from orion.platform.store.port import Database
from orion.platform.transact import Owner
from orion.services.rfq import answering, asking, queries
from orion.services.rfq.aggregate import Answer
from orion.services.rfq.config import Config
from orion.services.rfq.copies import HOP, Copies
from orion.services.rfq.statistics import BUCKETS, quantile
from orion.services.rfq.watch import Hub, Seen
from orion.services.rfq.world import World
from orion.wire.proto import rfq_to_bytes
from orion.wire.stubs import rfq_pb2, rfq_pb2_grpc

GATEWAY = "lp_gateway"
WATCHERS = frozenset({"push_edge", "notifications", "rfq"})
Details = rfq_pb2.RFQDetails | bytes  # the message, or its bytes


class RFQs(rfq_pb2_grpc.RFQServiceServicer):
    """The servicer. Tells callers nothing of other tenants: what is foreign is not there."""

    def __init__(
        self,
        *,
        owner: Owner[Rfq],
        world: World,
        hub: Hub,
        copies: Copies,
        database: Database,
        clock: Clock,
        lists: Lists,
        config: Config,
        as_of: Callable[[], Awaitable[int]],
        metadata: Callable[[Caller], Any],
    ):
        self._owner, self._world, self._hub, self._copies = owner, world, hub, copies
        self._database, self._clock, self._lists = database, clock, lists
        self._config, self._as_of, self._metadata = config, as_of, metadata

    # -- commands ----------------------------------------------------------------------------------

    async def CreateRFQ(self, request: rfq_pb2.CreateRFQRequest, context: Any) -> Details:
        """Asks dealers; a refusal carries the denied RFQ and its checks."""
        caller = current_caller()
        asking.require(caller, Permission.RFQ_CREATE)

        async def here() -> bytes:
            # First: a copy that has just been started knows neither prices nor dealers yet.
            self._owner.demand(asking.created_id(caller, request))
            rfq_id, order, key = asking.create(caller, request, self._world)
            return asking.given(await self._submit(caller.tenant, rfq_id, order, key))

        return await self._routed(here, "CreateRFQ", request, context, caller)

    async def AcceptQuote(self, request: rfq_pb2.AcceptQuoteRequest, context: Any) -> Details:
        """Deals on a quote."""
        caller = current_caller()
        asking.require(caller, Permission.RFQ_ACCEPT)

        async def here() -> bytes:
            state = await self._visible(caller, request.rfq_id)
            order, key = asking.accept(caller, request, self._world, state.terms.instrument_id)
            return asking.given(await self._submit(caller.tenant, request.rfq_id, order, key))

        return await self._routed(here, "AcceptQuote", request, context, caller)

    async def CancelRFQ(self, request: rfq_pb2.CancelRFQRequest, context: Any) -> Details:
        """Takes the RFQ back."""
        caller = current_caller()
        asking.require(caller, Permission.RFQ_CANCEL)

        async def here() -> bytes:
            await self._visible(caller, request.rfq_id)
            order, key = asking.cancel(caller, request)
            return asking.given(await self._submit(caller.tenant, request.rfq_id, order, key))

        return await self._routed(here, "CancelRFQ", request, context, caller)

    async def SubmitQuotes(
        self, request: rfq_pb2.SubmitQuotesRequest, context: Any
    ) -> rfq_pb2.SubmitQuotesResponse:
        """Dealers' answers, decided together, answered in their order."""
        caller = current_caller()
        if caller.service != GATEWAY:
            raise Coded("AUTH-103")
        if len(request.answers) > self._config.max_answers:
            raise Coded("API-105")
        # What can be decided here is queued at once, in order, without a task each.
        begun = [self._begin(answer) for answer in request.answers]
        others = {
            n: asyncio.ensure_future(self._answered(answer, context, caller))
            for n, (answer, here) in enumerate(zip(request.answers, begun, strict=True))
            if here is None
        }
        outcomes = [
            await (others[n] if here is None else self._finished(answer, here, context, caller))
            for n, (answer, here) in enumerate(zip(request.answers, begun, strict=True))
        ]
        return rfq_pb2.SubmitQuotesResponse(outcomes=outcomes)

    # -- questions ---------------------------------------------------------------------------------

    async def GetRFQ(self, request: rfq_pb2.GetRFQRequest, context: Any) -> Details:
        """The RFQ as its owner has it."""
        caller = current_caller()

        async def here() -> bytes:
            state = await self._visible(caller, request.rfq_id)
            return rfq_to_bytes(state, self._clock.now())

        return await self._routed(here, "GetRFQ", request, context, caller)

    async def ListRFQs(
        self, request: rfq_pb2.ListRFQsRequest, context: Any
    ) -> rfq_pb2.ListRFQsResponse:
        """The blotter, newest first, as of the time it had heard of."""
        caller = current_caller()
        scope = None if caller.service else read_scope(caller.roles, "rfq")
        if scope is None:
            raise Coded("AUTH-103")
        where = queries.conditions(caller, scope, request.filter)
        rows, cursor, as_of = await self._lists.page(queries.BLOTTER, caller, where, request.page)
        now = self._clock.now()
        items = [queries.row_of(row, now) for row in rows]
        return rfq_pb2.ListRFQsResponse(items=items, next_cursor=cursor, as_of_us=as_of)

    async def WatchRFQ(
        self, request: rfq_pb2.WatchRFQRequest, context: Any
    ) -> AsyncIterator[rfq_pb2.RFQUpdate | bytes]:
        """RFQs the caller may see, and every change of them."""
        caller = current_caller()
        if caller.service is None and read_scope(caller.roles, "rfq") is None:
            raise Coded("AUTH-103")
        if caller.service is not None and caller.service not in WATCHERS:
            raise Coded("AUTH-103")
        async for update in self._hub.watch(_may(caller), peers=not _hopped(context)):
            yield update

    async def DealerStatistics(
        self, request: rfq_pb2.DealerStatisticsRequest, context: Any
    ) -> rfq_pb2.DealerStatisticsResponse:
        """Dealers' record with the caller's organisation."""
        caller = current_caller()
        asking.require(caller, Permission.DEALERS_READ)
        as_of = await self._as_of()
        async with self._database.read(caller.tenant) as sql:
            rows = await queries.dealer_rows(sql, caller.tenant)
        return rfq_pb2.DealerStatisticsResponse(scores=[_score(r) for r in rows], as_of_us=as_of)

    async def _submit(self, tenant: str, rfq_id: str, order: Any, key: Any = None) -> Answer:
        timeout_s = self._config.command_timeout_s
        return await self._owner.submit(tenant, rfq_id, order, key, timeout_s=timeout_s)

    async def _visible(self, caller: Caller, rfq_id: str) -> Rfq:
        if caller.service is not None or not ids.is_id(rfq_id):
            raise Coded("API-104")
        state = await self._owner.state(caller.tenant, rfq_id)
        if state is None or not asking.is_visible(caller, state):
            raise Coded("API-104")
        return state

    async def _routed(
        self, here: Any, method: str, request: Any, context: Any, caller: Caller
    ) -> Details:
        async def there(stub: rfq_pb2_grpc.RFQServiceStub) -> Details:
            metadata = (*self._metadata(caller), HOP)
            timeout = self._config.command_timeout_s
            return await getattr(stub, method)(request, timeout=timeout, metadata=metadata)

        return await self._copies.here_or_there(here, there, may_hop=not _hopped(context))

    def _begin(
        self, answer: rfq_pb2.DealerAnswer
    ) -> tuple[asyncio.Future[Answer], str] | rfq_pb2.AnswerOutcome | None:
        """The answer as a queued command and its quote; or its outcome; None: it takes longer."""
        if not ids.is_id(answer.rfq_id):
            return answering.refused("LP-304")
        state = self._owner.at_hand(answer.tenant_id, answer.rfq_id)
        if state is None:
            return None
        made = answering.order_of(answer, state, self._world)
        if isinstance(made, rfq_pb2.AnswerOutcome):
            return made
        order, quote_id = made
        timeout_s = self._config.command_timeout_s
        try:
            tenant, rfq_id = answer.tenant_id, answer.rfq_id
            return self._owner.begin(tenant, rfq_id, order, timeout_s=timeout_s), quote_id
        except Coded as refused:
            return answering.refused(refused.code)
        except NotOwner:
            return None

    async def _finished(
        self,
        answer: rfq_pb2.DealerAnswer,
        begun: tuple[asyncio.Future[Answer], str] | rfq_pb2.AnswerOutcome,
        context: Any,
        caller: Caller,
    ) -> rfq_pb2.AnswerOutcome:
        if isinstance(begun, rfq_pb2.AnswerOutcome):
            return begun
        decided, quote_id = begun
        try:
            return answering.outcome_of(await decided, quote_id)
        except Coded as refused:
            return answering.refused(refused.code)
        except NotOwner:
            return await self._answered(answer, context, caller)

    async def _answered(
        self, answer: rfq_pb2.DealerAnswer, context: Any, caller: Caller
    ) -> rfq_pb2.AnswerOutcome:
        if not ids.is_id(answer.rfq_id):
            return answering.refused("LP-304")

        async def there(stub: rfq_pb2_grpc.RFQServiceStub) -> rfq_pb2.AnswerOutcome:
            metadata = (*self._metadata(caller), HOP)
            request = rfq_pb2.SubmitQuotesRequest(answers=[answer])
            timeout = self._config.command_timeout_s
            reply = await stub.SubmitQuotes(request, timeout=timeout, metadata=metadata)
            return reply.outcomes[0]

        try:
            return await self._copies.here_or_there(
                lambda: self._answer(answer), there, may_hop=not _hopped(context)
            )
        except Coded as refused:
            # One answer that cannot be taken must not take the others of its submission along.
            return answering.refused(refused.code)
        except NotOwner:
            return answering.refused("SYS-901")

    async def _answer(self, answer: rfq_pb2.DealerAnswer) -> rfq_pb2.AnswerOutcome:
        state = await self._owner.state(answer.tenant_id, answer.rfq_id)
        if state is None:
            return answering.refused("LP-304")
        made = answering.order_of(answer, state, self._world)
        if isinstance(made, rfq_pb2.AnswerOutcome):
            return made
        order, quote_id = made
        decided = await self._submit(answer.tenant_id, answer.rfq_id, order)
        return answering.outcome_of(decided, quote_id)


def _hopped(context: Any) -> bool:
    return any(key == HOP[0] for key, _ in context.invocation_metadata() or ())


def _may(caller: Caller) -> Callable[[Seen], bool]:
    if caller.service is not None:
        return lambda _: True

    def may(rfq: Seen) -> bool:
        return rfq.tenant_id == caller.tenant and may_read(
            caller.roles,
            "rfq",
            user=caller.user,
            desk=caller.desk,
            owner=rfq.requester,
            owner_desk=rfq.desk,
        )

    return may


def _score(row: Any) -> rfq_pb2.DealerScore:
    counts = [row[f"response_{n:02}"] for n in range(BUCKETS)]
    spreads = row["spread_count"]
    mean = row["spread_centi_bps"] / spreads / 100 if spreads else None
    return rfq_pb2.DealerScore(
        lp_id=row["lp_id"],
        requests=row["requests"],
        quoted=row["quoted"],
        won=row["won"],
        passed=row["passed"],
        last_look_asked=row["last_look_asked"],
        last_look_rejected=row["last_look_rejected"],
        response_p50_ms=quantile(counts, 0.5),
        response_p95_ms=quantile(counts, 0.95),
        spread_to_mid_mean=mean,
    )
