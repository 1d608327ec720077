"""Journeys of a person in Chromium on the real platform."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, WebSocket, expect

from tests.e2e.conftest import Desks
from tests.e2e.screen import LARGE, SMALL, USER_FIELD, Screen, ranked, window
from tests.stack import Stack, until
from tests.stack_clients import PROMPT

pytestmark = pytest.mark.browser
TRIO = tuple(PROMPT)


@pytest.fixture
async def screen(browser: Browser, stack: Stack) -> AsyncIterator[Screen]:
    """trader@alpha at the desk; the console must have stayed silent at the end."""
    async with window(browser, stack) as made:
        await (await made.sign_in("trader@alpha")).is_live()
        yield made
        assert made.errors == []


async def test_from_sign_in_to_the_time_line(screen: Screen) -> None:
    assert await screen.value("tenant", "data-tenant") == "alpha"
    assert screen.page.url.rstrip("/") == screen.stack.url
    bid = screen.at("watch-bid:EURUSD")
    await screen.moves(bid.inner_text)
    rfq = await screen.send_rfq(only=TRIO)
    cards = await screen.quotes(3)
    order = ranked(cards, "BUY")
    assert [c["rank"] for c in order] == ["1", "2", "3"]
    assert [c["best"] for c in order] == ["true", "false", "false"]
    await expect(screen.at("accept")).to_be_enabled()
    assert await screen.value("accept", "data-quote-id") == order[0]["quoteId"]
    await screen.picture("journey-quotes")
    await screen.at("accept").click()
    await screen.becomes("TRADED")
    trade = rfq.replace("R-", "T-")
    await expect(screen.at("outcome")).to_contain_text(trade)
    row = screen.rows("trade-blotter", trade)
    await expect(row).to_have_count(1)
    await row.click()
    events = screen.at("timeline-event")
    await expect(screen.page.locator("[data-event-type=RFQTraded]")).to_be_visible()
    told = await events.evaluate_all("rows => rows.map(r => r.dataset.eventType)")
    for event in ("RFQCreated", "RFQSent", "QuoteReceived", "QuoteAccepted", "TradeExecuted"):
        assert event in told
    await expect(screen.rows("rfq-blotter", rfq)).to_have_count(1)
    await screen.picture("journey-time-line")


async def test_an_rfq_left_alone_expires_on_screen(screen: Screen) -> None:
    rfq = await screen.send_rfq(seconds=10)
    await screen.quotes(1)
    await screen.becomes("EXPIRED", 25_000)
    await expect(screen.at("outcome")).to_contain_text("Expired")
    await expect(screen.at("accept")).to_be_disabled()
    await expect(screen.at("requote")).to_be_enabled()
    await expect(screen.rows("rfq-blotter", rfq)).to_contain_text("Expired")


async def test_last_look_reject_then_another_quote(screen: Screen) -> None:
    rfq = await screen.send_rfq(only=("HALDEN", "NORTHGATE"), seconds=60)
    await screen.quotes(2)
    await screen.accept_from("HALDEN")
    await expect(screen.at("quote-card:HALDEN")).to_have_attribute("data-status", "rejected")
    await expect(screen.at("outcome")).to_contain_text("RFQ-207")
    await screen.picture("journey-last-look")
    await screen.becomes("QUOTING")
    await screen.accept_from("NORTHGATE")
    await screen.becomes("TRADED")
    await expect(screen.rows("trade-blotter", rfq.replace("R-", "T-"))).to_have_count(1)


async def test_last_look_reject_then_requote(screen: Screen) -> None:
    await screen.send_rfq(only=("HALDEN",), seconds=10)
    await screen.quotes(1)
    await screen.at("accept").click()
    await expect(screen.at("quote-card:HALDEN")).to_have_attribute("data-status", "rejected")
    await screen.becomes("EXPIRED", 25_000)
    first = await screen.at("rfq-display-id").inner_text()
    await screen.at("requote").click()
    await expect(screen.at("rfq-display-id")).not_to_have_text(first)
    await screen.quotes(1)


async def test_reload_keeps_countdown_and_quotes(screen: Screen) -> None:
    rfq = await screen.send_rfq(seconds=60, only=TRIO)
    await screen.quotes(3)

    async def ends_at() -> float:
        """Where the countdown says it ends, on the page's clock."""
        return await screen.page.evaluate(
            "() => Date.now() + Number(document.querySelector("
            "'[data-testid=rfq-countdown]').dataset.leftMs)"
        )

    before, cards = await ends_at(), await screen.cards()
    await screen.page.reload()
    await screen.is_live()
    await expect(screen.at("rfq-display-id")).to_have_text(rfq)

    # The clock's offset is measured anew after a reload; a second look waits until it has settled.
    async def agrees() -> bool:
        return abs(await ends_at() - before) <= 500

    await until(agrees, 10, "the countdown ends when it did before")
    again = {c["lp"] for c in await screen.cards() if c["quoteId"]}
    assert again == {c["lp"] for c in cards}
    await screen.quotes(1)
    await screen.at("accept").click()
    await screen.becomes("TRADED")


