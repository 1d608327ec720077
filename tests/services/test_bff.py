"""The door as a whole, with every service behind it: who may ask what, how strict it is, and how it
says no.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orion.core.permissions import Role, permissions_of
from orion.services.bff_workstation import openapi, site
from orion.services.bff_workstation.gate import PUBLIC, SIGNED_IN
from tests.services.desk import ROLES, TENANTS, Desk, opened, until
from tests.services.machine import Machine
from tests.web import raw, status_of

SERVICES = (
    "workspace",
    "reference",
    "marketdata_ingest",
    "marketdata_projection",
    "rfq",
    "lp_gateway",
    "execution",
    "audit",
    "notifications",
    "lp_bots",
)


@pytest.fixture(scope="module")
async def desk(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with opened(machine, tmp_path_factory.mktemp("o"), SERVICES) as desk:
        await until(lambda: not [m for m in desk.modules.values() if m.ready()], 60)
        yield desk


@pytest.fixture
async def trader(desk: Desk) -> AsyncIterator[httpx.AsyncClient]:
    async with desk.as_user("trader") as client:
        yield client


def key() -> dict[str, str]:
    key.count = getattr(key, "count", 0) + 1  # type: ignore[attr-defined]
    return {"idempotency-key": f"test-{key.count:08}"}  # type: ignore[attr-defined]


ASK = {"instrumentId": "EURUSD", "side": "BUY", "size": "1000000", "expirySeconds": 30}


async def test_from_the_ask_to_the_trade_and_its_story(desk: Desk, trader: httpx.AsyncClient):
    made = await trader.post("/api/v1/rfqs", json=ASK, headers=key())
    assert made.status_code == 201, made.text
    rfq = made.json()
    path = f"/api/v1/rfqs/{rfq['rfqId']}"

    async def quoted() -> Any:
        found = (await trader.get(path)).json()
        return found if any(q["status"] == "QUOTED" for q in found["quotes"]) else None

    seen = await until(quoted)
    best = next(q for q in seen["quotes"] if q["quoteId"] == seen["bestQuoteId"])
    accept = {"quoteId": best["quoteId"], "version": seen["version"]}
    once = key()
    answers = [await trader.post(f"{path}/accept", json=accept, headers=once) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200], answers[0].text
    assert answers[0].json()["tradeId"] == answers[1].json()["tradeId"]

    async def ended() -> Any:
        found = (await trader.get(path)).json()
        return found if found["status"] in ("TRADED", "REJECTED", "EXPIRED") else None

    over = await until(ended, 60)

    async def told() -> Any:
        answered = await trader.get(f"/api/v1/audit/{rfq['correlationId']}")
        items = answered.json().get("items", [])
        return (
            items
            if any(i["eventType"] in ("RFQTraded", "RFQRejected", "RFQExpired") for i in items)
            else None
        )

    story = await until(told)
    assert [i["offsetMs"] for i in story] == sorted(i["offsetMs"] for i in story)
    assert story[0]["eventType"] == "RFQCreated" and story[0]["offsetMs"] == 0
    assert all(i["summary"] for i in story)
    names = [i["eventType"] for i in story]
    if "RFQQuoting" in names:
        assert names.index("QuoteReceived") < names.index("RFQQuoting"), "cause before effect"
    assert {i["topic"] for i in story} >= {"dev.rfq.lifecycle.v1", "dev.rfq.quotes.v1"}
    if over["status"] == "TRADED":

        async def listed() -> Any:
            answered = await trader.get("/api/v1/trades", params={"rfqId": rfq["rfqId"]})
            return answered.json()["items"]

        trade = (await until(listed))[0]
        assert trade["tradeId"] == over["tradeId"]
        assert (await trader.get(f"/api/v1/trades/{trade['tradeId']}")).json()["price"] == trade[
            "price"
        ]

        async def notified() -> Any:
            items = (await trader.get("/api/v1/notifications")).json()["items"]
            return [n for n in items if n.get("tradeId") == trade["tradeId"]]

        note = (await until(notified))[0]
        assert (note["kind"], note["read"]) == ("TRADE_DONE", False)
        ids = {"notificationIds": [note["notificationId"], "nobodys"]}
        assert (await trader.post("/api/v1/notifications/read", json=ids)).json() == {"marked": 1}
        assert (await trader.post("/api/v1/notifications/read", json=ids)).json() == {"marked": 0}
        async with desk.as_user("trader2") as other:
            assert (await other.post("/api/v1/notifications/read", json=ids)).json() == {
                "marked": 0
            }
            assert (await other.get("/api/v1/notifications")).json()["items"] == []


# ---- who may what


def routes() -> list[tuple[str, str, Any]]:
    """(method, path, what is needed) of every route."""
    return [
        (method, route.path_format, handler.opt.get("permission"))
        for route in site.routes_only().routes
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items()
        if method not in ("OPTIONS", "HEAD") and not route.path_format.startswith("/api/v1/schema")
    ]


def example(path: str) -> str:
    """The path with an id that has the right shape and belongs to nobody."""
    for name in ("rfq_id", "trade_id", "correlation_id", "watchlist_id"):
        path = path.replace("{" + name + "}", "0000" + "a" * 26)
    return path + ("?instrumentId=EURUSD" if path.endswith("/history") else "")


BODIES: dict[str, Any] = {
    "/api/v1/rfqs": {**ASK, "instrumentId": "NOSUCH"},
    "/api/v1/rfqs/{rfq_id}/accept": {"quoteId": "0000" + "b" * 26, "version": 1},
    "/api/v1/rfqs/{rfq_id}/cancel": {},
    "/api/v1/preferences": {"version": 2**31 - 1},
    "/api/v1/watchlists": {"name": "Matrix"},
    "/api/v1/watchlists/{watchlist_id}": {
        "name": "x",
        "instrumentIds": [],
        "position": 0,
        "version": 1,
    },
    "/api/v1/notifications/read": {"notificationIds": ["x"]},
}


def may(role: str, needed: Any) -> bool:
    if needed in (PUBLIC, SIGNED_IN):
        return True
    wanted = needed if isinstance(needed, tuple) else (needed,)
    return bool(permissions_of([f"ROLE_{role}"]) & set(wanted))


async def send(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    body = BODIES.get(path) if method in ("POST", "PUT") else None
    return await client.request(
        method, example(path), json=body, headers=key() if method != "GET" else None
    )


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("role", ROLES)
async def test_the_whole_matrix_of_roles_and_routes(desk: Desk, role: str, tenant: str):
    asked = 0
    async with desk.as_user(role.lower(), tenant) as client:
        for method, path, needed in routes():
            answered = await send(client, method, path)
            asked += 1
            where = (role, method, path, answered.status_code, answered.text[:200])
            assert answered.status_code < 500 or answered.status_code == 503, where
            if may(role, needed):
                assert answered.status_code != 401, where
                assert answered.status_code != 403 or answered.json()["code"] != "AUTH-103", where
            else:
                assert (answered.status_code, answered.json()["code"]) == (403, "AUTH-103"), where
    assert asked >= 24


async def test_without_a_good_token_only_the_open_routes_answer(desk: Desk):
    forged = list(desk.forger.rows().items())
    async with desk.anyone() as client:
        for method, path, needed in routes():
            answered = await send(client, method, path)
            if needed == PUBLIC:
                assert answered.status_code in (200, 404, 503)
                continue
            assert (answered.status_code, answered.json()["code"]) == (401, "AUTH-101"), (
                method,
                path,
            )
            assert answered.headers["www-authenticate"].startswith("Bearer")
        for name, token in forged:
            answered = await client.get(
                "/api/v1/me", headers={"authorization": f"Bearer {token}".strip()}
            )
            assert 400 <= answered.status_code < 500, name
        service = desk.forger.service()
        assert (
            await client.get("/api/v1/me", headers={"authorization": f"Bearer {service}"})
        ).status_code == 401


async def test_me_tells_what_the_token_says(desk: Desk):
    for role in Role:
        name = role.value.removeprefix("ROLE_").lower()
        async with desk.as_user(name, "beta") as client:
            me = (await client.get("/api/v1/me")).json()
        assert (me["user"], me["tenantId"], me["roles"]) == (f"{name}@beta", "beta", [role.value])
        assert me["permissions"] == sorted(p.value for p in permissions_of([role.value]))
        assert me["tenantName"] == "Beta Capital Partners"
        assert me["entitlements"]["maxNotionalCurrency"] == "USD"
        assert me["feed"]["mode"] == "SIM"


# ---- strictness


HOSTILE: list[tuple[str, bytes, str]] = [
    ("empty", b"", "API-100"),
    ("not JSON", b"{", "API-106"),
    ("two values", b"{}{}", "API-106"),
    ("a list", b"[]", "API-100"),
    ("null", b"null", "API-100"),
    ("a text", b'"x"', "API-100"),
    ("NaN", b'{"size": NaN}', "API-106"),
    ("Infinity", b'{"size": -Infinity}', "API-106"),
    ("1e999", b'{"size": 1e999}', "API-106"),
    ("a huge integer", b'{"expirySeconds": ' + b"9" * 5000 + b"}", "API-106"),
    ("a field twice", b'{"side":"BUY","side":"SELL"}', "API-106"),
    ("a field twice, escaped", b'{"side":"BUY","s\\u0069de":"SELL"}', "API-106"),
    ("NUL", b'{"instrumentId":"EUR\\u0000USD"}', "API-106"),
    ("raw NUL", b'{"instrumentId":"EUR\x00USD"}', "API-106"),
    ("half a surrogate", b'{"instrumentId":"\\ud800"}', "API-106"),
    ("not UTF-8", b'{"instrumentId":"\xff"}', "API-106"),
    ("UTF-16", '{"side":"BUY"}'.encode("utf-16"), "API-106"),
    ("a byte order mark", b"\xef\xbb\xbf{}", "API-106"),
    ("nested deeply", b"[" * 10_000 + b"]" * 10_000, "API-106"),
    ("nested objects", b'{"a":' * 5000 + b"1" + b"}" * 5000, "API-106"),
    ("many parts", b"[" + b"1," * 30_000 + b"1]", "API-106"),
    ("a comment", b"{/*x*/}", "API-106"),
    ("a trailing comma", b'{"a":1,}', "API-106"),
    ("single quotes", b"{'side':'BUY'}", "API-106"),
    ("too large", b'{"instrumentId":"' + b"x" * 70_000 + b'"}', "API-105"),
]


@pytest.mark.parametrize(("body", "code"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
async def test_hostile_json_is_refused_with_a_code(
    trader: httpx.AsyncClient, body: bytes, code: str
):
    headers = {**key(), "content-type": "application/json"}
    answered = await trader.post("/api/v1/rfqs", content=body, headers=headers)
    assert (answered.json()["code"], answered.headers["content-type"]) == (
        code,
        "application/problem+json",
    )
    assert 400 <= answered.status_code < 500
    assert "traceback" not in answered.text.lower()


WRONG: list[dict[str, Any]] = [
    {},
    {**ASK, "extra": 1},
    {**ASK, "side": "buy"},
    {**ASK, "side": 1},
    {**ASK, "size": 1000000},
    {**ASK, "size": "1e6"},
    {**ASK, "size": "-1"},
    {**ASK, "size": "1000000\n"},
    {**ASK, "size": " 1"},
    {**ASK, "size": "１"},
    {**ASK, "size": ""},
    {**ASK, "size": "9" * 30},
    {**ASK, "expirySeconds": 4},
    {**ASK, "expirySeconds": 301},
    {**ASK, "expirySeconds": "30"},
    {**ASK, "expirySeconds": 30.0},
    {**ASK, "expirySeconds": True},
    {**ASK, "expirySeconds": None},
    {**ASK, "instrumentId": ""},
    {**ASK, "instrumentId": "EUR USD"},
    {**ASK, "instrumentId": "x" * 33},
    {**ASK, "instrumentId": "EURUSD\n"},
    {**ASK, "lpIds": []},
    {**ASK, "lpIds": ["A"] * 21},
    {**ASK, "lpIds": "NORTHGATE"},
    {**ASK, "partialAllowed": "true"},
    {**ASK, "minSize": None},
    {**ASK, "settlementDate": "2026-13-01"},
    {**ASK, "settlementDate": "tomorrow"},
    {"instrument_id": "EURUSD"},
]


@pytest.mark.parametrize("body", WRONG, ids=lambda b: json.dumps(b)[:60])
async def test_a_body_of_another_shape_is_refused_by_its_field(
    trader: httpx.AsyncClient, body: dict[str, Any]
):
    answered = await trader.post("/api/v1/rfqs", json=body, headers=key())
    problem = answered.json()
    assert (answered.status_code, problem["code"]) == (400, "API-100"), problem
    assert problem["errors"][0]["field"] and problem["errors"][0]["message"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "",
        "application/msgpack",
    ],
)
async def test_only_json_is_taken(trader: httpx.AsyncClient, kind: str):
    answered = await trader.post(
        "/api/v1/rfqs", content=b"{}", headers={**key(), "content-type": kind}
    )
    assert (answered.status_code, answered.json()["code"]) == (415, "API-108")


QUERIES = [
    ("/api/v1/rfqs", "nosuch=1"),
    ("/api/v1/rfqs", "limit=0"),
    ("/api/v1/rfqs", "limit=201"),
    ("/api/v1/rfqs", "limit=x"),
    ("/api/v1/rfqs", "limit=1&limit=2"),
    ("/api/v1/rfqs", "status=OPEN"),
    ("/api/v1/rfqs", "side=buy"),
    ("/api/v1/rfqs", "from=yesterday"),
    ("/api/v1/rfqs", "from=2026-02-30T00:00:00Z"),
    ("/api/v1/rfqs", "from=2026-02-09T12:34:56.789"),
    ("/api/v1/rfqs", "q=" + "x" * 81),
    ("/api/v1/rfqs", "instrumentId=a%20b"),
    ("/api/v1/rfqs", "requester=%27%20or%201%3D1"),
    ("/api/v1/rfqs", "q="),
    ("/api/v1/trades", "currency=usd"),
    ("/api/v1/trades", "settlementDate=2026-2-1"),
    ("/api/v1/trades", "status=DONE"),
    ("/api/v1/market/snapshot", "&".join(["instrumentId=EURUSD"] * 201)),
    ("/api/v1/market/history", ""),
    ("/api/v1/market/history", "instrumentId=EURUSD&minutes=0"),
    ("/api/v1/market/history", "instrumentId=EURUSD&minutes=1441"),
    ("/api/v1/me", "x=1"),
    ("/api/v1/instruments", "limit=5"),
    ("/api/v1/notifications", "limit=-1"),
    ("/healthz", "x=1"),
]


@pytest.mark.parametrize(("path", "query"), QUERIES, ids=[f"{p}?{q}"[:70] for p, q in QUERIES])
async def test_query_parameters_are_as_strict_as_bodies(
    trader: httpx.AsyncClient, path: str, query: str
):
    answered = await trader.get(f"{path}?{query}")
    assert (answered.status_code, answered.json()["code"]) == (400, "API-100"), answered.text


@pytest.mark.parametrize(
    "cursor", ["x", "a" * 512, "a" * 513, "eyJhIjoxfQ", "%00", "../..", "-1", "0"]
)
@pytest.mark.parametrize("path", ["/api/v1/rfqs", "/api/v1/trades"])
async def test_a_cursor_that_no_list_gave_out_is_refused(
    trader: httpx.AsyncClient, path: str, cursor: str
):
    answered = await trader.get(f"{path}?cursor={cursor}")
    assert (answered.status_code, answered.json()["code"] in ("API-100", "API-110")) == (
        400,
        True,
    ), answered.text


async def test_pages_go_on_where_they_ended_and_belong_to_one_user(desk: Desk):
    async with (
        desk.as_user("trader2", desk="pages") as mine,
        desk.as_user("trader2", "beta") as foreign,
    ):
        for _ in range(5):
            assert (await mine.post("/api/v1/rfqs", json=ASK, headers=key())).status_code in (
                201,
                422,
            )

        async def all_listed() -> Any:
            rows = (await mine.get("/api/v1/rfqs", params={"requester": "trader2@alpha"})).json()[
                "items"
            ]
            return rows if len(rows) == 5 else None

        rows = await until(all_listed)
        seen, cursor, cursors = [], None, []
        while True:
            query = {
                "limit": 2,
                "requester": "trader2@alpha",
                **({"cursor": cursor} if cursor else {}),
            }
            page = (await mine.get("/api/v1/rfqs", params=query)).json()
            seen += page["items"]
            cursor = page["nextCursor"]
            if cursor is None:
                break
            cursors.append(cursor)
        assert [r["rfqId"] for r in seen] == [r["rfqId"] for r in rows]
        assert [r["createdAt"] for r in seen] == sorted(
            (r["createdAt"] for r in seen), reverse=True
        )
        for spoilt in (cursors[0][:-1] + ("A" if cursors[0][-1] != "A" else "B"), cursors[0][::-1]):
            answered = await mine.get(
                "/api/v1/rfqs", params={"limit": 2, "requester": "trader2@alpha", "cursor": spoilt}
            )
            assert (answered.status_code, answered.json()["code"]) == (400, "API-110")
        answered = await foreign.get("/api/v1/rfqs", params={"cursor": cursors[0]})
        assert answered.status_code == 400 or answered.json()["items"] == []


# ---- idempotency over HTTP


async def test_one_key_is_one_rfq_whatever_the_spelling_of_the_body(trader: httpx.AsyncClient):
    headers = {**key(), "content-type": "application/json"}
    spellings = [
        json.dumps(ASK),
        json.dumps(dict(reversed(ASK.items())), indent=3),
        json.dumps(ASK).replace("EURUSD", "\\u0045URUSD"),
    ]
    answers = await asyncio.gather(
        *(trader.post("/api/v1/rfqs", content=s, headers=headers) for s in spellings)
    )
    again = await trader.post("/api/v1/rfqs", content=spellings[0], headers=headers)
    kept = [a for a in (*answers, again) if a.status_code != 409]
    assert {a.status_code for a in kept} == {201}
    assert len({a.json()["rfqId"] for a in kept}) == 1
    other = await trader.post("/api/v1/rfqs", json={**ASK, "size": "2000000"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "API-102")


async def test_another_users_and_tenants_key_is_another_key(desk: Desk):
    headers, found = key(), set()
    for name, tenant in (("trader", "alpha"), ("trader2", "alpha"), ("trader", "beta")):
        async with desk.as_user(name, tenant) as client:
            found.add(
                (await client.post("/api/v1/rfqs", json=ASK, headers=headers)).json()["rfqId"]
            )
    assert len(found) == 3


async def test_a_denied_rfq_is_answered_with_its_checks_again_and_again(trader: httpx.AsyncClient):
    headers, body = key(), {**ASK, "size": "999000000"}
    first, again = [await trader.post("/api/v1/rfqs", json=body, headers=headers) for _ in range(2)]
    problem = first.json()
    assert first.status_code == 422 and problem["code"].startswith(("RISK-", "RFQ-"))
    assert problem["rfqStatus"] == "DENIED" and problem["status"] == 422
    assert any(c["outcome"] == "FAILED" for c in problem["checks"])
    strip = ("requestId",)
    assert {k: v for k, v in again.json().items() if k not in strip} == {
        k: v for k, v in problem.items() if k not in strip
    }
    assert (await trader.get(f"/api/v1/rfqs/{problem['rfqId']}")).json()["status"] == "DENIED"


@pytest.mark.parametrize("given", [None, "", "short", "x" * 129, "a b c d e f g h", "späße-key"])
@pytest.mark.parametrize("path", ["/api/v1/rfqs", "/api/v1/rfqs/x/accept", "/api/v1/rfqs/x/cancel"])
async def test_commands_need_a_key(trader: httpx.AsyncClient, path: str, given: str | None):
    headers = {} if given is None else {"idempotency-key": given.encode()}
    answered = await trader.post(path, json={}, headers=headers)  # type: ignore[arg-type]
    assert (answered.status_code, answered.json()["code"]) == (400, "API-101")


# ---- methods, ids, descriptions, health


async def test_methods_and_paths_that_are_not_there(trader: httpx.AsyncClient):
    for method, path, status, code in (
        ("DELETE", "/api/v1/rfqs", 405, "API-107"),
        ("PATCH", "/api/v1/me", 405, "API-107"),
        ("POST", "/api/v1/me", 405, "API-107"),
        ("GET", "/api/v1/nothing", 404, "API-104"),
        ("GET", "/api/v1/stream", 421, "API-115"),
        ("GET", "/api", 404, "API-104"),
        ("GET", "/api/v2/me", 404, "API-104"),
        ("GET", "/api/v1/rfqs/a/b/c", 404, "API-104"),
        ("GET", "/oidc/x", 404, "API-104"),
        ("TRACE", "/api/v1/me", 405, "API-107"),
        ("GET", "/api/v1/rfqs/%2e%2e%2fme", 404, "API-104"),
        ("GET", "/api/v1/trades/" + "x" * 65, 400, "API-100"),
    ):
        answered = await trader.request(method, path)
        assert (answered.status_code, answered.json()["code"]) == (status, code), (
            method,
            path,
            answered.text,
        )
        if status == 405:
            assert answered.headers["allow"]
    allowed = await trader.options("/api/v1/rfqs")
    assert allowed.status_code == 204 and {"GET", "POST"} <= set(
        allowed.headers["allow"].split(", ")
    )
    assert "access-control-allow-origin" not in allowed.headers
    head = await trader.head("/api/v1/me")
    assert head.status_code == 200 and head.content == b""


async def test_every_answer_has_ids_that_the_client_did_not_choose(trader: httpx.AsyncClient):
    answered = await trader.get(
        "/api/v1/nothing", headers={"x-request-id": "mine", "x-correlation-id": "mine"}
    )
    assert answered.headers["x-request-id"] == answered.json()["requestId"] != "mine"


async def test_health_and_readiness(desk: Desk):
    async with desk.anyone() as client:
        for root in ("", "/api/v1"):
            assert (await client.get(f"{root}/healthz")).json()["status"] == "ok"
            ready = await client.get(f"{root}/readyz")
            # Identity lives in another process that this test does not start.
            assert (ready.status_code, ready.json()["waitingFor"]) == (503, ["identity"])


async def test_descriptions_are_served_and_checked_in(desk: Desk):
    async with desk.anyone() as client:
        served = (await client.get("/api/v1/openapi.json")).json()
    assert served == json.loads(openapi.PATH.read_text()), (
        "run python -m orion.services.bff_workstation.openapi"
    )
    operations = [o for item in served["paths"].values() for o in item.values()]
    assert all(
        o["operationId"] and o["summary"] and o["tags"] and o["description"] for o in operations
    )
    assert len({o["operationId"] for o in operations}) == len(operations)


async def test_answers_are_as_described(desk: Desk):
    """Every GET of a list or thing, each role's view, against the schema that is served."""
    import jsonschema

    document = json.loads(openapi.PATH.read_text())
    checked = 0
    async with desk.as_user("trader") as client:
        for path, item in document["paths"].items():
            if "get" not in item or "{" in path or path.endswith(("openapi.json", "asyncapi.json")):
                continue
            answered = await client.get(example(path))
            described = item["get"]["responses"][str(answered.status_code)]["content"]
            kind = answered.headers["content-type"].split(";")[0]
            schema = {**described[kind]["schema"], "components": document["components"]}
            jsonschema.validate(answered.json(), schema)
            checked += answered.status_code == 200
    assert checked >= 9


async def test_raw_heads_against_the_api(desk: Desk):
    head = f"Host: localhost:{desk.port}\r\nConnection: close\r\n".encode()
    for line in (
        b"GET /api/v1/rfqs/%00 HTTP/1.1\r\n",
        b"GET /api/v1/rfqs?q=%ff HTTP/1.1\r\n",
        b"GET /api/v1/rfqs/%ff HTTP/1.1\r\n",
    ):
        got = await raw(desk.port, line + head + b"\r\n")
        assert status_of(got) == 400 and b"API-100" in got


def test_the_web_folder_is_the_builds() -> None:
    from orion.platform.config import CHECKOUT

    assert (Path(CHECKOUT) / "web" / "vite.config.ts").is_file()
