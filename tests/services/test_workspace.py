"""Preferences and watchlists through the door: versions, limits, idempotency, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from orion.platform.cache.aside import MARK_S
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import ManualClock
from tests.services.desk import Desk, opened
from tests.services.machine import Machine

KEY = {"idempotency-key": "a-list-of-mine-1"}


@pytest.fixture(scope="module")
def cache() -> MemoryCache:
    """As many processes of a cluster would have it together."""
    return MemoryCache(is_shared=True)


@pytest.fixture(scope="module")
async def desk(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory, cache: MemoryCache
) -> AsyncIterator[Desk]:
    # No reference service here: who was not welcomed yet cannot be, see the first test.
    async with opened(machine, tmp_path_factory.mktemp("o"), ("workspace",), cache) as desk:
        async with machine.database.write("workspace", ["alpha", "beta"]) as sql:
            for tenant in ("alpha", "beta"):
                for name in ("trader", "trader2"):
                    await sql.execute(
                        "insert into workspace.welcomed values ($1, $2, 0)",
                        tenant,
                        f"{tenant}-{name}",
                    )
        yield desk


@pytest.fixture
async def trader(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    async with desk.as_user("trader") as client:
        yield client


async def test_the_first_look_waits_for_the_instruments(desk: Desk):
    async with desk.as_user("sales") as client:
        answered = await client.get("/api/v1/watchlists")
    assert (answered.status_code, answered.json()["code"]) == (503, "SYS-901")
    assert int(answered.headers["retry-after"]) >= 1


async def test_preferences_begin_empty_and_keep_what_was_saved(
    trader: httpx.AsyncClient, desk: Desk
):
    assert (await trader.get("/api/v1/preferences")).json() == {"version": 0}
    body = {"version": 0, "theme": "dark", "layout": {"a": [1, 2.5, None, "ü"]}, "columns": {}}
    saved = (await trader.put("/api/v1/preferences", json=body)).json()
    assert saved == {**body, "version": 1}
    assert (await trader.get("/api/v1/preferences")).json() == saved
    async with desk.as_user("trader2") as other, desk.as_user("trader", "beta") as foreign:
        assert (await other.get("/api/v1/preferences")).json() == {"version": 0}
        assert (await foreign.get("/api/v1/preferences")).json() == {"version": 0}


async def test_of_two_savers_of_one_version_one_is_told(trader: httpx.AsyncClient):
    version = (await trader.get("/api/v1/preferences")).json()["version"]
    answers = await asyncio.gather(
        *(trader.put("/api/v1/preferences", json={"version": version, "n": n}) for n in range(5))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409]
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"API-111"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"theme": "dark"}, "API-100"),
        ({"version": "1"}, "API-100"),
        ({"version": -1}, "API-100"),
        ({"version": True}, "API-100"),
        ({"version": 1, "theme": "pink"}, "API-100"),
        ([1], "API-100"),
        (None, "API-100"),
        ({"version": 2**40}, "API-100"),
        ({"version": 1.0}, "API-100"),
    ],
)
async def test_preferences_that_are_none(trader: httpx.AsyncClient, body: object, code: str):
    answered = await trader.put("/api/v1/preferences", json=body)
    assert (answered.status_code, answered.json()["code"]) == (400, code)


async def test_preferences_may_be_larger_than_other_bodies_but_not_boundless(
    trader: httpx.AsyncClient,
):
    version = (await trader.get("/api/v1/preferences")).json()["version"]
    large = await trader.put(
        "/api/v1/preferences", json={"version": version, "blob": "x" * 250_000}
    )
    assert large.status_code == 200
    larger = await trader.put(
        "/api/v1/preferences", json={"version": version + 1, "blob": "x" * 270_000}
    )
    assert (larger.status_code, larger.json()["code"]) == (413, "API-105")
    other = await trader.post("/api/v1/watchlists", headers=KEY, json={"name": "x" * 70_000})
    assert (other.status_code, other.json()["code"]) == (413, "API-105")


async def test_a_list_from_its_making_to_its_end(trader: httpx.AsyncClient):
    made = await trader.post(
        "/api/v1/watchlists",
        headers=KEY,
        json={"name": "Mine", "instrumentIds": ["EURUSD", "VEGA"], "pinned": ["VEGA"]},
    )
    assert made.status_code == 201
    one = made.json()
    assert one == {
        **one,
        "name": "Mine",
        "instrumentIds": ["EURUSD", "VEGA"],
        "pinned": ["VEGA"],
        "version": 1,
    }
    assert one in (await trader.get("/api/v1/watchlists")).json()["items"]
    path = f"/api/v1/watchlists/{one['watchlistId']}"
    change = {"name": "Ours", "instrumentIds": ["VEGA"], "position": 3, "version": 1}
    changed = (await trader.put(path, json=change)).json()
    assert changed == {"watchlistId": one["watchlistId"], "pinned": [], **change, "version": 2}
    stale = await trader.put(path, json=change)
    assert (stale.status_code, stale.json()["code"]) == (409, "API-111")
    assert (await trader.delete(path, params={"version": 1})).status_code == 409
    assert (await trader.delete(path, params={"version": 2})).status_code == 204
    gone = await trader.delete(path)
    assert (gone.status_code, gone.json()["code"]) == (404, "API-104")


async def test_the_same_key_makes_one_list(trader: httpx.AsyncClient):
    headers = {"idempotency-key": "double-click-42"}
    answers = await asyncio.gather(
        *(
            trader.post(
                "/api/v1/watchlists",
                headers=headers,
                json={"name": "Twice", "instrumentIds": ["EURUSD"]},
            )
            for _ in range(4)
        )
    )
    assert [a.status_code for a in answers] == [201] * 4
    assert len({a.text for a in answers}) == 1
    other = await trader.post("/api/v1/watchlists", headers=headers, json={"name": "Another"})
    assert (other.status_code, other.json()["code"]) == (422, "API-102")


@pytest.mark.parametrize("key", [None, "short", "x" * 129, "with space", "ünïcode-key"])
async def test_a_list_needs_a_key(trader: httpx.AsyncClient, key: str | None):
    headers = {} if key is None else {"idempotency-key": key.encode()}
    answered = await trader.post("/api/v1/watchlists", headers=headers, json={"name": "x"})  # type: ignore[arg-type]
    assert (answered.status_code, answered.json()["code"]) == (400, "API-101")


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 61},
        {"name": 5},
        {},
        {"name": "x", "extra": 1},
        {"name": "x", "instrumentIds": ["E"] * 201},
        {"name": "x", "instrumentIds": ["a b"]},
        {"name": "x", "instrumentIds": "EURUSD"},
        {"name": "x", "pinned": ["EURUSD"]},
        {"name": "x", "position": -1},
        {"name": "x", "position": 1001},
        {"name": "x", "position": "1"},
    ],
)
async def test_lists_that_are_none(trader: httpx.AsyncClient, body: dict):
    answered = await trader.post(
        "/api/v1/watchlists", headers={"idempotency-key": "a-bad-list-1"}, json=body
    )
    assert (answered.status_code, answered.json()["code"]) == (400, "API-100")


async def test_no_more_than_fifty_lists_even_at_once(desk: Desk):
    async with desk.as_user("trader2") as client:
        answers = await asyncio.gather(
            *(
                client.post(
                    "/api/v1/watchlists",
                    headers={"idempotency-key": f"many-{n:04}"},
                    json={"name": f"L{n}"},
                )
                for n in range(55)
            )
        )
        listed = (await client.get("/api/v1/watchlists")).json()["items"]
    assert sorted(a.status_code for a in answers) == [201] * 50 + [400] * 5
    assert len(listed) == 50
    assert sorted(w["position"] for w in listed) == list(range(50))


async def test_nobody_touches_anothers_list(desk: Desk, trader: httpx.AsyncClient):
    made = (
        await trader.post(
            "/api/v1/watchlists",
            headers={"idempotency-key": "private-1"},
            json={"name": "CANARY-LIST"},
        )
    ).json()
    path = f"/api/v1/watchlists/{made['watchlistId']}"
    change = {"name": "x", "instrumentIds": [], "position": 0, "version": 1}
    for name, tenant in (("trader2", "alpha"), ("trader", "beta")):
        async with desk.as_user(name, tenant) as other:
            answers = [
                await other.put(path, json=change),
                await other.delete(path),
                await other.get("/api/v1/watchlists"),
            ]
        missing = path.rsplit("/", 1)[0] + "/0000" + "a" * 26
        async with desk.as_user(name, tenant) as other:
            absent = await other.put(missing, json=change)
        assert [a.status_code for a in answers] == [404, 404, 200]
        assert all("CANARY" not in a.text for a in answers)
        # Foreign and missing answer alike, but for the ids of the request.
        strip = ("requestId", "correlationId")
        assert {k: v for k, v in absent.json().items() if k not in strip} == {
            k: v for k, v in answers[0].json().items() if k not in strip
        }


async def test_lists_come_from_the_cache_until_somebody_changes_them(
    trader: httpx.AsyncClient, desk: Desk, cache: MemoryCache, monkeypatch: pytest.MonkeyPatch
):
    clock = ManualClock()
    monkeypatch.setattr(cache, "_clock", clock)
    sent = {"name": "Cached", "instrumentIds": ["EURUSD"], "pinned": []}
    made = (
        await trader.post("/api/v1/watchlists", json=sent, headers={"idempotency-key": "c" * 9})
    ).json()

    async def behind_its_back(name: str) -> None:
        async with desk.machine.database.write("workspace", ["alpha"]) as sql:
            statement = "update workspace.watchlists set name = $1 where watchlist_id = $2"
            await sql.execute(statement, name, made["watchlistId"])

    async def names() -> set[str]:
        return {w["name"] for w in (await trader.get("/api/v1/watchlists")).json()["items"]}

    # Right after a change nothing is kept: a slower reader could keep what was before it.
    assert "Cached" in await names()
    await behind_its_back("Renamed")
    assert "Renamed" in await names()
    clock.advance(int(MARK_S * 1_000_000))
    assert "Renamed" in await names()
    await behind_its_back("Again")
    assert "Renamed" in await names()  # from the cache
    async with desk.as_user("trader2") as other:
        assert "Renamed" not in str((await other.get("/api/v1/watchlists")).json())
    # What a user changes is seen at once.
    changed = {**sent, "name": "Changed", "position": made["position"], "version": made["version"]}
    place = f"/api/v1/watchlists/{made['watchlistId']}"
    assert (await trader.put(place, json=changed)).status_code == 200
    assert "Changed" in await names()
    clock.advance(int(MARK_S * 1_000_000))
    assert "Changed" in await names()
    # Without a cache everything goes on from the tables.
    await behind_its_back("From the tables")
    assert "Changed" in await names()
    cache.fail(True)
    try:
        assert "From the tables" in await names()
        assert (await trader.delete(f"{place}?version=2")).status_code in (200, 204)
        assert "From the tables" not in await names()
    finally:
        cache.fail(False)
    assert "From the tables" not in await names()