async def test_double_click_on_accept_is_one_trade(screen: Screen, desks: Desks) -> None:
    rfq = await screen.send_rfq(only=TRIO)
    await screen.quotes(3)
    sent: list[str] = []
    screen.page.on("request", lambda r: sent.append(r.url) if "/accept" in r.url else None)
    await screen.at("accept").dblclick()
    await screen.becomes("TRADED")
    assert len(sent) == 1
    desk = await desks("trader@alpha")
    mine = [t for t in await desk.every("/trades") if t["displayId"] == rfq.replace("R-", "T-")]
    assert len(mine) == 1
    await expect(screen.rows("trade-blotter", mine[0]["displayId"])).to_have_count(1)


async def test_accepting_a_worse_quote_asks_why(screen: Screen) -> None:
    await screen.send_rfq(side="SELL", only=TRIO)
    worst = ranked(await screen.quotes(3), "SELL")[-1]
    await screen.at(f"quote-card:{worst['lp']}").click()
    await screen.at("accept").click()
    await expect(screen.at("reason-accept")).to_be_disabled()
    await screen.at("reason-select").select_option("Relationship")
    await screen.at("reason-accept").click()
    await screen.becomes("TRADED")
    rows = screen.page.locator("[data-testid=timeline-event][data-event-type=QuoteAccepted]")
    await screen.at("outcome-timeline").click()
    await rows.locator("button").first.click()
    await expect(screen.at("timeline-payload")).to_contain_text("Relationship")


