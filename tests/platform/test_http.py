"""The guard and the static web over a real HTTP server: heads, headers, redirects, paths, the last
net.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from orion.platform.errors import Coded, catalogue
from orion.platform.http import guard as guard_file
from orion.platform.http.guard import Guard, is_loopback
from orion.platform.http.headers import security_headers
from orion.platform.http.problems import answer, coded, invalid
from orion.platform.http.static import StaticFiles
from tests.web import raw, served, status_of

SECRET = b"outside of the web"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site") / "dist"
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>Orion</title>")
    (root / "favicon.svg").write_text("<svg/>")
    script = b"console.log('x');" * 200
    (root / "assets" / "index-B3kf92Qz.js").write_bytes(script)
    (root / "assets" / "index-B3kf92Qz.js.gz").write_bytes(gzip.compress(script))
    (root / "assets" / "index-B3kf92Qz.js.br").write_bytes(b"pretend brotli")
    (root.parent / "secret.txt").write_bytes(SECRET)
    (root / "link.txt").symlink_to(root.parent / "secret.txt")
    return root


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """What the guard stands around here: the static web, and routes that misbehave."""
    path = scope["path"]
    if path == "/bug.now":
        raise ZeroDivisionError("a secret detail")
    if path == "/coded.now":
        raise Coded("RFQ-205", "it is over", extra={"status": "CANCELLED", "rfqId": "r1"})
    if path == "/body.now":
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(size).encode()})
        return
    await inner.web(scope, receive, send)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
async def port(web: Path) -> AsyncIterator[int]:
    inner.web = StaticFiles(web)  # type: ignore[attr-defined]
    async with served(lambda port: Guard(inner, f"http://localhost:{port}")) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://localhost:{port}") as client:
        yield client


HEADS: list[tuple[str, bytes, int, str]] = [
    ("NUL in the path", b"GET /a%00b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "API-100"),
    ("path is not UTF-8", b"GET /a%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "API-100"),
    ("newline in the path", b"GET /a%0d%0ab HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "API-100"),
    ("query is not UTF-8", b"GET /?q=%c3%28 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "API-100"),
    ("NUL in the query", b"GET /?q=%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "API-100"),
    (
        "address too long",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        431,
        "API-112",
    ),
    (
        "headers too large",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 17000 + b"\r\n\r\n",
        431,
        "API-112",
    ),
    (
        "too many headers",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 101 + b"\r\n",
        431,
        "API-112",
    ),
    ("two hosts", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400, "API-100"),
    ("method of another world", b"PURGE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405, "API-107"),
    (
        "write to the web",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        405,
        "API-107",
    ),
]


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"), [h[1:] for h in HEADS], ids=[h[0] for h in HEADS]
)
async def test_hostile_heads_are_refused_with_a_code(
    port: int, request_bytes: bytes, status: int, code: str
):
    got = await raw(
        port,
        request_bytes.replace(
            b"\r\nHost: localhost\r\n", b"\r\nHost: localhost\r\nConnection: close\r\n", 1
        ),
    )
    assert status_of(got) == status
    head, _, body = got.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == code
    assert b"application/problem+json" in head


@pytest.mark.parametrize(
    "request_bytes", [b"\x16\x03\x01\x00garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_not_http_never_gives_a_5xx(port: int, request_bytes: bytes):
    got = await raw(port, request_bytes, half_close=True)
    assert got == b"" or 400 <= status_of(got) < 500


async def test_every_answer_has_the_security_headers_and_a_request_id(client: httpx.AsyncClient):
    wanted = [name.decode() for name, _ in security_headers("http://localhost:1")]
    seen = set()
    for path in (
        "/",
        "/nothing.txt",
        "/bug.now",
        "/coded.now",
        "/assets/index-B3kf92Qz.js",
        "/%00",
    ):
        answered = await client.get(path)
        for name in (*wanted, "x-request-id"):
            assert name in answered.headers, (path, name)
        seen.add(answered.headers["x-request-id"])
    assert len(seen) == 6
    policy = answered.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert f"connect-src 'self' ws://localhost:{client.base_url.port}" in policy
    assert (
        "unsafe-inline' " not in policy.replace("style-src-attr 'unsafe-inline'", "")
        and "unsafe-eval" not in policy
    )
    assert "strict-transport-security" not in answered.headers


def test_https_asks_browsers_to_stay_there():
    names = dict(security_headers("https://orion.example"))
    assert b"max-age" in names[b"strict-transport-security"]
    assert b"wss://orion.example" in names[b"content-security-policy"]


async def test_a_bug_shows_only_an_id(client: httpx.AsyncClient):
    answered = await client.get("/bug.now")
    problem = answered.json()
    assert (answered.status_code, problem["code"]) == (500, "SYS-900")
    assert "secret" not in answered.text and "ZeroDivision" not in answered.text
    assert problem["requestId"] == answered.headers["x-request-id"]


async def test_a_services_own_fields_stand_beside_the_standard_ones(client: httpx.AsyncClient):
    problem = (await client.get("/coded.now")).json()
    assert problem["status"] == 409
    assert problem["rfqStatus"] == "CANCELLED"
    assert problem["rfqId"] == "r1"
    assert problem["type"] == "urn:orion:problem:RFQ-205"


async def test_head_gives_the_same_headers_without_a_body(client: httpx.AsyncClient):
    got, head = await client.get("/favicon.svg"), await client.head("/favicon.svg")
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == got.headers["content-length"] != "0"


async def test_the_other_loopback_name_is_redirected_and_strangers_are_not(
    port: int, client: httpx.AsyncClient
):
    moved = await client.get("/rfqs?a=b%20c", headers={"host": f"127.0.0.1:{port}"})
    assert moved.status_code == 308
    assert moved.headers["location"] == f"http://localhost:{port}/rfqs?a=b%20c"
    assert (await client.get("/", headers={"host": f"[::1]:{port}"})).status_code == 308
    # Programs with a token have no cookie to lose, and a stranger's name gets no address of ours.
    token = {"host": f"127.0.0.1:{port}", "authorization": "Bearer x"}
    assert (await client.get("/", headers=token)).status_code == 200
    assert (await client.get("/", headers={"host": "evil.example"})).status_code == 200
    assert (await client.get("/", headers={"host": "127.0.0.1:1"})).status_code == 200
    assert (
        is_loopback("127.9.9.9")
        and not is_loopback("10.0.0.1")
        and not is_loopback("localhost.evil")
    )


async def test_a_slow_body_is_given_up(port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guard_file, "BODY_TIMEOUT_S", 0.2)
    head = b"POST /body.now HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc"
    got = await raw(port, head)
    assert status_of(got) == 408 and b"API-113" in got


async def test_a_client_that_hangs_up_costs_nothing(port: int, client: httpx.AsyncClient):
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /body.now HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.post("/body.now", content=b"12345")).text == "5"


# ---- the static web


async def test_client_routes_give_the_page_and_assets_are_kept_for_ever(client: httpx.AsyncClient):
    for path in ("/", "/blotter/trades", "/index.html", "/rfq/R-1048"):
        page = await client.get(path)
        assert page.status_code == 200 and "Orion" in page.text
        assert page.headers["cache-control"] == "no-cache"
    asset = await client.get("/assets/index-B3kf92Qz.js", headers={"accept-encoding": "identity"})
    assert "immutable" in asset.headers["cache-control"]
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (await client.get("/assets/index-00000000.js")).status_code == 404


async def test_precompressed_files_are_used_and_etags_answered(client: httpx.AsyncClient):
    packed = await client.get("/assets/index-B3kf92Qz.js", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip" and packed.text.startswith("console.log")
    _, chosen = packed.headers["vary"], await raw_encoding(client, "br, gzip")
    assert chosen == "br"
    again = await client.get(
        "/favicon.svg",
        headers={"if-none-match": (await client.get("/favicon.svg")).headers["etag"]},
    )
    assert again.status_code == 304 and again.content == b""


async def raw_encoding(client: httpx.AsyncClient, accept: str) -> str:
    async with client.stream(
        "GET", "/assets/index-B3kf92Qz.js", headers={"accept-encoding": accept}
    ) as answered:
        return answered.headers["content-encoding"]


CLIMBS = [
    "/../secret.txt",
    "/..%2fsecret.txt",
    "/%2e%2e/secret.txt",
    "/assets/../../secret.txt",
    "/assets/..%2f..%2fsecret.txt",
    "/....//secret.txt",
    "/..\\secret.txt",
    "/%2e%2e%5csecret.txt",
    "//etc/passwd",
    "/assets//..//..//secret.txt",
    "/link.txt",
    "/%252e%252e/secret.txt",
    "/.%2e/secret.txt",
    "/assets/index-B3kf92Qz.js.gz",
    "/assets/.",
    "/assets/..",
]


@pytest.mark.parametrize("path", CLIMBS)
async def test_no_path_climbs_out(port: int, path: str):
    got = await raw(
        port, b"GET " + path.encode() + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert SECRET not in got and b"root:" not in got
    assert status_of(got) in (200, 400, 404)
    if status_of(got) == 200:  # a client route: the page itself
        assert b"<title>Orion</title>" in got


async def test_a_web_that_is_not_built_says_so(tmp_path: Path):
    async with (
        served(lambda port: Guard(StaticFiles(tmp_path), f"http://localhost:{port}")) as port,
        httpx.AsyncClient(base_url=f"http://localhost:{port}") as client,
    ):
        page = await client.get("/")
        assert page.status_code == 503 and "make web" in page.text
        (tmp_path / "index.html").write_text("now")
        assert (await client.get("/")).text == "now"


# ---- problems


def test_every_code_makes_a_problem():
    for code, kind in catalogue().items():
        told = answer(Coded(code), "q1", "c1")
        document = json.loads(told.body)
        assert told.status == kind.status == document["status"]
        assert document["correlationId"] == "c1" and document["requestId"] == "q1"
        names = {name for name, _ in told.headers}
        assert ("retry-after" in names) == (kind.status in (429, 503))
        assert ("www-authenticate" in names) == (kind.status == 401)


def test_extra_fields_never_stand_over_the_standard_ones():
    document = json.loads(
        answer(Coded("API-100", extra={"code": "X", "title": "X", "requestId": "X"}), "q1").body
    )
    assert (document["code"], document["title"], document["requestId"]) == (
        "API-100",
        catalogue()["API-100"].title,
        "q1",
    )


def test_field_problems_name_the_field():
    error, _ = coded(invalid("size", "is not a number"))
    assert json.loads(answer(error, "q").body)["errors"] == [
        {"field": "size", "code": "API-100", "message": "is not a number"}
    ]
