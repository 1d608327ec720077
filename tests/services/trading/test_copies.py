"""Two copies of the RFQ service as two processes: whichever is asked, the owner answers; when one
dies the other takes over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from orion.platform.errors import Coded
from orion.wire.stubs import rfq_pb2
from tests.postgres import Server
from tests.services.trading.exchange import Exchange, Person, read_stream, running
from tests.services.trading.street import until

pytestmark = pytest.mark.timeout(240)

LAYOUT = {
    "prices": ("reference", "marketdata_ingest", "marketdata_projection"),
    "rfq": ("rfq",),
    "twin": ("rfq",),
    "gate": ("lp_gateway",),
    "trades": ("execution",),
    "bots": ("lp_bots",),
}


@pytest.fixture
async def exchange(postgres: Server) -> AsyncIterator[Exchange]:
    async with postgres.database() as db, running(db, LAYOUT) as made:

        async def dealt() -> bool:
            with suppress(Coded):
                return bool((await made.person().create()).rfq_id)
            return False

        await until(dealt, "prices")
        yield made


def _at(exchange: Exchange, name: str, user: str) -> Person:
    return Person(exchange, exchange.token(user), exchange.processes[name].address)


async def test_any_copy_answers_and_watchers_hear_both(exchange: Exchange) -> None:
    owners = [exchange.processes[n].modules["rfq"] for n in ("rfq", "twin")]
    assert all(module.ready() is None for module in owners)
    edge = exchange.service("push_edge")
    wanted: set[str] = set()
    watcher = _at(exchange, "twin", "trader")
    call = watcher.rfq.WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=edge)
    await read_stream(call, lambda update: update.snapshot)
    for n in range(10):
        here, there = _at(exchange, "rfq", f"user{n}"), _at(exchange, "twin", f"user{n}")
        made = await here.create()
        wanted.add(made.rfq_id)
        assert (await there.get(made.rfq_id)).rfq_id == made.rfq_id
        seen = await there.quoted(made.rfq_id, 5)
        firm = [q for q in seen.quotes if q.lp_id in ("NORTHGATE", "MERIDIANX", "BRACKWATER")]
        accepted = await there.accept(seen, firm[0].quote_id, key=f"accept-{n:06}")
        again = await here.accept(seen, firm[0].quote_id, key=f"accept-{n:06}")
        assert again == accepted, "the same key at the other copy, the same answer"
    traded: set[str] = set()

    def all_traded(update: rfq_pb2.RFQUpdate) -> bool:
        traded.update(r.rfq_id for r in update.items if r.status == "TRADED")
        return wanted <= traded

    await read_stream(call, all_traded)
    call.cancel()
    slots = {int(rfq_id[:4], 16) % 8 for rfq_id in wanted}
    assert len(slots) > 2, "several partitions took part"


async def test_when_a_copy_dies_the_other_goes_on(exchange: Exchange) -> None:
    made = [
        (f"user{n}", await _at(exchange, "rfq", f"user{n}").create(expiry_seconds=60))
        for n in range(6)
    ]
    await exchange.processes["twin"].stop()

    async def found(user: str, rfq_id: str) -> bool:
        with suppress(Coded):
            return bool((await _at(exchange, "rfq", user).get(rfq_id)).rfq_id)
        return False

    for user, rfq in made:
        await until(lambda u=user, r=rfq: found(u, r.rfq_id), "taken over")
    fresh = exchange.processes["twin"]
    await fresh.start()
    await fresh.ready()
