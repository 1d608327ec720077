"""Two tenants on one platform: whatever beta asks, no byte of alpha's comes back.

Alpha's things carry words that stand nowhere else. ORION_PROBES says how many random probes follow
the full table of users × routes (1,500 by default).
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.stack import Stack
from tests.stack_clients import Desk, desk_of, new_key

PROBES = int(os.environ.get("ORION_PROBES", "1500"))
CANARY = "CANARYof4lpha"
BETA = ("trader", "trader2", "sales", "risk", "analyst", "admin", "platform")
MISSING = "0000" + "a" * 26
AT_ONCE = 8
pytestmark = pytest.mark.timeout(300 + PROBES // 5)


@dataclass
class Secrets:
    """What is alpha's: ids by their kind, and words that must never come out."""

    ids: dict[str, str]
    words: list[str]


@pytest.fixture(scope="module")
async def secrets(stack: Stack) -> Secrets:
    async with desk_of(stack, "trader@alpha") as desk:
        trade = await desk.trade()
        open_rfq = await desk.ask(expirySeconds=300)
        made = await desk.command("POST", "/watchlists", {"name": CANARY})
        version = (await desk.get("/preferences")).json()["version"]
        body = {"version": version, "note": CANARY}
        assert (await desk.http.put("/preferences", json=body)).status_code == 200
        notes = (await desk.get("/notifications")).json()["items"]
        me = (await desk.get("/me")).json()
        page = (await desk.get("/rfqs", params={"limit": 1})).json()
        quotes = [q["quoteId"] for q in trade["quotes"]]
    ids = {
        "rfq": trade["rfqId"],
        "open rfq": open_rfq["rfqId"],
        "trade": trade["tradeId"],
        "correlation": trade["correlationId"],
        "open correlation": open_rfq["correlationId"],
        "quote": trade["acceptedQuoteId"],
        "watchlist": made.json()["watchlistId"],
        "subject": me["subject"],
        "cursor": page["nextCursor"] or "none",
    }
    if notes:
        ids["notification"] = notes[0]["notificationId"]
    names = [CANARY, me["displayName"], me["tenantName"], "trader@alpha", '"alpha"']
    return Secrets(ids, [*ids.values(), *quotes, *names])


@pytest.fixture(scope="module")
async def betas(stack: Stack) -> AsyncIterator[dict[str, Desk]]:
    async with AsyncExitStack() as opened:
        yield {n: await opened.enter_async_context(desk_of(stack, f"{n}@beta")) for n in BETA}


Request = tuple[str, str, dict[str, str], Any]


def table(ids: dict[str, str]) -> list[Request]:
    """Every route, aimed at alpha's things wherever something can be named."""
    found: list[Request] = []
    for key in ("rfq", "open rfq", "trade", "correlation", "quote"):
        found.append(("GET", f"/rfqs/{ids[key]}", {}, None))
        found.append(("GET", f"/trades/{ids[key]}", {}, None))
        accept = {"quoteId": ids["quote"], "version": 1}
        found.append(("POST", f"/rfqs/{ids[key]}/accept", {}, accept))
        found.append(("POST", f"/rfqs/{ids[key]}/cancel", {}, {}))
        found.append(("GET", f"/audit/{ids[key]}", {}, None))
    change = {"name": "x", "instrumentIds": [], "position": 0, "version": 1}
    found += [
        ("PUT", f"/watchlists/{ids['watchlist']}", {}, change),
        ("DELETE", f"/watchlists/{ids['watchlist']}", {}, None),
        ("POST", "/notifications/read", {}, {"notificationIds": [ids.get("notification", "x")]}),
        ("GET", "/audit/" + ids["open correlation"], {}, None),
    ]
    queries: list[dict[str, str]] = [
        {}, {"requester": "trader@alpha"}, {"q": "alpha"}, {"q": CANARY}, {"q": ids["rfq"]},
        {"rfqId": ids["rfq"]}, {"correlationId": ids["correlation"]}, {"cursor": ids["cursor"]},
        {"desk": "macro"}, {"q": "%"}, {"q": "' or '1'='1"}, {"limit": "200"},
    ]  # fmt: skip
    found += [("GET", path, q, None) for path in ("/rfqs", "/trades") for q in queries]
    found.append(("GET", "/trades", {"tradeId": ids["trade"]}, None))
    plain = ("/me", "/instruments", "/dealers", "/market/snapshot", "/preferences", "/watchlists",
             "/notifications", "/openapi.json", "/asyncapi.json", "/readyz")  # fmt: skip
    found += [("GET", path, {}, None) for path in plain]
    return found


