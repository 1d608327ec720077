"""Dealers' answers on their way to the RFQ service: in batches, in order per RFQ, tried again while
it is away."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any

from orion.core.ids import slot_in
from orion.platform import telemetry
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import rpc_errors
from orion.services.lp_gateway.config import Config
from orion.wire.stubs import rfq_pb2, rfq_pb2_grpc

OnOutcome = Callable[[rfq_pb2.AnswerOutcome], None]
MAX_QUEUED = 20_000
_SUBMITTED = telemetry.counter(
    "lp_answers", "Dealers' answers handed to the RFQ service", ("lp", "kind")
)
_submitted = cache(_SUBMITTED.labels)  # looked up once, counted often
_REFUSED = telemetry.counter("lp_answers_refused", "Dealers' answers not taken", ("lp", "code"))


class Submitter:
    """Lanes to the RFQ service. An RFQ always takes the same lane, so its answers keep their
    order."""

    def __init__(self, directory: Any, config: Config):
        self._stub = rfq_pb2_grpc.RFQServiceStub(directory.channel("rfq"))
        self._directory, self._config = directory, config
        self._lanes = [_Lane() for _ in range(config.submit_lanes)]

    def put(self, answer: rfq_pb2.DealerAnswer, on_outcome: OnOutcome) -> None:
        """Queues an answer; `on_outcome` is called once. Never blocks."""
        _submitted(answer.lp_id, answer.WhichOneof("answer")).inc()
        lane = self._lanes[slot_in(answer.rfq_id) % len(self._lanes)]
        if len(lane.waiting) >= MAX_QUEUED:
            self._finish(answer, on_outcome, rfq_pb2.AnswerOutcome(taken=False, code="SYS-904"))
            return
        lane.waiting.append((answer, on_outcome))
        lane.wake.set()

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(self._work(lane))

    async def _work(self, lane: _Lane) -> None:
        while True:
            lane.wake.clear()
            if not lane.waiting:
                await lane.wake.wait()
            count = min(len(lane.waiting), self._config.max_batch)
            batch = [lane.waiting.popleft() for _ in range(count)]
            outcomes = await self._submit([answer for answer, _ in batch])
            for (answer, on_outcome), outcome in zip(batch, outcomes, strict=True):
                self._finish(answer, on_outcome, outcome)

    async def _submit(self, answers: list[rfq_pb2.DealerAnswer]) -> list[rfq_pb2.AnswerOutcome]:
        request = rfq_pb2.SubmitQuotesRequest(answers=answers)
        loop = asyncio.get_running_loop()
        give_up, pause, code = loop.time() + self._config.submit_retry_s, 0.05, "SYS-901"
        while True:
            try:
                async with rpc_errors():
                    metadata = self._directory.as_service()
                    reply = await self._stub.SubmitQuotes(request, timeout=5.0, metadata=metadata)
                if len(reply.outcomes) == len(answers):
                    return list(reply.outcomes)
                code = "SYS-900"
                break
            except Unavailable as away:
                # Answers are idempotent at the owner (a quote's id comes from the dealer's
                # reference), so a submission
                # whose outcome is unknown is simply sent again.
                code = away.code
                if loop.time() >= give_up:
                    break
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)
            except Coded as refused:
                code = refused.code
                break
        telemetry.log.error("dealers' answers were not taken", count=len(answers), code=code)
        return [rfq_pb2.AnswerOutcome(taken=False, code=code) for _ in answers]

    @staticmethod
    def _finish(
        answer: rfq_pb2.DealerAnswer, on_outcome: OnOutcome, outcome: rfq_pb2.AnswerOutcome
    ) -> None:
        if not outcome.taken:
            _REFUSED.labels(answer.lp_id, outcome.code).inc()
        on_outcome(outcome)


class _Lane:
    def __init__(self) -> None:
        self.waiting: deque[tuple[rfq_pb2.DealerAnswer, OnOutcome]] = deque()
        self.wake = asyncio.Event()
