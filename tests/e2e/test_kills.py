"""kill -9 of every process while RFQs are dealt: nothing acknowledged is lost or doubled, and the
screen comes back by itself. Many kills, and what is worse than kills: test_chaos.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.load import FAILED, OK, Load
from tests.e2e.screen import Screen, window
from tests.stack import Stack, until
from tests.stack_clients import PROMPT, desk_of, feed_of

VICTIMS = ("bff", "edge", "core", "bots", "postgres")
QUICK = {"ORION_LP_BOTS_DELAY_SCALE": "0.3"}


@pytest.fixture
async def own(calm_dealers: dict[str, str]) -> AsyncIterator[Stack]:
    """A platform to be hurt."""
    async with Stack("kills", environment={**calm_dealers, **QUICK}) as running:
        await running.allow("trader@alpha", 1_000_000)
        yield running


async def survive(stack: Stack, kills: int) -> Load:
    """So many kills, one after the other, under load; then what must hold."""
    async with desk_of(stack, "trader@alpha") as desk:
        async with Load(desk) as load:
            await load.grows(6)
            for number in range(kills):
                victim = VICTIMS[number % len(VICTIMS)]
                old = stack.kill9(victim)
                await stack.is_back(victim, old)
                await load.grows(4)
        await load.settle()
        assert await load.violations() == []
    code, out, err = await stack.orion("verify")
    assert code == 0, out + err
    code, out, err = await stack.orion("audit", "verify")
    assert code == 0, out + err
    print(f"{kills} kills, {load.count(OK)} acknowledged, {load.count(FAILED)} refused, 0 lost")
    return load


@pytest.mark.timeout(900)
async def test_each_process_is_killed_once(own: Stack) -> None:
    load = await survive(own, len(VICTIMS))
    assert load.count(OK) > 20
    said = own.screen()
    for name in ("bff", "edge", "core", "bots"):
        assert f"{name} ended (killed by SIGKILL)" in said
        assert f"{name} is back" in said


async def test_the_comparison_finds_what_is_planted(stack: Stack) -> None:
    """What was told is falsified in each way that the comparison must find."""
    async with desk_of(stack, "trader2@alpha") as desk:
        async with Load(desk, only="trader2@alpha") as load:
            await load.grows(8)
        await load.settle()
        assert await load.violations() == []
        done = [c for c in load.calls if c.outcome == OK]
        asked = next(c for c in done if c.path == "/rfqs")
        accepted = next(c for c in done if c.path != "/rfqs")
        for call, field, said in (
            (asked, "rfqId", "acknowledged and lost"),
            (accepted, "rfqId", "accept acknowledged, no trade"),
            (accepted, "tradeId", "another trade than was told"),
        ):
            true = call.answer
            call.answer = {**true, field: "planted"}
            assert said in " ".join(await load.violations(patience_s=0.2))
            call.answer = true
        accepted.outcome = FAILED
        assert "traded without an accept" in " ".join(await load.violations(patience_s=0.2))


@pytest.mark.browser
@pytest.mark.timeout(400)
async def test_the_screen_comes_back_by_itself(own: Stack, browser: Browser) -> None:
    async with window(browser, own) as screen:
        await (await screen.sign_in("trader@alpha")).is_live()
        loads: list[str] = []
        screen.page.on("framenavigated", lambda frame: loads.append(frame.url))
        rfq = await _deal(screen)
        await screen.at("ticket-new").click()
        await screen.at("ticket-size").fill("1m")
        await expect(screen.at("ticket-send")).to_be_enabled()
        with own.without_help():
            old = own.kill9("edge")
            await expect(screen.at("connection-banner")).to_be_visible()
            await expect(screen.at("ticket-send")).to_be_disabled()
            await screen.picture("journey-connection-lost")
        await screen.is_live()
        await expect(screen.at("connection-banner")).to_have_count(0)
        await own.is_back("edge", old)
        second = await _deal(screen)
        old = own.kill9("bff")
        await own.is_back("bff", old)
        third = await _deal(screen)
        old = own.kill9("core")
        await own.is_back("core", old)
        await screen.is_live()
        fourth = await _deal(screen)
        for one in (rfq, second, third, fourth):
            await expect(screen.rows("rfq-blotter", one)).to_have_count(1)
            await expect(screen.rows("trade-blotter", one.replace("R-", "T-"))).to_have_count(1)
        await expect(screen.rows("trade-blotter")).to_have_count(4)
        assert loads == [], "without a reload"


async def _deal(screen: Screen) -> str:
    before = await screen.at("rfq-display-id").all_inner_texts()
    if await screen.at("ticket-new").count():
        await screen.at("ticket-new").click()
    rfq = await screen.send_rfq(only=tuple(PROMPT))
    assert [rfq] != before
    await screen.quotes(1)
    await screen.at("accept").click()
    await screen.becomes("TRADED")
    return rfq


async def test_prices_return_after_the_market_was_away(own: Stack) -> None:
    """The stream tells what went stale and what recovered, and prices move again."""
    async with feed_of(own, "trader@alpha") as feed:
        await feed.subscribe("ticks", "EURUSD")
        old = own.kill9("core")
        await own.is_back("core", old)
        last = feed.ticks["EURUSD"]["timestamp"]
        await until(lambda: feed.ticks["EURUSD"]["timestamp"] > last, 30, "prices move again")
        assert feed.closed is None
