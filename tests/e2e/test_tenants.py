"""No tenant ever sees another's rows, events, frames, errors or existence: every endpoint and every
channel is asked, and every byte that comes back is searched for what only the other tenant has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Desks
from tests.stack import Stack, until
from tests.stack_clients import PROMPT, Desk, Feed, Json, feed_of, new_key

ROLES = ("trader", "trader2", "sales", "risk", "analyst", "admin", "platform")
CHANNELS = ("rfqs", "trades", "notifications")
CANARY = "canary-7f3a91"
SIZE = "7654000"  # nobody else deals this size


@dataclass
class Secrets:
    """What exists in alpha only. `paths` fills the parameters of paths."""

    paths: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def leaks(self, seen: bytes, sent: str = "") -> list[str]:
        """Which of them occur in these bytes, without those that were part of the question."""
        return [w for w in self.words if w.encode() in seen and w not in sent]


@pytest.fixture(scope="module")
async def secrets(stack: Stack) -> Secrets:
    """A trade, an open RFQ, a watchlist and preferences of alpha, all marked."""
    async with Desks(stack) as desks:
        desk = await desks("trader@alpha")
        rfq = await desk.quoted((await desk.ask(size=SIZE, lpIds=PROMPT))["rfqId"], 3)
        worst = max((q for q in rfq["quotes"] if q["rank"]), key=lambda q: q["rank"])
        answer = await desk.accept(rfq, worst["quoteId"], reason=f"{CANARY} reason")
        assert answer.status_code == 200, answer.text
        ended = await desk.ended(rfq["rfqId"])
        still_open = await desk.ask(size=SIZE, expirySeconds=300)
        wanted = {"name": f"{CANARY} list", "instrumentIds": ["EURUSD"]}
        made = await desk.command("POST", "/watchlists", wanted)
        assert made.status_code == 201, made.text
        await _save_preferences(desk)
        watchlist = made.json()["watchlistId"]
        await until(lambda: _is_told(desk, ended), 15, "the story is complete")
    paths = {
        "rfq_id": still_open["rfqId"],
        "trade_id": ended["tradeId"],
        "correlation_id": ended["correlationId"],
        "watchlist_id": watchlist,
    }
    people = [
        "trader@alpha",
        "Ada Alder",
        "Alpha Asset",
        stack_subject(await stack.token("trader@alpha")),
    ]
    quotes = [q["quoteId"] for q in rfq["quotes"]]
    words = [*paths.values(), ended["rfqId"], still_open["correlationId"], CANARY, SIZE]
    return Secrets(paths, [*words, *people, *quotes])


def stack_subject(token: str) -> str:
    """Whose token it is."""
    from tests.stack import claims

    return str(claims(token)["sub"])


async def _save_preferences(desk: Desk) -> None:
    version = (await desk.get("/preferences")).json()["version"]
    saved = await desk.request(
        "PUT", "/preferences", json={"version": version, "theme": "dark", "layout": {"n": CANARY}}
    )
    assert saved.status_code == 200, saved.text


async def _is_told(desk: Desk, rfq: Json) -> bool:
    story = (await desk.get(f"/audit/{rfq['correlationId']}")).json()["items"]
    listed = {t["tradeId"] for t in (await desk.get("/trades")).json()["items"]}
    return any(i["eventType"] == "RFQTraded" for i in story) and rfq["tradeId"] in listed


def operations(api: Json, secrets: Secrets) -> Iterator[tuple[str, str]]:
    """Every method and path of the API, with alpha's ids where an id belongs."""
    for path, methods in api["paths"].items():
        for method in methods:
            if method in ("get", "post", "put", "delete", "patch"):
                filled = path
                for name, value in secrets.paths.items():
                    filled = filled.replace("{" + name + "}", value)
                assert "{" not in filled, f"a path parameter without a canary: {path}"
                yield method.upper(), filled


def bodies(secrets: Secrets, path: str) -> Json | None:
    """A body that the operation would take, naming what is alpha's."""
    if path.endswith("/accept"):
        return {"quoteId": secrets.words[-1], "version": 2}
    if path.endswith("/cancel"):
        return {}
    if "/watchlists" in path:
        new = {"name": "mine now", "instrumentIds": ["EURUSD"], "pinned": [], "position": 0}
        return new if path.endswith("/watchlists") else {**new, "version": 1}
    if path.endswith("/preferences"):
        return {"version": 0, "theme": "dark"}
    if path.endswith("/rfqs"):
        return {"instrumentId": "EURUSD", "side": "BUY", "size": "1000000", "expirySeconds": 5}
    return {}


async def ask(desk: Desk, method: str, path: str, secrets: Secrets) -> httpx.Response:
    """One call."""
    if method == "GET":
        return await desk.http.get(desk_url(desk, path))
    headers = {"idempotency-key": new_key()}
    body: Any = bodies(secrets, path)
    return await desk.http.request(method, desk_url(desk, path), json=body, headers=headers)


