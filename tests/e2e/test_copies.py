"""Two copies of every process: what one leaves, another goes on with, and clients see nothing of a
restart that was asked for.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from tests.e2e.load import OK, UNKNOWN, Load
from tests.stack import Stack, until
from tests.stack_clients import OPEN, Desk, Feed, desk_of, feed_of

QUICK = {"ORION_LP_BOTS_DELAY_SCALE": "0.3", "ORION_COPIES": "2"}
OWNERS = "select owner, count(*) as parts from bus.head where topic = 'rfq.lifecycle' group by 1"


@pytest.fixture
async def own(calm_dealers: dict[str, str]) -> AsyncIterator[Stack]:
    """A platform whose processes have two copies each."""
    async with Stack("copies", environment={**calm_dealers, **QUICK}) as running:
        await running.allow("trader@alpha", 1_000_000)
        yield running


async def owners(stack: Stack) -> dict[str, int]:
    """How many partitions of the RFQ service each process has."""
    rows = await stack.sql(OWNERS)
    return {row["owner"].rpartition("/")[2].split(".rpc")[0]: row["parts"] for row in rows}


async def shared(stack: Stack) -> None:
    """Waits until both copies have their share."""

    async def look() -> bool:
        return await owners(stack) == {"core.1": 4, "core.2": 4}

    await until(look, 60, "both copies have four partitions", 0.2)


async def sound(stack: Stack, load: Load) -> None:
    """Nothing acknowledged is lost or doubled, by what was told and by what is stored."""
    await load.settle()
    assert await load.violations() == []
    for verb in (("verify",), ("audit", "verify")):
        code, out, err = await stack.orion(*verb)
        assert code == 0, out + err


class Watching:
    """A socket that opens again whenever it is closed, as a browser does; the last it heard of
    each RFQ.
    """

    def __init__(self, stack: Stack):
        self._stack, self.statuses, self.times = stack, dict[str, str](), 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            with suppress(OSError, AssertionError, Exception):
                async with feed_of(self._stack, "trader@alpha") as feed:
                    await feed.subscribe("rfqs")
                    self.times += 1
                    await self._hear(feed)
            await asyncio.sleep(0.1)

    async def _hear(self, feed: Feed) -> None:
        while feed.closed is None:
            self.statuses.update({i: r["status"] for i, r in feed.rfqs.items()})
            assert feed.gaps == []
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        """Looks no more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def told(desk: Desk, watching: Watching, asked: set[str]) -> bool:
    """Every RFQ has ended and the socket heard how; one that nobody took ends with its time."""
    rows = {r["rfqId"]: r["status"] for r in await desk.every("/rfqs") if r["rfqId"] in asked}
    heard = {i: watching.statuses.get(i, "nothing") for i in rows}
    return heard == rows and set(OPEN).isdisjoint(rows.values())


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_restart_copy_by_copy_is_not_noticed(own: Stack) -> None:
    await shared(own)
    watching = Watching(own)
    async with desk_of(own, "trader@alpha") as desk:
        async with Load(desk) as load:
            await load.grows(10)
            before = own.pids()
            code, out, err = await own.orion("restart", within_s=300)
            assert code == 0, out + err
            await load.grows(10)
        after = own.pids()
        assert all(after[name] != pid for name, pid in before.items() if name != "postgres")
        assert after["postgres"] == before["postgres"]
        bad = [(c.path, c.status) for c in load.calls if c.outcome == UNKNOWN or c.status >= 500]
        assert bad == [], "no command ends in an error, nor without an answer"
        await sound(own, load)
        asked = {c.answer["rfqId"] for c in load.calls if c.path == "/rfqs" and c.outcome == OK}
        await until(lambda: told(desk, watching, asked), 90, "the socket says what is so", 1)
    await watching.end()
    assert watching.times > 1, "the edge of this socket was restarted"


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_what_a_dead_or_late_owner_had_is_taken_over(own: Stack) -> None:
    async with desk_of(own, "trader@alpha") as desk:
        async with Load(desk) as load:
            for name, other in (("core.1", "core.2"), ("core.2", "core.1")):
                await shared(own)
                await load.grows(4, 120)
                old = own.pids()[name]
                os.kill(old, signal.SIGSTOP)
                try:

                    async def taken(heir: str = other) -> bool:
                        return await owners(own) == {heir: 8}

                    await until(taken, 30, f"{other} has what {name} had", 0.1)
                    await load.grows(4, 120)
                finally:
                    os.kill(old, signal.SIGCONT)  # it wakes up and is not the owner any more
                await shared(own)
            await load.grows(4, 120)
            with own.without_help():  # nobody brings it back
                old = own.kill9("core.1")

                async def alone() -> bool:
                    return await owners(own) == {"core.2": 8}

                await until(alone, 30, "core.2 has what core.1 had", 0.1)
            await own.is_back("core.1", old)
            await shared(own)
            await load.grows(4, 120)
        await sound(own, load)


async def test_with_one_copy_a_restart_says_that_there_is_a_gap(stack: Stack) -> None:
    before = stack.pids()
    code, _, err = await stack.orion("restart", "push_edge")
    assert code == 2
    assert "--yes" in err
    code, _, err = await stack.orion("restart", "no_such_thing")
    assert code == 1
    assert "no_such_thing" in err
    assert stack.pids() == before
    code, out, err = await stack.orion("restart", "push_edge", "--yes")
    assert code == 0, err
    assert "edge is back" in out
    after = stack.pids()
    assert {n for n in before if after[n] != before[n]} == {"edge"}
    async with desk_of(stack, "trader@alpha") as desk:
        await one_answers(desk)


async def one_answers(desk: Desk) -> None:
    """The platform is there."""

    async def look() -> bool:
        with suppress(httpx.HTTPError):
            return (await desk.get("/me")).status_code == 200
        return False

    await until(look, 20, "/me answers")
