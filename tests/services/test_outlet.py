"""What ingest has handed to its publishers, when their ownership has a pause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

import asyncpg

from orion.core.ticks import Tick
from orion.platform.clock import SystemClock
from orion.platform.publish import Publisher, PublisherLimits
from orion.services.marketdata_ingest.outlet import STATUS, TICKS, BusOutlet
from tests.platform.conftest import running
from tests.services.edge_world import until
from tests.services.machine import Machine

SLOW = PublisherLimits(pace_ms=400.0, lease_ms=60_000, renew_ms=20)


@asynccontextmanager
async def outlet(machine: Machine) -> AsyncIterator[tuple[BusOutlet, Publisher]]:
    """Tells a real log, slowly enough for something to happen before it is written."""
    ticks, status = (
        Publisher(
            machine.store, SystemClock(), topic, log=machine.bus, address="feeds", limits=SLOW
        )
        for topic in (TICKS, STATUS)
    )
    async with AsyncExitStack() as stack:
        for publisher in (ticks, status):
            await stack.enter_async_context(running(publisher))
        yield BusOutlet(ticks, status), ticks


def tick(number: int) -> Tick:
    price = Decimal(100 + number)
    at = SystemClock().now()
    return Tick("EURUSD", price, price, price, at, at, "SIM")


async def test_feeds_go_on_when_the_topic_was_away_for_a_moment(machine: Machine) -> None:
    """Given up and taken again before anybody looked: what was lost with it does not come, and is
    not waited for.
    """
    async with outlet(machine) as (out, ticks):
        await out.tell([tick(1)], [])
        telling = asyncio.create_task(out.tell([tick(2)], []))
        await asyncio.sleep(0.02)  # accepted, and not yet written
        assert not ticks.is_idle
        for number in list(ticks.tenure.parts):
            ticks.tenure.depose(number)
        await _expire(machine)
        await until(lambda: out.ready() is None)
        async with asyncio.timeout(10):
            await telling
            await out.tell([tick(3)], [])
    assert sum((await machine.bus.ends(TICKS)).values()) == 2


async def test_feeds_go_on_when_this_copy_feeds_a_second_time(machine: Machine) -> None:
    """Deposed with ticks under way: who waited for them was cancelled, and the next one does not
    wait for them.
    """
    async with outlet(machine) as (out, ticks):
        await out.tell([tick(1)], [])
        telling = asyncio.create_task(out.tell([tick(2)], []))
        await asyncio.sleep(0.02)
        assert not ticks.is_idle
        for number in list(ticks.tenure.parts):
            ticks.tenure.depose(number)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await _expire(machine)
        await until(lambda: out.ready() is None)
        async with asyncio.timeout(10):
            await out.tell([tick(3)], [])


async def _expire(machine: Machine) -> None:
    sql = await asyncpg.connect(machine.db.owner)
    await sql.execute("update bus.head set lease_until = now() where topic = $1", TICKS)
    await sql.close()
