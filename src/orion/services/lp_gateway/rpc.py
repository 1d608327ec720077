"""The stream a dealer speaks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from orion.core.ids import is_id
from orion.platform import telemetry
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import current_caller, rpc_errors
from orion.services.lp_gateway.desk import Desk
from orion.services.lp_gateway.links import Link, Meter
from orion.wire.stubs import lp_pb2, lp_pb2_grpc, rfq_pb2

HOP = "x-orion-hop"  # in whose name another copy of this service calls
MAX_REFERENCE = 64
MAX_NUMBER = 40
MAX_REASON = 200
MAX_VIOLATIONS = 100
HOUSE_DEALERS = "lp_bots"  # our own five dealers speak with their service's token
DEALER_PREFIX = "dealer:"  # an outside dealer's token names the one dealer it speaks for
_STREAMS = telemetry.gauge("lp_streams", "Dealers' open streams")


def may_speak(voice: str, lp_id: str) -> bool:
    """Whether this service or outside program may speak for this dealer."""
    return voice in (HOUSE_DEALERS, f"{DEALER_PREFIX}{lp_id}")


def _hop(context: Any) -> str:
    return next((str(v) for k, v in context.invocation_metadata() or () if k == HOP), "")


class LPGateway(lp_pb2_grpc.LPGatewayServiceServicer):
    """Hello, then requests out and answers in."""

    def __init__(self, desk: Desk, directory: Any):
        self._desk, self._config, self._directory = desk, desk.config, directory

    async def Quote(
        self, request_iterator: AsyncIterator[lp_pb2.FromDealer], context: Any
    ) -> AsyncIterator[lp_pb2.ToDealer]:
        """One dealer's stream, until either side ends it."""
        caller, incoming = current_caller(), aiter(request_iterator)
        if (leader := await self._elsewhere(context)) is not None:
            metadata = (*self._directory.as_service(), (HOP, caller.service or ""))
            async with rpc_errors():
                async for frame in leader.Quote(incoming, metadata=metadata):
                    yield frame
            return
        voice = caller.service or ""
        if voice == "lp_gateway":  # another copy passes on what was said to it
            voice = _hop(context) or voice
        link = await self._welcome(voice, incoming)
        reading = asyncio.create_task(self._read(incoming, link))
        _STREAMS.inc()
        try:
            async for frame in link.frames(self._config.gap_ms / 1000):
                yield frame
        finally:
            _STREAMS.dec()
            reading.cancel()
            self._desk.links.detach(link)
        if link.closed == "slow consumer":
            raise Coded("LP-309")
        if link.closed and link.closed.startswith("replaced"):
            raise Coded("LP-306")
        if link.closed == "violations":
            raise Coded("LP-307", "too many messages that make no sense")

    async def WatchDealers(
        self, request: lp_pb2.WatchDealersRequest, context: Any
    ) -> AsyncIterator[lp_pb2.DealerConnections]:
        """For the RFQ service: who is connected."""
        if current_caller().service not in ("rfq", "lp_gateway"):
            raise Coded("AUTH-103")
        if (leader := await self._elsewhere(context)) is not None:
            metadata = (*self._directory.as_service(), (HOP, "rfq"))
            async with rpc_errors():
                async for news in leader.WatchDealers(request, metadata=metadata):
                    yield news
            return
        async for news in self._watched():
            yield news

    async def _watched(self) -> AsyncIterator[lp_pb2.DealerConnections]:
        changes: asyncio.Queue[lp_pb2.DealerConnection | None] = asyncio.Queue()
        stop = self._desk.links.watch(changes.put_nowait)
        deposed = asyncio.create_task(self._desk.lead.gone())
        deposed.add_done_callback(lambda _: changes.put_nowait(None))
        try:
            yield lp_pb2.DealerConnections(dealers=self._desk.links.state(), snapshot=True)
            while (change := await changes.get()) is not None:
                yield lp_pb2.DealerConnections(dealers=[change])
        finally:
            stop()
            deposed.cancel()

    async def _elsewhere(self, context: Any) -> lp_pb2_grpc.LPGatewayServiceStub | None:
        """The copy that leads; None: this one. Raises Unavailable while none does."""
        lead = self._desk.lead
        with suppress(TimeoutError):
            async with asyncio.timeout(self._config.hello_timeout_s):
                while not lead.is_mine and not lead.elsewhere:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.02)
        if lead.is_mine:
            return None
        if _hop(context) or not lead.elsewhere:
            raise Unavailable("another copy leads, or none yet")
        return lp_pb2_grpc.LPGatewayServiceStub(
            self._directory.channel("lp_gateway", lead.elsewhere)
        )

    async def _welcome(self, voice: str, incoming: AsyncIterator[lp_pb2.FromDealer]) -> Link:
        try:
            async with asyncio.timeout(self._config.hello_timeout_s):
                first = await anext(incoming)
                await self._desk.ready.wait()
        except StopAsyncIteration:
            raise Coded("LP-307", "the stream ended before hello") from None
        except TimeoutError:
            raise Coded("API-113", "no hello in time, or the gateway is still starting") from None
        if first.WhichOneof("message") != "hello":
            raise Coded("LP-307", "the first message must be hello")
        hello = first.hello
        if not may_speak(voice, hello.lp_id):
            raise Coded("LP-308")
        dealer = self._desk.roster.dealers.get(hello.lp_id)
        if dealer is None or not dealer.enabled:
            raise Coded("API-104", "no such dealer, or it is disabled")
        speaks_now = self._desk.links.get(hello.lp_id)
        is_house = voice == HOUSE_DEALERS
        if is_house and speaks_now is not None and not speaks_now.is_house:
            raise Coded("LP-306")  # an outside program takes the simulated dealer's place
        link = Link(
            hello.lp_id,
            is_house=is_house,
            takes_batches=hello.takes_batches,
            max_waiting=self._config.max_waiting,
            max_batch=self._config.max_batch,
        )
        self._desk.connect(link, dealer.max_requests_per_second)
        telemetry.log.info(
            "dealer connected", lp=hello.lp_id, software=hello.software[:MAX_REFERENCE]
        )
        return link

    async def _read(self, incoming: AsyncIterator[lp_pb2.FromDealer], link: Link) -> None:
        meter, violations = Meter(self._config.answers_per_second), 0
        try:
            async for frame in incoming:
                inside = frame.batch.messages if frame.HasField("batch") else (frame,)
                for message in inside:
                    if not self._take(message, link, meter):
                        violations += 1
                if violations > MAX_VIOLATIONS:
                    link.close("violations")
                    return
        finally:
            link.close("the dealer left")

    def _take(self, message: lp_pb2.FromDealer, link: Link, meter: Meter) -> bool:
        """Handles one message; False when it makes no sense."""
        kind = message.WhichOneof("message")
        if kind == "ping":
            link.put(lp_pb2.ToDealer(pong=message.ping))
            return True
        answer = answer_of(message, link.lp_id)
        if answer is None:
            link.put(_refusal(message, "LP-307"))
            return False
        if not meter.take(self._desk.clock.now()):
            link.put(_refusal(message, "LP-305"))
            return True
        reference = message.quote.dealer_quote_ref if kind == "quote" else ""
        self._desk.submit(answer, link, reference)
        return True


