"""The stream a dealer speaks on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from orion.core.ids import is_id
from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.services.lp_gateway.desk import Desk
from orion.services.lp_gateway.links import Link, Meter
from orion.wire.stubs import lp_pb2, lp_pb2_grpc, rfq_pb2

MAX_REFERENCE = 64
MAX_NUMBER = 40
MAX_REASON = 200
MAX_VIOLATIONS = 100
HOUSE_DEALERS = "lp_bots"  # our own five dealers speak with their service's token
DEALER_PREFIX = "dealer:"  # an outside dealer's token names the one dealer it speaks for
_STREAMS = telemetry.gauge("lp_streams", "Dealers' open streams")


def may_speak(caller: Caller, lp_id: str) -> bool:
    """Whether this credential may speak for this dealer."""
    if caller.service == HOUSE_DEALERS:
        return True
    return caller.service == f"{DEALER_PREFIX}{lp_id}"


class LPGateway(lp_pb2_grpc.LPGatewayServiceServicer):
    """Hello, then requests out and answers in."""

    def __init__(self, desk: Desk):
        self._desk, self._config = desk, desk.config

    async def Quote(
        self, request_iterator: AsyncIterator[lp_pb2.FromDealer], context: Any
    ) -> AsyncIterator[lp_pb2.ToDealer]:
        """One dealer's stream, until either side ends it."""
        caller, incoming = current_caller(), aiter(request_iterator)
        link = await self._welcome(caller, incoming)
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
        if current_caller().service != "rfq":
            raise Coded("AUTH-103")
        changes: asyncio.Queue[lp_pb2.DealerConnection] = asyncio.Queue()
        stop = self._desk.links.watch(changes.put_nowait)
        try:
            yield lp_pb2.DealerConnections(dealers=self._desk.links.state(), snapshot=True)
            while True:
                yield lp_pb2.DealerConnections(dealers=[await changes.get()])
        finally:
            stop()

    async def _welcome(self, caller: Caller, incoming: AsyncIterator[lp_pb2.FromDealer]) -> Link:
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
        if not may_speak(caller, hello.lp_id):
            raise Coded("LP-308")
        dealer = self._desk.roster.dealers.get(hello.lp_id)
        if dealer is None or not dealer.enabled:
            raise Coded("API-104", "no such dealer, or it is disabled")
        speaks_now = self._desk.links.get(hello.lp_id)
        is_house = caller.service == HOUSE_DEALERS
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
