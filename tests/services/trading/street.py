"""A street of our own: RFQ and execution owners over one store, traders and dealers as plain
calls."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

from orion.core import ids
from orion.core.rfq import commands as c
from orion.core.rfq.state import Rfq
from orion.core.rfq.view import live_quotes
from orion.core.trade import Trade
from orion.platform.errors import Coded, NotOwner
from orion.platform.transact import Key, Limits, Owner
from orion.services.execution.aggregate import HEARD, SOURCE, TradeAggregate, heard
from orion.services.rfq.aggregate import Answer, Order, RfqAggregate
from orion.services.rfq.hearing import traded
from orion.wire.envelope import decode
from tests.core.rfq_world import ASH, BIRCH, CEDAR, GRANTS, create

TENANT = "alpha"
MID = Decimal("1.14624")
PARTS = 8


async def until(condition: Callable[[], Any], what: str = "", tries: int = 2_000) -> Any:
    """Waits for a condition, bounded; gives what it gave."""
    for _ in range(tries):
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not come to be: {what or condition}")


class Copy:
    """One process's worth: an RFQ owner and an execution owner. `crash` leaves nothing in order."""

    def __init__(self, store: Any, bus: Any, clock: Any, name: str, *, rfq: Any, trade: Any):
        limits = Limits(pace_ms=0.0)
        self.name = name
        self.aggregate = rfq or RfqAggregate(PARTS)
        self.rfq: Owner[Rfq] = Owner(
            self.aggregate, store, bus, clock, partitions=PARTS, address=name, limits=limits
        )
        self.rfq.follow("execution.trades", "rfq", traded)
        self.trade: Owner[Trade] = Owner(
            trade or TradeAggregate(), store, bus, clock, partitions=PARTS, address=name,
            limits=limits,
        )  # fmt: skip
        self.trade.follow(SOURCE, "execution", heard, HEARD)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(o.run()) for o in (self.rfq, self.trade)]
        await until(lambda: self.rfq.ready() is None and self.trade.ready() is None, "ready")

    async def stop(self) -> None:
        """Leaves in order, or as a crash: what is in memory is gone either way."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task


class Street:
    """The owners of one platform and the people who use it."""

    def __init__(self, store: Any, bus: Any, clock: Any, copies: int = 1, **aggregates: Any):
        # Each copy has a store of its own over the same database, as each process has; the one in
        # memory is the database itself and is shared.
        self._store_of = store if callable(store) else lambda: store
        self.store, self.bus, self.clock = store, bus, clock
        self._aggregates = {"rfq": None, "trade": None, **aggregates}
        self.copies = [self._copy(f"copy-{n}") for n in range(copies)]

    def _copy(self, name: str) -> Copy:
        return Copy(self._store_of(), self.bus, self.clock, name, **self._aggregates)

    async def __aenter__(self) -> Street:
        for copy in self.copies:
            await copy.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for copy in self.copies:
            await copy.stop()

    async def restart(self) -> None:
        """All copies die and are started anew, with nothing in memory."""
        for copy in self.copies:
            await copy.stop()
        self.copies = [self._copy(copy.name) for copy in self.copies]
        for copy in self.copies:
            await copy.start()

    # -- asking the owner --------------------------------------------------------------------------

    async def _at_owner(self, ask: Callable[[Copy], Any]) -> Any:
        for _ in range(500):
            for copy in self.copies:
                try:
                    return await ask(copy)
                except NotOwner:
                    continue
            await asyncio.sleep(0.02)
        raise AssertionError("nobody owns it")

    async def state(self, rfq_id: str, tenant: str = TENANT) -> Rfq | None:
        return await self._at_owner(lambda copy: copy.rfq.state(tenant, rfq_id))

    async def trade(self, trade_id: str, tenant: str = TENANT) -> Trade | None:
        return await self._at_owner(lambda copy: copy.trade.state(tenant, trade_id))

    async def submit(
        self, rfq_id: str, command: Any, key: Key | None = None, tenant: str = TENANT
    ) -> Answer:
        order = Order(command, "test", keyed=key is not None)
        return await self._at_owner(lambda copy: copy.rfq.submit(tenant, rfq_id, order, key))

    # -- traders -----------------------------------------------------------------------------------

    async def create(
        self, key: str, *, tenant: str = TENANT, user: str = "trader", **changes: Any
    ) -> tuple[str, Answer]:
        subject, requester = f"u-{user}-{tenant}", f"{user}@{tenant}"
        rfq_id = ids.rfq_id(tenant, requester, subject, key)
        command = create(
            rfq_id=rfq_id, correlation_id=ids.correlation_id(rfq_id), tenant_id=tenant,
            subject=subject, requester=requester, **changes,
        )  # fmt: skip
        asked = Key(subject, "create", key, _hash(command.size, command.side))
        return rfq_id, await self.submit(rfq_id, command, asked, tenant)

    async def accept(
        self, rfq_id: str, quote_id: str, *, version: int | None = None, key: str = "accept-001",
        tenant: str = TENANT, user: str = "trader", reason: str | None = "client's wish",
    ) -> Answer:  # fmt: skip
        if version is None:
            state = await self.state(rfq_id, tenant)
            version = state.version if state else 0
        subject = f"u-{user}-{tenant}"
        command = c.AcceptQuote(
            at=0, command_id=key, subject=subject, quote_id=ids.QuoteId(quote_id),
            version=version, trade_id=ids.trade_id(rfq_id, quote_id), reason=reason, mid=MID,
        )  # fmt: skip
        asked = Key(subject, f"accept {rfq_id}", key, _hash(quote_id, version))
        return await self.submit(rfq_id, command, asked, tenant)

    async def cancel(
        self, rfq_id: str, *, key: str = "cancel-001", tenant: str = TENANT, user: str = "trader"
    ) -> Answer:
        subject = f"u-{user}-{tenant}"
        asked = Key(subject, f"cancel {rfq_id}", key, b"")
        return await self.submit(rfq_id, c.CancelRFQ(at=0, subject=subject), asked, tenant)

    # -- dealers -----------------------------------------------------------------------------------

    async def quote(
        self, rfq_id: str, lp: str, price: str, *, ref: str = "q1", size: str = "5000000",
        life_ms: int = 0, tenant: str = TENANT,
    ) -> tuple[str, Answer]:  # fmt: skip
        quote_id = ids.quote_id(rfq_id, lp, ref)
        command = c.ReceiveQuote(
            at=0, quote_id=quote_id, lp_id=ids.LpId(lp), dealer_quote_ref=ref,
            price=Decimal(price), size=Decimal(size), life_ms=life_ms, mid=MID,
        )  # fmt: skip
        return quote_id, await self.submit(rfq_id, command, None, tenant)

    async def look(self, rfq_id: str, lp: str, quote_id: str, *, passed: bool) -> Answer:
        command = c.AnswerLastLook(
            at=0, quote_id=ids.QuoteId(quote_id), lp_id=ids.LpId(lp), passed=passed
        )
        return await self.submit(rfq_id, command)

    # -- what is written ---------------------------------------------------------------------------

    async def events(self, topic: str, rfq_id: str = "") -> list[Any]:
        """All events of a topic, of one RFQ when named, in log order per partition."""
        found = []
        for part in range(PARTS):
            offset = 0
            while records := await self.bus.read(topic, part, offset):
                offset = records[-1].offset + 1
                found += [decode(r.body)[1] for r in records]
        return [e for e in found if not rfq_id or _rfq_of(e) == rfq_id]

    async def names(self, rfq_id: str) -> list[str]:
        """The lifecycle of an RFQ, as words."""
        return [type(e).__name__ for e in await self.events("rfq.lifecycle", rfq_id)]

    async def trades(self, rfq_id: str = "") -> list[Any]:
        return await self.events("execution.trades", rfq_id)

    async def settled(self, rfq_id: str, *, status: str, tenant: str = TENANT) -> Rfq:
        """The RFQ, once it has this status."""

        async def there() -> Rfq | None:
            state = await self.state(rfq_id, tenant)
            return state if state and state.status.value == status else None

        return await until(there, f"{rfq_id} {status}")

    def best(self, state: Rfq) -> str:
        return live_quotes(state, self.clock.now())[0].quote_id


def code_of(answer: Answer) -> str | None:
    """The code of a refusal."""
    return answer.reject.code if answer.reject else None


async def outcome(call: Any) -> str:
    """How a call ended: "ok", or the code."""
    try:
        answer = await call
    except Coded as refused:
        return refused.code
    return code_of(answer) or "ok"


def _hash(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _rfq_of(event: Any) -> str:
    return event.trade.rfq_id if hasattr(event, "trade") else event.rfq_id


__all__ = ["ASH", "BIRCH", "CEDAR", "GRANTS", "Street", "code_of", "outcome", "until"]