def answer_of(message: lp_pb2.FromDealer, lp_id: str) -> rfq_pb2.DealerAnswer | None:
    """The answer to hand on, or None when its shape is wrong. What it means, the RFQ's owner
    judges."""
    match message.WhichOneof("message"):
        case "quote":
            q = message.quote
            sizes = (q.dealer_quote_ref, MAX_REFERENCE), (q.price, MAX_NUMBER), (q.size, MAX_NUMBER)
            if not _within(q.rfq_id, *sizes):
                return None
            quote = rfq_pb2.DealerQuote(
                dealer_quote_ref=q.dealer_quote_ref, price=q.price, size=q.size, life_ms=q.life_ms
            )
            return rfq_pb2.DealerAnswer(rfq_id=q.rfq_id, lp_id=lp_id, quote=quote)
        case "declined":
            declined = message.declined
            if not _within(declined.rfq_id):
                return None
            reason = rfq_pb2.DealerPass(reason=declined.reason[:MAX_REASON])
            return rfq_pb2.DealerAnswer(rfq_id=declined.rfq_id, lp_id=lp_id, declined=reason)
        case "withdraw":
            w = message.withdraw
            if not _within(w.rfq_id, (w.dealer_quote_ref, MAX_REFERENCE)):
                return None
            withdraw = rfq_pb2.DealerWithdraw(dealer_quote_ref=w.dealer_quote_ref)
            return rfq_pb2.DealerAnswer(rfq_id=w.rfq_id, lp_id=lp_id, withdraw=withdraw)
        case "last_look":
            look = message.last_look
            if not _within(look.rfq_id, (look.quote_id, MAX_REFERENCE)):
                return None
            reply = rfq_pb2.LastLookAnswer(
                quote_id=look.quote_id,
                passed=look.passed,
                reason=look.reason[:MAX_REASON],
                drift=look.drift[:MAX_NUMBER],
            )
            return rfq_pb2.DealerAnswer(rfq_id=look.rfq_id, lp_id=lp_id, last_look=reply)
        case _:
            return None


def _within(rfq_id: str, *limited: tuple[str, int]) -> bool:
    return is_id(rfq_id) and all(
        0 < len(text) <= most and text.isprintable() for text, most in limited
    )


def _refusal(message: lp_pb2.FromDealer, code: str) -> lp_pb2.ToDealer:
    quote = message.quote if message.WhichOneof("message") == "quote" else lp_pb2.QuoteAnswer()
    outcome = lp_pb2.QuoteOutcome(
        rfq_id=quote.rfq_id[:MAX_REFERENCE],
        dealer_quote_ref=quote.dealer_quote_ref[:MAX_REFERENCE],
        taken=False,
        code=code,
    )
    return lp_pb2.ToDealer(outcome=outcome)
