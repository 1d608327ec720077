"""A small load of RFQs that remembers what it asked and what it was told, so that it can be
compared afterwards with what the platform did.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.stack import until
from tests.stack_clients import PROMPT, Desk, Json, counted, new_key, rfq_terms

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"


@dataclass
class Call:
    """One command, asked once; `outcome` unknown: no answer, or one that leaves it open."""

    path: str
    body: Json
    key: str = field(default_factory=new_key)
    outcome: str = UNKNOWN
    status: int = 0
    answer: Any = None

    def take(self, answer: httpx.Response) -> None:
        """What was told."""
        self.status = answer.status_code
        # 409 API-103, 429 and 503 promise nothing: the same key may be asked again.
        if answer.status_code in (429, 500, 502, 503) or "API-103" in answer.text:
            return
        self.outcome = OK if answer.is_success else FAILED
        self.answer = answer.json()


class Load:
    """`async with` runs it; `settle` afterwards asks again for what is unknown. `only` narrows the
    comparison to one requester where others deal too; without it all that is there must be ours.
    """

    def __init__(self, desk: Desk, workers: int = 3, only: str = ""):
        self.desk = desk
        self._filter: dict[str, str] = {"requester": only} if only else {}
        self._before: set[str] = set()
        self.calls: list[Call] = []
        self._workers, self._tasks = workers, list[asyncio.Task[None]]()
        self._stopping = False

    async def __aenter__(self) -> Load:
        self._before = {r["rfqId"] for r in await self._listed("/rfqs")}
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._workers)]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    async def _listed(self, path: str) -> list[Json]:
        rows = await self.desk.every(path, **self._filter)
        return [row for row in rows if row["rfqId"] not in self._before]

    def count(self, outcome: str) -> int:
        """Calls with this outcome."""
        return sum(call.outcome == outcome for call in self.calls)

    async def grows(self, by: int, within_s: float = 60) -> None:
        """Waits until so many more commands were acknowledged."""
        goal, begun = self.count(OK) + by, len(self.calls)
        try:
            await until(lambda: self.count(OK) >= goal, within_s)
        except AssertionError:
            said = Counter(f"{c.status} {c.answer}"[:200] for c in self.calls[begun:])
            raise AssertionError(
                f"Not {by} more acknowledged within {within_s:.0f} s, but {said.most_common(5)}"
            ) from None

    async def _call(self, path: str, body: Json) -> Call:
        call = Call(path, body)
        self.calls.append(call)
        await self._ask(call)
        return call

    async def _ask(self, call: Call) -> None:
        with suppress(httpx.HTTPError):
            call.take(await self.desk.command("POST", call.path, call.body, call.key))

    async def _work(self) -> None:
        while not self._stopping:
            asked = await self._call("/rfqs", rfq_terms(lpIds=PROMPT, expirySeconds=60))
            if asked.outcome != OK:
                await asyncio.sleep(0.1)
                continue
            rfq = await self._first_quote(asked.answer["rfqId"])
            if rfq is not None:
                body = {"quoteId": rfq["bestQuoteId"], "version": rfq["version"]}
                await self._call(f"/rfqs/{rfq['rfqId']}/accept", body)

    async def _first_quote(self, rfq_id: str) -> Json | None:
        for _ in range(100):
            with suppress(httpx.HTTPError):
                answer = await self.desk.get(f"/rfqs/{rfq_id}")
                if answer.is_success and answer.json()["bestQuoteId"]:
                    return answer.json()
            if self._stopping:
                return None
            await asyncio.sleep(0.1)
        return None

    async def settle(self) -> None:
        """Asks again, with the same key, until every outcome is known."""

        async def known() -> bool:
            for call in self.calls:
                if call.outcome == UNKNOWN:
                    await self._ask(call)
            return self.count(UNKNOWN) == 0

        await until(known, 60, "every outcome is known")

    async def violations(self, patience_s: float = 60) -> list[str]:
        """Acknowledged and lost, done twice, or done although refused."""
        asked = [c.answer["rfqId"] for c in self.calls if c.path == "/rfqs" and c.outcome == OK]
        accepted = {
            c.answer["rfqId"]: c.answer for c in self.calls if c.path != "/rfqs" and c.outcome == OK
        }

        async def caught_up() -> bool:
            rfqs = await self._listed("/rfqs")
            done = {r["rfqId"] for r in rfqs if r["status"] == "TRADED"}
            trades = {t["rfqId"] for t in await self._listed("/trades")}
            return set(accepted) <= done & trades and set(asked) <= {r["rfqId"] for r in rfqs}

        wrong: list[str] = []
        try:
            await until(caught_up, patience_s, "the blotters hold all that was acknowledged", 0.5)
        except AssertionError as lost:
            wrong.append(str(lost))
        rfqs, trades = await self._listed("/rfqs"), await self._listed("/trades")
        wrong += [f"twice in the blotter: {i}" for i, n in _twice(rfqs, "rfqId")]
        wrong += [f"traded twice: {i}" for i, n in _twice(trades, "rfqId")]
        wrong += [f"asked twice by one key: {i}" for i, n in Counter(asked).items() if n > 1]
        listed = {r["rfqId"]: r for r in rfqs}
        wrong += [f"RFQ acknowledged and lost: {i}" for i in asked if i not in listed]
        by_rfq = {t["rfqId"]: t for t in trades}
        for rfq_id, answer in accepted.items():
            trade = by_rfq.get(rfq_id)
            if trade is None:
                wrong.append(f"accept acknowledged, no trade: {rfq_id} {listed.get(rfq_id)}")
            elif trade["tradeId"] != answer["tradeId"]:
                wrong.append(f"another trade than was told: {rfq_id}")
        wrong += [f"traded without an accept: {i}" for i in by_rfq if i not in accepted]
        # A denied RFQ is refused with its id, and is kept with its reason.
        told = [c for c in self.calls if c.path == "/rfqs" and c.outcome == FAILED]
        denied = {c.answer["rfqId"] for c in told if "rfqId" in c.answer}
        wrong += [f"nobody asked for {i}" for i in listed if i not in {*asked, *denied}]
        wrong += [f"refused, yet {listed[i]}" for i in denied & set(listed) if _lives(listed[i])]
        wrong += [f"answered 500: {c.path}" for c in self.calls if c.status == 500]
        return wrong


def _lives(rfq: Json) -> bool:
    return rfq["status"] != "DENIED"


def _twice(items: list[Json], field_name: str) -> list[tuple[str, int]]:
    return [(i, n) for i, n in counted(items, field_name).items() if n > 1]
