"""How long from a tick to the pixels, and what does the browser pay?

Starts the whole platform on a free port in a folder of its own and opens the built workstation in
Chromium, as a trader, with a watchlist of every instrument. Latency is the page's own measurement,
as its status bar shows it: from `receivedAt` of a tick to the end of the frame that paints it, on
the server's clock, over the last minute (a run shorter than that has the loading of the page in
it). Cold first price: from the navigation of a signed-in browser with an empty cache to the frame
after the first price in the market watch. JavaScript: bytes over the wire of all scripts that had
come by then. CPU: all processes of the browser together, at `--rate` raw ticks a second.

Chromium draws without a GPU here, on the cores that run the platform too. A run is void when
programs that are not ours used more than 20 % of a core, and failed when nothing was painted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from typing import Any

import httpx
import psutil
import uvloop
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from benchmarks.harness import Benchmark, Option, Outcome, Sheet, main
from benchmarks.own_platform import cpu, machine, orion, others_percent, token
from tests.e2e.screen import CHROMIUM, FLAGS, LARGE
from tests.stack import PASSWORD

MAX_OTHERS = 20.0
USER = "trader@alpha"
PATIENCE_S = 40.0
# The first cell of the market watch that shows digits, looked for in every animation frame.
FIRST_PRICE = """() => new Promise((found) => {
  const look = () => {
    const cell = document.querySelector("[data-testid^='watch-bid:']");
    if (cell && /[0-9]/.test(cell.textContent)) {
      requestAnimationFrame(() => found(performance.now()));
    } else requestAnimationFrame(look);
  };
  look();
})"""


class Scripts:
    """Bytes of JavaScript as they came over the wire, until `is_on` ends."""

    def __init__(self, page: Page):
        self.wire, self.is_on = 0, True
        self._page, self._ids = page, set[str]()

    async def listen(self) -> None:
        """Begins: the network's own count."""
        session = await self._page.context.new_cdp_session(self._page)
        await session.send("Network.enable")
        session.on("Network.responseReceived", self._response)
        session.on("Network.loadingFinished", self._finished)

    def _response(self, event: dict[str, Any]) -> None:
        if event.get("type") == "Script":
            self._ids.add(event["requestId"])

    def _finished(self, event: dict[str, Any]) -> None:
        if self.is_on and event["requestId"] in self._ids:
            self.wire += int(event["encodedDataLength"])


async def signed_in(browser: Browser, url: str) -> BrowserContext:
    """A window whose session is there and whose cache is empty."""
    first = await browser.new_context(viewport=LARGE)
    page = await first.new_page()
    await page.goto(url)
    await page.locator("#user").fill(USER)
    await page.locator("#password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_test_id("connection").wait_for(timeout=PATIENCE_S * 1000)
    kept = await first.storage_state()
    await first.close()
    return await browser.new_context(viewport=LARGE, storage_state=kept)


async def first_price(context: BrowserContext, url: str) -> tuple[Page, float, Scripts]:
    """The desk in an empty browser: (page, ms to the first price, its scripts)."""
    page = await context.new_page()
    scripts = Scripts(page)
    await scripts.listen()
    await page.goto(url, wait_until="commit")
    try:
        async with asyncio.timeout(PATIENCE_S):
            took = float(await page.evaluate(FIRST_PRICE))
    except TimeoutError:
        shown = (await page.locator("body").inner_text(timeout=5_000))[:300]
        raise SystemExit(f"no price within {PATIENCE_S:g} s; the page says: {shown}") from None
    scripts.is_on = False
    return page, took, scripts


async def watch_all(port: int, bearer: str) -> int:
    """Puts every instrument into the user's watchlist; how many there are."""
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/v1", headers={"Authorization": f"Bearer {bearer}"}
    ) as http:
        found = (await http.get("/instruments")).raise_for_status().json()["items"]
        names = [i["instrumentId"] for i in found]
        first = (await http.get("/watchlists")).raise_for_status().json()["items"][0]
        kept = {k: first[k] for k in ("name", "pinned", "position", "version")}
        (
            await http.put(
                f"/watchlists/{first['watchlistId']}",
                json={**kept, "instrumentIds": names},
                headers={"Idempotency-Key": "tick-to-paint-list"},
            )
        ).raise_for_status()
    return len(names)


