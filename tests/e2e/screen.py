"""The workstation in Chromium, in a trader's words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Locator, Page, ViewportSize, async_playwright, expect

from tests.stack import PASSWORD, RESULTS, Stack, until

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
USER_FIELD = "#user, #username"  # of our own sign-in page, of Keycloak's
SMALL = ViewportSize(width=1440, height=900)
LARGE = ViewportSize(width=1920, height=1080)
PATIENCE_MS = 20_000
RESTART_MS = 60_000
CLOSE_S = 15


class Screen:
    """One window of one user. `errors` are what the console and the page complained about."""

    def __init__(self, page: Page, stack: Stack):
        self.page, self.stack = page, stack
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(f"page error: {error}"))

    def _heard(self, message: Any) -> None:
        url = message.location.get("url", "")
        # Before sign-in the page asks who it is and is told 401: the browser logs that.
        is_asking = "401" in message.text and url.endswith(("/api/v1/me", "/api/v1/instruments"))
        # A refused accept is business: the browser logs the 409, the screen says it in words.
        is_refusal = "409" in message.text and url.endswith("/accept")
        if message.type == "error" and not is_asking and not is_refusal:
            self.errors.append(f"{message.text} ({url})")

    def at(self, test_id: str) -> Locator:
        """What carries this data-testid."""
        return self.page.get_by_test_id(test_id)

    async def value(self, test_id: str, attribute: str) -> str:
        """A data attribute, or an empty text while it is not there."""
        found = self.at(test_id)
        if await found.count() == 0:
            return ""
        return await found.first.get_attribute(attribute, timeout=1_000) or ""

    # --- signing in

    async def sign_in(self, user: str, password: str = PASSWORD) -> Screen:
        """From the bare address to the desk, through the real sign-in page."""
        await self.page.goto(self.stack.url)
        await self.page.locator(USER_FIELD).fill(user)
        await self.page.locator("#password").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()
        return self

    async def is_live(self) -> Screen:
        """Connected, with what the stream holds on screen."""
        await expect(self.at("connection")).to_have_attribute(
            "data-state", "live", timeout=RESTART_MS
        )
        return self

    # --- dealing

    async def send_rfq(
        self, instrument: str = "EURUSD", side: str = "BUY", size: str = "1m",
        seconds: int = 30, only: tuple[str, ...] = (),
    ) -> str:  # fmt: skip
        """Fills the ticket from the market watch, sends, and tells the RFQ's display id."""
        price = "watch-ask" if side == "BUY" else "watch-bid"
        await self.at(f"{price}:{instrument}").click()
        await self.at("ticket-size").fill(size)
        await self.at("ticket-expiry").select_option(str(seconds))
        if only:
            await self._ask_only(only)
        await expect(self.at("ticket-send")).to_be_enabled()
        await self.at("ticket-send").click()
        await expect(self.at("rfq-display-id")).to_be_visible()
        return await self.at("rfq-display-id").inner_text()

    async def _ask_only(self, wanted: tuple[str, ...]) -> None:
        boxes = self.page.locator("[data-testid^='ticket-dealer:']")
        await expect(boxes.first).to_be_visible()
        for box in await boxes.all():
            lp_id = (await box.get_attribute("data-testid") or "").partition(":")[2]
            tick = box if await box.get_attribute("type") == "checkbox" else box.locator("input")
            if await tick.is_enabled() and await tick.is_checked() != (lp_id in wanted):
                await tick.click()

    async def quotes(self, at_least: int) -> list[dict[str, str]]:
        """The cards that can be dealt on, once there are so many."""

        async def look() -> list[dict[str, str]] | None:
            cards = await self.cards()
            live = [c for c in cards if c["status"] == "quoted"]
            return live if len(live) >= at_least else None

        return await until(look, 15, f"{at_least} quotes on screen")

    async def cards(self) -> list[dict[str, str]]:
        """All quote cards as they stand."""
        return await self.page.locator("[data-testid^='quote-card:']").evaluate_all(
            "cards => cards.map(c => ({lp: c.dataset.testid.split(':')[1], ...c.dataset}))"
        )

    async def accept_from(self, lp_id: str) -> None:
        """Accepts this dealer's quote, with a reason where it is not the best; again where the
        dealer replaced it just then.
        """
        for _ in range(4):
            await self._accept_once(lp_id)
            said = self.at("outcome")
            await expect(said).not_to_have_attribute("data-outcome", "sending")
            if not await said.filter(has_text=re.compile("RFQ-20[348]")).count():
                return

    async def _accept_once(self, lp_id: str) -> None:
        card, dialog = self.at(f"quote-card:{lp_id}"), self.at("reason-dialog")
        await expect(card).to_have_attribute("data-status", "quoted", timeout=PATIENCE_MS)
        await card.click()
        await expect(card).to_have_attribute("aria-pressed", "true")
        await self.at("accept").click()

        async def is_taken() -> bool:
            said = await self.value("outcome", "data-outcome")
            return await dialog.count() > 0 or said in ("sending", "working", "done", "rejected")

        await until(is_taken, 5, "the accept is sent, or a reason is asked for")
        if await dialog.count():
            await self.at("reason-select").select_option("Relationship")
            await self.at("reason-accept").click()

    async def status(self) -> str:
        """The status of the RFQ in the ticket."""
        return await self.value("rfq-status", "data-status")

    async def becomes(self, status: str, within_ms: int = PATIENCE_MS) -> None:
        """Waits for a status of the RFQ in the ticket."""
        await expect(self.at("rfq-status")).to_have_attribute(
            "data-status", status, timeout=within_ms
        )

    def rows(self, blotter: str, text: str = "") -> Locator:
        """Rows of a blotter, of those that contain a text."""
        rows = self.at(f"grid:{blotter}").locator("[row-id]")
        return rows.filter(has_text=text) if text else rows

    # --- looking

    async def picture(self, name: str) -> Path:
        """A screenshot in test-results."""
        RESULTS.mkdir(exist_ok=True)
        place = RESULTS / f"{name}.png"
        await self.page.screenshot(path=place)
        return place

    async def axe(self) -> list[str]:
        """What the accessibility engine finds on this page."""
        engine = resources.files("axe_playwright_python") / "axe.min.js"
        await self.page.evaluate(engine.read_text())
        found = await self.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{v['id']} ({v['impact']}): {node['target']} {node.get('failureSummary', '')}"
            for v in found
            for node in v["nodes"]
        ]

    async def moves(self, read: Callable[[], Any], within_s: float = 20.0) -> None:
        """Waits until what `read` gives has changed."""
        before = await read()

        async def changed() -> bool:
            return await read() != before

        await until(changed, within_s, f"a change of {before!r:.80}")


def ranked(cards: list[dict[str, str]], side: str) -> list[dict[str, str]]:
    """Cards in the order a trader of this side wants them."""
    return sorted(cards, key=lambda c: Decimal(c["price"]) * (1 if side == "BUY" else -1))


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The machine's Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser, stack: Stack, viewport: ViewportSize = SMALL
) -> AsyncIterator[Screen]:
    """A window with a cookie jar of its own. Chromium does not always end a page that is just about
    to leave for another one: it is then left to the end of the browser.
    """
    context = await browser.new_context(viewport=viewport, accept_downloads=True)
    try:
        yield Screen(await context.new_page(), stack)
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(context.close(), CLOSE_S)
