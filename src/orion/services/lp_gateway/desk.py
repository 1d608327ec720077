"""The gateway's desk: what the log says goes out to dealers, what dealers say goes in to the RFQ
service."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache

from orion.platform import telemetry
from orion.platform.bus.port import Bus, Record
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.lead import Lead
from orion.services.lp_gateway.board import Board, Outgoing
from orion.services.lp_gateway.config import Config
from orion.services.lp_gateway.hearing import hear
from orion.services.lp_gateway.links import Link, Links, Meter
from orion.services.lp_gateway.roster import Roster
from orion.services.lp_gateway.submit import Submitter
from orion.wire.stubs import lp_pb2, rfq_pb2

MICROS = 1_000_000
_OPEN = telemetry.gauge("lp_open_requests", "RFQs dealers are being asked about")
_ASKED = telemetry.counter("lp_requests", "Requests meant for a dealer", ("lp", "how"))
_asked = cache(_ASKED.labels)  # looked up once, counted often


class Desk:
    """Joins the board, the links and the submitter. One per process; of several copies one leads,
    and dealers speak with that one. The others keep the board too.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        bus: Bus,
        config: Config,
        roster: Roster,
        submitter: Submitter,
        lead: Lead,
    ):
        self.clock, self.config, self.roster, self.lead = clock, config, roster, lead
        self.links = Links(clock)
        self.ready = asyncio.Event()
        self._bus, self._submitter = bus, submitter
        self._board = Board()
        self._meters: dict[str, Meter] = {}
        self._patience_s = config.patience_ms / 1000

    # -- dealers

    def connect(self, link: Link, requests_per_second: int) -> None:
        """A dealer said hello: it is told where it is and everything that is open for it."""
        now = self.clock.now()
        limit = int(requests_per_second * self.config.throttle_scale)
        self._meters[link.lp_id] = Meter(max(1, limit))
        self.links.attach(link)
        welcome = lp_pb2.DealerWelcome(
            lp_id=link.lp_id, max_requests_per_second=requests_per_second, server_time_us=now
        )
        link.put(lp_pb2.ToDealer(welcome=welcome))
        for message in self._board.open_for(link.lp_id, now):
            link.put(message)

    def submit(self, answer: rfq_pb2.DealerAnswer, link: Link | None, reference: str = "") -> None:
        """Hands an answer to the RFQ service; its outcome goes back on the stream it came from."""
        if answer.WhichOneof("answer") in ("quote", "declined"):
            self._board.answered(answer.rfq_id, answer.lp_id)

        def outcome(taken: rfq_pb2.AnswerOutcome) -> None:
            if link is None or (not reference and taken.taken):
                return
            told = lp_pb2.QuoteOutcome(
                rfq_id=answer.rfq_id, dealer_quote_ref=reference, taken=taken.taken
            )
            if taken.HasField("code"):
                told.code = taken.code
            if taken.HasField("quote_id"):
                told.quote_id = taken.quote_id
            # A refusal is news; that a quote was taken is not.
            patience_s = self._patience_s if taken.taken else 0.0
            link.put(lp_pb2.ToDealer(outcome=told), patience_s=patience_s)

        tenant = self._board.tenant_of(answer.rfq_id)
        if tenant is None:
            outcome(rfq_pb2.AnswerOutcome(taken=False, code="LP-304"))
            return
        answer.tenant_id = tenant
        self._submitter.put(answer, outcome)

    def pass_for(self, rfq_id: str, lp_id: str, reason: str) -> None:
        """The platform passes in the dealer's place, so that nobody waits for it."""
        _ASKED.labels(lp_id, reason.lower()).inc()
        declined = rfq_pb2.DealerPass(reason=reason)
        self.submit(rfq_pb2.DealerAnswer(rfq_id=rfq_id, lp_id=lp_id, declined=declined), None)

    # -- the log

    async def listen(self) -> None:
        """Follows rfq.lifecycle for ever; rebuilds the board from the log when the log was away."""
        while True:
            try:
                await self._listen_once()
            except Unavailable as away:
                telemetry.log.warning("the log is away; the board is rebuilt", code=away.code)
                await asyncio.sleep(0.2)

    async def _listen_once(self) -> None:
        self._board = Board()
        caught_up = False
        since = self.clock.now() - self.config.lookback_s * MICROS
        async for records in self._bus.tail(("rfq.lifecycle",), since=since):
            outgoing = self._hear(records)
            if caught_up:
                self._send(outgoing)
            elif not records:
                caught_up = True
                await self.roster.known.wait()
                self.links.know(self.roster.dealers)
                self._resend()
                self.ready.set()
            _OPEN.set(len(self._board))

    def _hear(self, records: Sequence[Record]) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        for record in records:
            outgoing += hear(self._board, record)
        return outgoing

    def _resend(self) -> None:
        """Streams that stayed open through a rebuild may have missed something; dealers know
        requests by their id."""
        now = self.clock.now()
        for lp_id in self.roster.dealers:
            if link := self.links.get(lp_id):
                for message in self._board.open_for(lp_id, now):
                    link.put(message)

    def _send(self, outgoing: list[Outgoing]) -> None:
        now = self.clock.now()
        for lp_id, message in outgoing:
            link = self.links.get(lp_id)
            if link is None:
                continue  # told when it is back, or passed over by `tidy` when it stays away
            if message.HasField("request"):
                if not self._meters[lp_id].take(now):
                    self.pass_for(message.request.rfq_id, lp_id, "THROTTLED")
                    continue
                _asked(lp_id, "sent").inc()
            is_over = message.HasField("ended")
            link.put(message, patience_s=self._patience_s if is_over else 0.0)

    async def tidy(self) -> None:
        """Passes over dealers that stay away, and drops requests whose end was never heard of. As
        long as this copy leads; dealers then go to the next.
        """
        self.links.begin()  # nobody was away from here before
        try:
            await self._tidy()
        finally:
            self.links.end("another copy leads")

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.config.grace_s / 2))
            self.links.know(self.roster.dealers)
            for lp_id in self.links.gone_longer_than(int(self.config.grace_s * MICROS)):
                for rfq_id in self._board.unanswered(lp_id):
                    self.pass_for(rfq_id, lp_id, "NOT_CONNECTED")
            self._board.forget_before(self.clock.now(), 60 * MICROS)
            _OPEN.set(len(self._board))