def desk_url(desk: Desk, path: str) -> str:
    """The whole address: paths of the API's description start at the root."""
    return f"{str(desk.http.base_url).split('/api/')[0]}{path}"


@pytest.mark.parametrize("role", ROLES)
async def test_no_endpoint_tells_beta_of_alpha(
    stack: Stack, desks: Desks, secrets: Secrets, role: str
) -> None:
    desk = await desks(f"{role}@beta")
    api = (await desk.get("/openapi.json")).json()
    leaks: list[str] = []
    asked = 0
    for method, path in operations(api, secrets):
        answer = await ask(desk, method, path, secrets)
        asked += 1
        seen = answer.content + str(answer.headers).encode()
        leaks += [f"{method} {path}: {word}" for word in secrets.leaks(seen, path)]
        if any(value in path for value in secrets.paths.values()):
            assert answer.status_code in (403, 404), f"{method} {path}: {answer.text:.300}"
    assert leaks == []
    assert asked >= 20


@pytest.mark.parametrize("role", ["trader", "admin"])
async def test_foreign_and_missing_answer_alike(
    stack: Stack, desks: Desks, secrets: Secrets, role: str
) -> None:
    desk = await desks(f"{role}@beta")
    missing = {name: value[:4] + "a" * (len(value) - 4) for name, value in secrets.paths.items()}
    api = (await desk.get("/openapi.json")).json()
    for method, path in operations(api, secrets):
        nowhere = path
        for name, value in secrets.paths.items():
            nowhere = nowhere.replace(value, missing[name])
        if nowhere == path:
            continue
        foreign = await ask(desk, method, path, secrets)
        absent = await ask(desk, method, nowhere, secrets)
        assert foreign.status_code == absent.status_code, (method, path)
        ours, theirs = foreign.json(), absent.json()
        for one in (ours, theirs):
            one.pop("requestId", None)
            one.pop("correlationId", None)
        assert str(ours).replace(path, "") == str(theirs).replace(nowhere, ""), (method, path)


@pytest.mark.parametrize("path", ["/rfqs", "/trades"])
async def test_filters_find_nothing_of_alpha(desks: Desks, secrets: Secrets, path: str) -> None:
    ours = await desks("trader@alpha")
    assert (await ours.get(path, params={"q": "EURUSD"})).json()["items"]
    desk = await desks("sales@beta")
    for name in ("q", "requester", "lpId", "instrumentId", "status", "side"):
        for word in ("trader@alpha", secrets.paths["rfq_id"], SIZE, "EURUSD", "TRADED", "BUY"):
            answer = await desk.get(path, params={name: word})
            assert answer.status_code in (200, 400, 422), answer.text
            assert secrets.leaks(answer.content, word) == []


async def test_no_channel_tells_beta_of_alpha(stack: Stack, desks: Desks, secrets: Secrets) -> None:
    async with AsyncExitStack() as open_feeds:
        feeds: dict[str, Feed] = {}
        for role in ROLES:
            feed = await open_feeds.enter_async_context(feed_of(stack, f"{role}@beta"))
            for channel in CHANNELS:
                await feed.send({"op": "subscribe", "channel": channel})
            ids = ["EURUSD", "NOSUCH"]
            await feed.send({"op": "subscribe", "channel": "ticks", "instrumentIds": ids})
            await feed.ping()
            feeds[role] = feed
        ours = await open_feeds.enter_async_context(feed_of(stack, "trader@alpha"))
        for channel in CHANNELS:
            await ours.subscribe(channel)
        alpha, beta = await desks("trader@alpha"), await desks("trader@beta")
        told = await alpha.trade(size=SIZE)
        theirs = await beta.trade(size="1000000")
        await until(lambda: told["tradeId"] in ours.trades, 10, "alpha hears of its trade")
        await until(
            lambda: theirs["tradeId"] in feeds["trader"].trades, 10, "beta hears of its own"
        )
        words = Secrets(words=[*secrets.words, told["rfqId"], told["tradeId"]])
        for role, feed in feeds.items():
            await feed.ping()
            assert words.leaks(bytes(feed.bytes)) == [], role
        assert theirs["rfqId"].encode() not in bytes(ours.bytes)
        assert words.leaks(bytes(ours.bytes)), "the search finds what is there"


async def test_same_key_of_two_tenants_is_two_keys(desks: Desks) -> None:
    key = new_key()
    ours = await (await desks("trader@alpha")).ask(key)
    theirs = await (await desks("trader@beta")).ask(key)
    assert ours["rfqId"] != theirs["rfqId"]
    assert (ours["tenantId"], theirs["tenantId"]) == ("alpha", "beta")