async def test_two_tenants_side_by_side(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as alpha, window(browser, stack) as beta:
        await (await alpha.sign_in("trader@alpha")).is_live()
        await (await beta.sign_in("trader@beta")).is_live()
        assert await beta.value("tenant", "data-tenant") == "beta"
        for blotter in ("rfq-blotter", "trade-blotter"):
            await beta.at(f"mine:{blotter}").click()
        ours = await alpha.send_rfq(size="7,321,000", only=TRIO)
        theirs = await beta.send_rfq(instrument="GBPUSD", size="2m", only=TRIO)
        for screen in (alpha, beta):
            await screen.quotes(1)
            await screen.at("accept").click()
            await screen.becomes("TRADED")
        await expect(alpha.rows("rfq-blotter", ours)).to_have_count(1)
        await expect(beta.rows("rfq-blotter", theirs)).to_have_count(1)
        seen = await beta.page.content()
        assert "trader@alpha" not in seen
        assert "Alpha Asset Management" not in seen
        await expect(alpha.rows("trade-blotter", "7,321,000")).to_have_count(1)
        assert await beta.rows("rfq-blotter", "7,321,000").count() == 0
        assert await beta.rows("trade-blotter", "7,321,000").count() == 0
        assert (alpha.errors, beta.errors) == ([], [])


async def test_colleague_of_the_desk_sees_but_cannot_accept(
    browser: Browser, stack: Stack, screen: Screen
) -> None:
    async with window(browser, stack) as other:
        await (await other.sign_in("trader2@alpha")).is_live()
        await other.at("mine:rfq-blotter").click()
        rfq = await screen.send_rfq(seconds=60)
        row = other.rows("rfq-blotter", rfq)
        await expect(row).to_have_count(1)
        await expect(other.at("accept")).to_have_count(0)


@pytest.mark.embedded
async def test_wrong_password_is_refused_in_words(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await screen.sign_in("sales@beta", "not-the-password")
        await expect(screen.page.get_by_role("alert")).to_contain_text("not right")
        await expect(screen.page.locator(USER_FIELD)).to_have_value("sales@beta")
        await screen.picture("sign-in-refused")
        await screen.page.locator("#password").fill("orion-demo")
        await screen.page.get_by_role("button", name="Sign in").click()
        await screen.is_live()


@pytest.mark.embedded
async def test_sign_out_ends_in_a_page_that_leads_back(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("analyst@beta")).is_live()
        await screen.at("user-menu").click()
        await screen.at("sign-out").click()
        await expect(screen.page.locator(USER_FIELD)).to_be_visible()
        await expect(screen.page.get_by_text("You are signed out.")).to_be_visible()
        assert (await screen.axe()) == []
        await screen.picture("signed-out")
        answer = await screen.page.request.get(f"{stack.url}/api/v1/me")
        assert answer.status == 401
        await screen.page.goto(stack.url)
        await expect(screen.page.locator(USER_FIELD)).to_be_visible()


async def test_sign_out_reaches_the_other_window(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("admin@beta")).is_live()
        other = Screen(await screen.page.context.new_page(), stack)
        await other.page.goto(stack.url)
        await other.is_live()
        await screen.at("user-menu").click()
        await screen.at("sign-out").click()
        await expect(other.at("connection")).to_have_attribute("data-state", "signed-out")
        await expect(other.at("connection-banner")).to_contain_text("session has ended")
        await expect(screen.page.get_by_text("You are signed out").first).to_be_visible()


@pytest.mark.parametrize("theme", ["dark", "light"])
async def test_nothing_on_screen_shuts_anyone_out(screen: Screen, theme: str) -> None:
    page = screen.page
    if await page.locator("html").get_attribute("data-theme") != theme:
        await screen.at("theme-toggle").click()
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
    await screen.send_rfq(seconds=60, only=TRIO)
    await screen.quotes(3)
    await screen.at("outcome").wait_for()
    await screen.rows("rfq-blotter").first.click()
    await expect(screen.at("timeline-event").first).to_be_visible()
    assert await screen.axe() == []
    for name, size in (("1440x900", SMALL), ("1920x1080", LARGE)):
        await page.set_viewport_size(size)
        await screen.picture(f"desk-{name}-{theme}")
        over = await page.evaluate(
            "() => [document.documentElement.scrollHeight - innerHeight,"
            " document.documentElement.scrollWidth - innerWidth]"
        )
        assert over == [0, 0], "one screen, without scrolling the page"


async def test_theme_is_kept_for_the_next_sign_in(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("risk@beta")).is_live()
        before = await screen.page.locator("html").get_attribute("data-theme")
        async with screen.page.expect_response(
            lambda r: r.url.endswith("/preferences") and r.request.method == "PUT" and r.ok
        ):
            await screen.at("theme-toggle").click()
        chosen = await screen.page.locator("html").get_attribute("data-theme")
        assert chosen != before
    async with window(browser, stack) as screen:
        await (await screen.sign_in("risk@beta")).is_live()
        await expect(screen.page.locator("html")).to_have_attribute("data-theme", str(chosen))


@pytest.mark.embedded
async def test_sign_in_page_is_open_to_all(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await screen.page.goto(stack.url)
        await screen.page.locator(USER_FIELD).wait_for()
        assert await screen.axe() == []
        await screen.picture("sign-in")


async def test_csv_holds_what_the_blotter_shows(screen: Screen, tmp_path: Path) -> None:
    rfq = await screen.send_rfq(side="SELL", size="1,234k", only=TRIO)
    await screen.quotes(3)
    await screen.at("accept").click()
    await screen.becomes("TRADED")
    trade = rfq.replace("R-", "T-")
    await screen.at("quick-filter:trade-blotter").fill(trade)
    await expect(screen.rows("trade-blotter")).to_have_count(1)
    async with screen.page.expect_download() as waiting:
        await screen.at("csv:trade-blotter").click()
    file = tmp_path / "trades.csv"
    await (await waiting.value).save_as(file)
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
    assert len(rows) == 1
    assert trade in rows[0].values()
    sizes = [v for v in rows[0].values() if v.replace(".", "").isdigit()]
    assert Decimal("1234000") in {Decimal(v) for v in sizes}


async def test_what_a_role_may_not_is_not_there(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("analyst@alpha")).is_live()
        await screen.at("watch-row:EURUSD").wait_for()
        for panel in ("rfq-blotter", "ticket", "timeline"):
            await expect(screen.at(f"panel:{panel}")).to_have_count(0)
        assert await screen.at("ticket-send").count() == 0
        assert await screen.at("grid:rfq-blotter").count() == 0
        await expect(screen.at("grid:trade-blotter")).to_be_visible()
        assert screen.errors == []


async def test_operations_see_no_trading_data_and_are_told_where_to_go(
    browser: Browser, stack: Stack
) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("platform@alpha")).is_live()
        await expect(screen.page.get_by_role("link", name="Metrics")).to_be_visible()
        assert await screen.page.locator("[data-panel]").count() == 0
        assert screen.errors == []


async def test_what_was_read_stays_read_on_every_screen(browser: Browser, stack: Stack) -> None:
    async with window(browser, stack) as screen, window(browser, stack) as second:
        await (await screen.sign_in("trader2@alpha")).is_live()
        await (await second.sign_in("trader2@alpha")).is_live()
        await screen.send_rfq(only=TRIO)
        await screen.quotes(1)
        await screen.at("accept").click()
        await screen.becomes("TRADED")
        bell, other = screen.at("notifications-button"), second.at("notifications-button")
        for one in (bell, other):
            await expect(one).not_to_have_attribute("aria-label", "Notifications, 0 not seen")
        await bell.click()
        await expect(screen.at("notifications-list")).to_contain_text("traded")
        for one in (bell, other):
            await expect(one).to_have_attribute("aria-label", "Notifications, 0 not seen")
        await second.page.reload()
        await second.is_live()
        await expect(other).to_have_attribute("aria-label", "Notifications, 0 not seen")


async def test_a_healthy_platform_does_not_call_itself_busy(screen: Screen) -> None:
    """What the edge says is shown, and nothing is shown when it says nothing."""
    heard: list[dict[str, Any]] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda frame: hear(frame))

    def hear(frame: str | bytes) -> None:
        told = json.loads(frame)
        heard.extend(told["items"] if told["type"] == "heartbeat" else ())

    screen.page.on("websocket", listen)
    await screen.page.reload()
    await screen.is_live()

    async def agrees() -> bool:
        shown = await screen.at("status-degraded").count() > 0
        return bool(heard) and shown == bool(heard[-1]["degraded"])

    await until(agrees, 20, "the status bar says what the heartbeat says")


async def test_who_only_reads_gets_no_form_and_colours_are_kept(
    browser: Browser, stack: Stack
) -> None:
    async with window(browser, stack) as screen:
        await (await screen.sign_in("sales@alpha")).is_live()
        await expect(screen.at("panel:ticket")).to_contain_text("The Sales role does not deal")
        assert await screen.at("ticket-size").count() == 0
        await screen.at("watch-ask:EURUSD").click()
        assert await screen.at("ticket-size").count() == 0
        async with screen.page.expect_response(
            lambda r: "highContrast" in (r.request.post_data or "") and r.ok
        ):
            for choice in ("colour-blind", "high-contrast"):
                await screen.at("user-menu").click()
                await screen.at(choice).click()
        page = screen.page.locator("html")
        await expect(page).to_have_attribute("data-price", "cvd")
        await screen.page.evaluate("() => localStorage.clear()")
        await screen.page.reload()
        await screen.is_live()
        await expect(page).to_have_attribute("data-price", "cvd")
        await expect(page).to_have_attribute("data-contrast", "high")
        assert await screen.axe() == []
