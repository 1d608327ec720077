"""Users of several tenants who deal all the time, and do what users and networks do: repeat, double
click, change their minds, race themselves.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos.client import Answer, Client, NoAnswer
from benchmarks.chaos.history import FAILED, OK, UNKNOWN, History, Op
from benchmarks.chaos.signs import Signs
from orion.core.ids import partition_of
from orion.core.rfq.words import Status

FIRM = ("NORTHGATE", "MERIDIANX", "BRACKWATER")  # dealers without a last look
INSTRUMENTS = ("EURUSD", "GBPUSD")
AGAIN = 4  # times at once after an unknown outcome; later `settle` asks
QUOTES_S, TRADE_S = 4.0, 10.0
PARTITIONS = 8


@dataclass(frozen=True)
class User:
    """Somebody who deals."""

    tenant: str
    name: str  # c3@alpha
    token: Callable[[], str]


def judged(answer: Answer) -> str:
    """What an answer says about the command: some promise nothing, the same key may be asked."""
    if answer.status in (408, 425, 429) or answer.status >= 500:
        return UNKNOWN
    if answer.status == 409 and answer.json().get("code") == "API-103":  # still in flight
        return UNKNOWN
    return OK if 200 <= answer.status < 300 else FAILED


class Load:
    """`async with` runs `workers` lives at a time, one after the other each."""

    def __init__(
        self, client: Client, users: list[User], history: History, signs: Signs, *,
        workers: int = 16, seed: int = 1,
    ):  # fmt: skip
        self.client, self.history, self.signs = client, history, signs
        self._users, self._workers, self._seed = users, workers, seed
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._keys = 0
        self.traded = 0
        self.repeats = 0
        self.unknown = 0
        # tenant → correlation id of the RFQ asked for last, and when
        self.latest: dict[str, tuple[str, int]] = {}

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(self._work(random.Random(self._seed * 1000 + n), n))
            for n in range(self._workers)
        ]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)

    def check(self) -> None:
        """Raises what ended a worker: then nobody deals, and nothing is shown."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error

    async def _work(self, chance: random.Random, number: int) -> None:
        while not self._stopping:
            # Each has some of the users for himself, and all together have all.
            turns = -(-len(self._users) // self._workers)
            turn = chance.randrange(max(turns, 2)) * self._workers
            user = self._users[(number + turn) % len(self._users)]
            if not await self._live(user, chance):
                await asyncio.sleep(0.05)

    # --- one life

    async def _live(self, user: User, chance: random.Random) -> bool:
        kind = chance.random()
        create = self._create(user, chance, too_large=kind > 0.98)
        if 0.94 < kind < 0.96:  # gone before the answer: it may have been done or not
            await self.send(user, create, hangs_up_s=chance.random() * 0.02)
        elif 0.90 < kind < 0.94:  # a double click: the same key at the same time
            await asyncio.gather(self.send(user, create), self.send(user, create))
        else:
            await self.send(user, create)
        if create.outcome == UNKNOWN and chance.random() < 0.7:
            await self._again(user, create)
        if create.outcome != OK:
            return False
        if chance.random() < 0.05:
            self.repeats += 1
            await self.send(user, create)
        if kind < 0.12:
            await self._cancel(user, create.rfq_id)
            return True
        seen = await self._quoted(user, create.rfq_id)
        if seen is None:
            await self._cancel(user, create.rfq_id)
            return True
        await self._deal(user, create.rfq_id, seen, chance)
        return True

    async def _deal(
        self, user: User, rfq_id: str, seen: dict[str, Any], chance: random.Random
    ) -> None:
        kind = chance.random()
        if kind < 0.04:  # on a version that was never there
            await self._accept(user, rfq_id, {**seen, "version": seen["version"] + 7})
        if kind > 0.92:  # changes his mind while the click is on its way
            await asyncio.gather(
                self._accept(user, rfq_id, seen), self._cancel(user, rfq_id, at_once=False)
            )
            return
        accept = await self._accept(user, rfq_id, seen)
        if accept.outcome == OK:
            if chance.random() < 0.05:
                self.repeats += 1
                await self.send(user, accept)
            if chance.random() < 0.25 or self.signs.wanted("trade"):
                await self._traded(user, rfq_id)
            elif chance.random() < 0.04:  # too late: it must be refused
                await self._cancel(user, rfq_id)

    def _create(self, user: User, chance: random.Random, *, too_large: bool) -> Op:
        everyone = chance.random() < 0.1
        body: dict[str, Any] = {
            "instrumentId": chance.choice(INSTRUMENTS),
            "side": chance.choice(("BUY", "SELL")),
            "size": "90000000000" if too_large else "1000000",
            "expirySeconds": 60,
        }
        if not everyone:
            body["lpIds"] = list(FIRM)
        return self.history.ask("create", user.tenant, user.name, key=self._key(), body=body)

    async def _accept(self, user: User, rfq_id: str, seen: dict[str, Any]) -> Op:
        body = {"quoteId": seen["bestQuoteId"], "version": seen["version"]}
        op = self.history.ask(
            "accept", user.tenant, user.name, key=self._key(), rfq=rfq_id, body=body
        )
        await self.send(user, op)
        await self._again(user, op)
        return op

    async def _cancel(self, user: User, rfq_id: str, *, at_once: bool = True) -> Op:
        if not at_once:
            await asyncio.sleep(0.002)
        op = self.history.ask("cancel", user.tenant, user.name, key=self._key(), rfq=rfq_id)
        await self.send(user, op)
        await self._again(user, op)
        return op

    def _key(self) -> str:
        self._keys += 1
        return f"chaos-{self._seed}-{self._keys:08}"

    async def _again(self, user: User, op: Op) -> None:
        """The same request with the same key, a few times; who gives up is asked at the end."""
        pause = 0.05
        for _ in range(AGAIN):
            if op.outcome != UNKNOWN:
                return
            await asyncio.sleep(pause)
            pause *= 2
            await self.send(user, op)

    # --- requests

    async def send(self, user: User, op: Op, *, hangs_up_s: float | None = None) -> None:
        """Asks once and notes what was told."""
        path = "rfqs" if op.kind == "create" else f"rfqs/{op.rfq}/{op.kind}"
        headers = {"Authorization": f"Bearer {user.token()}", "Idempotency-Key": op.key}
        one = self.history.leave(op)
        try:
            answer = await self.client.send(
                "POST", f"/api/v1/{path}", headers, op.body, hangs_up_s=hangs_up_s
            )
        except NoAnswer as error:
            self.unknown += 1
            self.history.hear(op, one, UNKNOWN, 0, {"code": str(error)})
            return
        outcome = judged(answer)
        said = answer.json()
        self.history.hear(op, one, outcome, answer.status, said)
        if outcome == UNKNOWN:
            self.unknown += 1
        elif outcome == OK and len(op.tries) == 1:
            rfq_id = op.rfq_id
            self.latest[user.tenant] = (said.get("correlationId", ""), one.at)
            self.signs.note("command", one.at, partition_of(rfq_id, PARTITIONS))
            self.signs.note(op.kind, one.at)

    async def read(self, user: User, rfq_id: str) -> dict[str, Any] | None:
        """The RFQ as its owner has it now; part of the history."""
        op = self.history.ask("read", user.tenant, user.name, rfq=rfq_id)
        one = self.history.leave(op)
        headers = {"Authorization": f"Bearer {user.token()}"}
        try:
            answer = await self.client.send("GET", f"/api/v1/rfqs/{rfq_id}", headers)
        except NoAnswer as error:
            self.history.hear(op, one, UNKNOWN, 0, {"code": str(error)})
            return None
        said = answer.json()
        self.history.hear(op, one, judged(answer), answer.status, said)
        return said if answer.status == 200 else None

    async def _quoted(self, user: User, rfq_id: str) -> dict[str, Any] | None:
        begun, ends, pause = self.history.now(), time.monotonic() + QUOTES_S, 0.06
        while time.monotonic() < ends:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            seen = await self.read(user, rfq_id)
            if seen is not None and seen.get("bestQuoteId"):
                self.signs.note("quote", begun)
                return seen
            if seen is not None and seen["status"] not in (Status.SENT, Status.QUOTING):
                return None
        return None

    async def _traded(self, user: User, rfq_id: str) -> None:
        begun, ends, pause = self.history.now(), time.monotonic() + TRADE_S, 0.05
        while time.monotonic() < ends:
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)
            seen = await self.read(user, rfq_id)
            if seen is not None and seen["status"] == Status.TRADED:
                self.traded += 1
                self.signs.note("trade", begun)
                return
            if seen is not None and seen["status"] != Status.ACCEPTED:
                return

    async def settle(self, within_s: float = 60.0) -> int:
        """Asks again with the same keys until every outcome is known; how many were not."""
        by_name = {user.name: user for user in self._users}
        open_ops = [op for op in self.history.ops if op.kind != "read" and op.outcome == UNKNOWN]
        ends = time.monotonic() + within_s
        left = open_ops
        while left and time.monotonic() < ends:
            for op in left:
                await self.send(by_name[op.user], op)
            left = [op for op in left if op.outcome == UNKNOWN]
            if left:
                await asyncio.sleep(0.2)
        return len(open_ops)