async def probe(desk: Desk, request: Request, secrets: Secrets) -> httpx.Response:
    """Sends one request and looks through every byte that comes back."""
    method, path, query, body = request
    headers = {"idempotency-key": new_key()} if method != "GET" else {}
    answer = await desk.http.request(method, path, params=query, json=body, headers=headers)
    assert answer.status_code < 500 or answer.status_code == 503, (request, answer.text)
    said = f"{path} {query} {body}"
    told = answer.text + str(answer.headers)
    leaked = [w for w in secrets.words if w in told and w not in said]
    # What was said may be named again only in a refusal.
    repeated = [w for w in secrets.words if w in told and w in said and answer.status_code < 400]
    assert not leaked and not repeated, (desk.user, request, leaked, repeated, told[:2000])
    return answer


@pytest.mark.parametrize("name", BETA)
async def test_the_whole_table_for_every_user(
    betas: dict[str, Desk], secrets: Secrets, name: str
) -> None:
    nobody = {**dict.fromkeys(secrets.ids, MISSING), "cursor": secrets.ids["cursor"]}
    for request, same in zip(table(secrets.ids), table(nobody), strict=True):
        foreign = await probe(betas[name], request, secrets)
        missing = await probe(betas[name], same, secrets)
        assert alike(foreign, request) == alike(missing, same), (
            request,
            foreign.text,
            missing.text,
        )


def alike(answer: httpx.Response, request: Request) -> tuple[int, str]:
    """The answer without what differs anyway: the ids of the request itself."""
    if answer.status_code < 400:
        return answer.status_code, ""
    problem = answer.json()
    for field in ("requestId", "correlationId"):
        problem.pop(field, None)
    text = str(problem)
    for piece in request[1].split("/"):
        text = text.replace(piece, "…") if len(piece) == 30 else text
    return answer.status_code, text


async def test_random_probes_bring_nothing_out(betas: dict[str, Desk], secrets: Secrets) -> None:
    dice = random.Random(20260209)
    rows, pool = (
        table(secrets.ids),
        [*secrets.ids.values(), CANARY, "trader@alpha", "alpha", MISSING],
    )
    seen: Counter[int] = Counter()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        method, path, query, body = dice.choice(rows)
        parts = [
            dice.choice(pool) if len(p) == 30 and dice.random() < 0.5 else p
            for p in path.split("/")
        ]
        if method == "GET" and dice.random() < 0.5:
            name = dice.choice(
                ["q", "rfqId", "tradeId", "correlationId", "requester", "cursor", "desk"]
            )
            query = {**query, name: dice.choice(pool)}
        request = (method, "/".join(parts), query, body)
        async with gate:
            seen[(await probe(betas[dice.choice(BETA)], request, secrets)).status_code] += 1

    for _ in range(0, PROBES, 100):
        await asyncio.gather(*(one() for _ in range(100)))
    assert sum(seen.values()) >= PROBES and seen[404] and seen[200], seen
    print("probes by status:", dict(sorted(seen.items())))


async def test_alpha_still_has_what_is_alphas(stack: Stack, secrets: Secrets) -> None:
    """The probe can fail: the same words do come out for alpha, and nothing was changed."""
    async with desk_of(stack, "trader@alpha") as desk:
        assert (await desk.rfq(secrets.ids["rfq"]))["tradeId"] == secrets.ids["trade"]
        lists = (await desk.get("/watchlists")).json()["items"]
        assert [w["version"] for w in lists if w["name"] == CANARY] == [1]
        with pytest.raises(AssertionError):
            await probe(desk, ("GET", "/watchlists", {}, None), secrets)