def browser_cpu() -> dict[str, float]:
    """CPU seconds of our Chromium so far, by kind of process."""
    found: dict[str, float] = {}
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in child.name():
                kinds = (w for w in child.cmdline() if w.startswith("--type="))
                kind = next(kinds, "--type=browser").removeprefix("--type=")
                found[kind] = found.get(kind, 0.0) + sum(child.cpu_times()[:2])
    return found


async def status(page: Page) -> dict[str, float]:
    """What the page's status bar says of itself."""
    latency, rates = page.get_by_test_id("status-latency"), page.get_by_test_id("status-rates")
    told = {
        "tick_to_paint_p50_ms": await latency.get_attribute("data-p50"),
        "tick_to_paint_p99_ms": await latency.get_attribute("data-p99"),
        "ticks_received_per_second": await rates.get_attribute("data-received"),
        "ticks_painted_per_second": await rates.get_attribute("data-painted"),
    }
    return {name: round(float(value or 0), 1) for name, value in told.items()}


async def run(options: argparse.Namespace) -> Outcome:
    """One run on a platform of its own."""
    async with orion(options.rate, {}) as (port, environment, supervisor):
        instruments = await watch_all(port, token(USER, environment))
        url = f"http://localhost:{port}"
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            context = await signed_in(browser, url)
            page, first_ms, scripts = await first_price(context, url)
            await asyncio.sleep(options.warm_up)
            looked, start = machine(), time.monotonic()
            before, painted = cpu(supervisor), browser_cpu()
            await asyncio.sleep(options.seconds)
            took, looked_again = time.monotonic() - start, machine()
            after, painted_after = cpu(supervisor), browser_cpu()
            told, rows = (
                await status(page),
                await page.locator("[data-testid^='watch-row:']").count(),
            )
            await browser.close()
    others = others_percent(looked, looked_again, took)
    spent = _percent(before, after, took)
    browser = _percent(painted, painted_after, took)
    numbers = {
        **told,
        "first_price_ms": round(first_ms, 1),
        "javascript_kb": round(scripts.wire / 1000, 1),
        "browser_cpu_percent": round(sum(browser.values()), 1),
        "platform_cpu_percent": round(sum(spent.values()), 1),
        "instruments": float(instruments),
        "rows_drawn": float(rows),
        "others_cpu_percent": others,
    }
    bill = sorted(
        {**spent, **{f"Chromium {kind}": v for kind, v in browser.items()}}.items(),
        key=lambda item: -item[1],
    )
    return Outcome(
        numbers,
        [
            Sheet("Numbers", ("what", "value"), list(numbers.items())),
            Sheet("CPU", ("process", "% of a core"), bill),
        ],
        [f"others used {others} % of a core, limit {MAX_OTHERS:g}"] if others > MAX_OTHERS else [],
        [] if told["ticks_painted_per_second"] else ["no tick was painted"],
    )


def _percent(before: dict[str, float], after: dict[str, float], took: float) -> dict[str, float]:
    return {k: round((v - before.get(k, 0.0)) / took * 100, 1) for k, v in after.items()}


BENCHMARK = Benchmark(
    "tick_to_paint",
    "a tick's way to the pixels in Chromium, first price, JavaScript, the browser's CPU",
    __doc__ or "",
    (
        Option("rate", 17.0, "raw ticks a second", 1, 5_000),
        Option("seconds", 62.0, "how long is measured; the page looks back a minute", 5, 600),
        Option("warm_up", 5.0, "how long the page runs before", 0, 60),
    ),
    (
        "tick_to_paint_p50_ms",
        "tick_to_paint_p99_ms",
        "first_price_ms",
        "javascript_kb",
        "browser_cpu_percent",
    ),
    lambda options: uvloop.run(run(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
