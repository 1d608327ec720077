"""Ctrl-C, then up again: everything is still there, and a repeated command gets its old answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.stack import Stack, until
from tests.stack_clients import PROMPT, Desk, Json, desk_of, new_key, rfq_terms


@pytest.fixture
async def own(calm_dealers: dict[str, str]) -> AsyncIterator[Stack]:
    """A platform of this test's own."""
    async with Stack("restart", environment=calm_dealers) as running:
        yield running


async def recorded(desk: Desk, rfq: Json) -> dict[str, Any]:
    """What the platform says of the past."""
    story = (await desk.get(f"/audit/{rfq['correlationId']}")).json()["items"]
    return {
        "rfqs": {r["rfqId"]: _timeless(r) for r in await desk.every("/rfqs", status="TRADED")},
        "trades": await desk.every("/trades"),
        "story": story,
        "watchlists": (await desk.get("/watchlists")).json()["items"],
    }


def _timeless(row: Json) -> Json:
    """Without the moment at which it was asked for."""
    return {name: value for name, value in row.items() if name != "serverTime"}


async def told_of_it(desk: Desk, rfq: Json) -> dict[str, Any] | None:
    """`recorded`, once the cold path has caught up."""
    seen = await recorded(desk, rfq)
    row = seen["rfqs"].get(rfq["rfqId"], {})
    full = any(i["eventType"] == "RFQTraded" for i in seen["story"])
    return seen if full and row.get("status") == "TRADED" and seen["trades"] else None


@pytest.mark.timeout(400)
async def test_everything_is_still_there_after_a_restart(own: Stack) -> None:
    keys = {name: new_key() for name in ("ask", "accept", "open", "short")}
    async with desk_of(own, "trader@alpha") as desk:
        first = await desk.command("POST", "/rfqs", rfq_terms(lpIds=PROMPT), keys["ask"])
        rfq = await desk.quoted(first.json()["rfqId"], 3)
        accepted = await desk.accept(rfq, key=keys["accept"])
        assert accepted.status_code == 200, accepted.text
        ended = await desk.ended(rfq["rfqId"])
        still_open = await desk.ask(keys["open"], expirySeconds=300)
        short = await desk.ask(keys["short"], expirySeconds=5)
        await desk.command("POST", "/watchlists", {"name": "Kept", "instrumentIds": ["VEGA"]})
        before = await until(lambda: told_of_it(desk, ended), 15, "all is told")
    await own.stop()
    await own.start()
    async with desk_of(own, "trader@alpha") as desk:
        body = {"quoteId": rfq["bestQuoteId"], "version": rfq["version"]}
        quotes = {q["quoteId"] for q in rfq["quotes"]} - {rfq["bestQuoteId"]}
        again = await desk.command("POST", "/rfqs", rfq_terms(lpIds=PROMPT), keys["ask"])
        assert (again.status_code, again.content) == (first.status_code, first.content)
        path = f"/rfqs/{rfq['rfqId']}/accept"
        once_more = await desk.command("POST", path, body, keys["accept"])
        assert (once_more.status_code, once_more.content) == (200, accepted.content)
        other = await desk.command("POST", path, {**body, "quoteId": quotes.pop()}, keys["accept"])
        assert (other.status_code, other.json()["code"]) == (422, "API-102")
        assert await recorded(desk, ended) == before
        assert (await desk.rfq(ended["rfqId"]))["tradeId"] == ended["tradeId"]
        assert (await desk.ended(short["rfqId"]))["status"] == "EXPIRED"
        back = await desk.quoted(still_open["rfqId"])
        assert back["expiresAt"] == still_open["expiresAt"]
        assert (await desk.trade())["status"] == "TRADED"


@pytest.mark.timeout(400)
async def test_supervisor_killed_then_up_again(own: Stack) -> None:
    """kill -9 of `orion up` itself: its children end, and the next start finds everything."""
    async with desk_of(own, "trader@alpha") as desk:
        ended = await desk.trade()
        before = await until(lambda: told_of_it(desk, ended), 15, "all is told")
    await own.kill_owner()
    await own.start()
    async with desk_of(own, "trader@alpha") as desk:
        assert await recorded(desk, ended) == before
        assert (await desk.trade())["status"] == "TRADED"
    assert set(own.pids()) == {"bff", "edge", "core", "bots", "postgres"}


@pytest.mark.timeout(400)
async def test_two_platforms_side_by_side(own: Stack, calm_dealers: dict[str, str]) -> None:
    async with (
        Stack("beside", environment=calm_dealers) as other,
        desk_of(own, "trader@alpha") as here,
        desk_of(other, "trader@alpha") as there,
    ):
        ours, theirs = await here.trade(), await there.trade()
        listed = await until(lambda: here.every("/trades"), 10, "in the blotter")
        assert [t["tradeId"] for t in listed] == [ours["tradeId"]]
        assert (await there.get(f"/rfqs/{ours['rfqId']}")).status_code == 404
        assert (await here.get(f"/rfqs/{theirs['rfqId']}")).status_code == 404
        # A token of one is nothing to the other: each has keys of its own.
        foreign = {"authorization": f"Bearer {await own.token('trader@alpha')}"}
        assert (await there.get("/me", headers=foreign)).status_code == 401
