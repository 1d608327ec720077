"""What must not pass: forged tokens, ended sessions, hostile bytes, at the running platform's own
doors.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.forged import Forger
from tests.stack import Stack, until
from tests.stack_clients import desk_of, feed_of, new_key, rfq_terms

CODE = re.compile(r"^[A-Z]+-\d{3}$")
DEEP = "[" * 5000 + "]" * 5000


def forger_of(stack: Stack) -> Forger:
    """Forges with the running platform's own keys, which no attacker has."""
    secrets = stack.settings.secrets_dir
    key = ECKey.import_key(json.loads((secrets / "oidc-signing-0001.jwk").read_text()))
    service = (secrets / "service.key").read_bytes()
    return Forger(key, int(time.time()), stack.settings.issuer, service)


def refused(answer: httpx.Response, *statuses: int) -> str:
    """The code of a problem document; anything else fails."""
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text:.300}"
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.headers
    code = answer.json()["code"]
    assert CODE.match(code), code
    return code


async def stream_refuses(stack: Stack, token: str) -> str:
    """How the stream turns this token away; it must say nothing before."""
    url = stack.url.replace("http", "ws", 1) + "/api/v1/stream"
    headers = {"authorization": f"Bearer {token}".strip()}
    try:
        async with connect(url, additional_headers=headers, proxy=None) as socket:
            await socket.send('{"op":"subscribe","channel":"rfqs"}')
            told = await asyncio.wait_for(socket.recv(), 10)
            return f"it said {told!r:.200}"
    except InvalidStatus as answer:
        return str(answer.response.status_code)
    except ConnectionClosed as closed:
        return str(closed.rcvd.code if closed.rcvd else "dropped")


async def test_forged_tokens_pass_no_door(stack: Stack) -> None:
    forger = forger_of(stack)
    forged = forger.rows()
    assert len(forged) > 50
    passed: list[str] = []
    # The keys are the true ones: the same token, not forged, is let in.
    good = {"authorization": f"Bearer {forger.user()}"}
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=good) as http:
        assert (await http.get("/trades")).status_code == 200
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", timeout=10) as http:
        for name, token in forged.items():
            headers = {"authorization": f"Bearer {token}".strip()}
            for method, path in (("GET", "/me"), ("GET", "/trades"), ("POST", "/rfqs")):
                body = rfq_terms() if method == "POST" else None
                more = {"idempotency-key": new_key()} if method == "POST" else {}
                answer = await http.request(method, path, json=body, headers={**headers, **more})
                if answer.status_code not in (401, 431):
                    passed.append(f"{method} {path}, {name}: {answer.status_code}")
            stream = await stream_refuses(stack, token)
            if stream not in ("401", "431", "4401"):
                passed.append(f"stream, {name}: {stream}")
    assert passed == []


async def test_service_token_is_no_user(stack: Stack) -> None:
    """A token of one of our services is good inside, never at the public door."""
    token = forger_of(stack).service()
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1") as http:
        answer = await http.get("/trades", headers={"authorization": f"Bearer {token}"})
        refused(answer, 401, 403)
    assert await stream_refuses(stack, token) in ("401", "403", "4401", "4403")


async def test_headers_a_client_sends_say_nothing(stack: Stack) -> None:
    token = await stack.token("platform@beta")
    claims = {
        "authorization": f"Bearer {token}", "x-tenant": "alpha", "x-user": "trader@alpha",
        "x-forwarded-user": "trader@alpha", "x-orion-tenant": "alpha", "x-correlation-id": "mine",
        "x-request-id": "mine",
    }  # fmt: skip
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=claims) as http:
        answer = await http.get("/trades")
        assert refused(answer, 403) == "AUTH-103"
        assert answer.json()["requestId"] != "mine"
        assert (await http.get("/me")).json()["tenantId"] == "beta"


async def test_disabling_a_user_ends_rest_and_stream(stack: Stack) -> None:
    async with desk_of(stack, "sales@alpha") as desk, feed_of(stack, "sales@alpha") as feed:
        await feed.subscribe("trades")
        assert (await desk.get("/trades")).status_code == 200
        try:
            code, _, err = await stack.orion("user", "disable", "sales@alpha")
            assert code == 0, err

            async def is_out() -> bool:
                return (await desk.get("/trades")).status_code == 401

            await until(is_out, 2, "REST refuses")
            closed = await until(lambda: feed.closed, 2, "the stream is closed")
            assert closed[0] == 4401
            code, out, _ = await stack.orion("token", "sales@alpha")
            assert (code != 0, out) == (True, "")
        finally:
            await stack.orion("user", "enable", "sales@alpha")
        await stack.token("sales@alpha", fresh=True)
    async with desk_of(stack, "sales@alpha") as desk:
        assert (await desk.get("/trades")).status_code == 200


BODIES: dict[str, bytes | str] = {
    "nothing": b"",
    "not JSON": b"{",
    "not UTF-8": b'{"instrumentId":"\xff\xfe"}',
    "a list": b"[]",
    "a text": b'"EURUSD"',
    "null": b"null",
    "deep": DEEP,
    "same key twice": b'{"instrumentId":"EURUSD","instrumentId":"GBPUSD"}',
    "NaN": json.dumps(rfq_terms()).replace('"1000000"', "NaN"),
    "infinity": json.dumps(rfq_terms()).replace("30", "1e999"),
    "a number as size": json.dumps(rfq_terms(size=1_000_000)),
    "a huge whole number": json.dumps(rfq_terms()).replace("30", "9" * 5000),
    "a long size": json.dumps(rfq_terms(size="9" * 400)),
    "a negative size": json.dumps(rfq_terms(size="-1000000")),
    "exponent": json.dumps(rfq_terms(size="1e6")),
    "NUL": json.dumps(rfq_terms(instrumentId="EUR\0USD")),
    "lone surrogate": b'{"instrumentId":"\\ud800","side":"BUY","size":"1","expirySeconds":30}',
    "unknown field": json.dumps(rfq_terms(tenantId="beta")),
    "no side": json.dumps({"instrumentId": "EURUSD", "size": "1000000", "expirySeconds": 30}),
    "lower-case side": json.dumps(rfq_terms(side="buy")),
    "expiry too long": json.dumps(rfq_terms(expirySeconds=301)),
    "expiry too short": json.dumps(rfq_terms(expirySeconds=4)),
    "expiry a fraction": json.dumps(rfq_terms(expirySeconds=30.5)),
    "thousand dealers": json.dumps(rfq_terms(lpIds=[f"LP{i}" for i in range(1000)])),
    "SQL": json.dumps(rfq_terms(instrumentId="'; drop table trades; --")),
}


@pytest.mark.parametrize("name", BODIES)
async def test_hostile_bodies_get_a_code(stack: Stack, name: str) -> None:
    headers = {
        "authorization": f"Bearer {await stack.token('trader2@alpha')}",
        "content-type": "application/json",
        "idempotency-key": new_key(),
    }
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1", headers=headers) as http:
        refused(await http.post("/rfqs", content=BODIES[name]), 400, 422)


HOSTILE_REQUESTS: dict[str, tuple[str, str, dict[str, Any], tuple[int, ...]]] = {
    "too large": ("POST", "/rfqs", {"content": b" " * 200_000}, (413,)),
    "not JSON by name": (
        "POST", "/rfqs",
        {"content": b"{}", "headers": {"content-type": "text/plain"}}, (415,),
    ),
    "no such path": ("GET", "/nothing", {}, (404,)),
    "no such method": ("DELETE", "/trades", {}, (405,)),
    "a made-up cursor": ("GET", "/trades?cursor=AAAA", {}, (400,)),
    "limit 0": ("GET", "/trades?limit=0", {}, (400, 422)),
    "limit too high": ("GET", "/trades?limit=100000", {}, (400, 422)),
    "limit no number": ("GET", "/trades?limit=x", {}, (400, 422)),
    "a status there is not": ("GET", "/rfqs?status=OPENISH", {}, (400, 422)),
    "NUL in the path": ("GET", "/rfqs/%00", {}, (400, 404)),
    "climbing": ("GET", "/rfqs/..%2f..%2f..%2fetc%2fpasswd", {}, (400, 404)),
    "a long id": ("GET", "/rfqs/" + "a" * 4000, {}, (400, 404, 414, 431)),
    "no key": ("POST", "/rfqs", {"json": rfq_terms(), "headers": {"idempotency-key": ""}}, (400,)),
    "a bad key": (
        "POST", "/rfqs", {"json": rfq_terms(), "headers": {"idempotency-key": "a b"}}, (400,),
    ),
    "large headers": ("GET", "/me", {"headers": {"x-large": "a" * 100_000}}, (400, 431)),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_REQUESTS)
async def test_hostile_requests_get_a_code(stack: Stack, name: str) -> None:
    method, path, more, statuses = HOSTILE_REQUESTS[name]
    headers = {
        "authorization": f"Bearer {await stack.token('trader2@alpha')}",
        "content-type": "application/json",
        "idempotency-key": new_key(),
        **more.pop("headers", {}),
    }
    async with httpx.AsyncClient(base_url=f"{stack.url}/api/v1") as http:
        refused(await http.request(method, path, headers=headers, **more), *statuses)


GARBAGE = {
    "no HTTP": b"\x00\x01\x02\x03" * 100,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "endless line": b"GET /" + b"a" * 200_000,
    "two lengths": (
        b"POST /api/v1/rfqs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Content-Length: 50\r\n\r\nhello"
    ),
    "length and chunks": (
        b"POST /api/v1/rfqs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n"
    ),
    "stream without a key": b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", GARBAGE)
async def test_garbage_on_the_port_is_turned_away(stack: Stack, name: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    try:
        writer.write(GARBAGE[name])
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(4096), 15)
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    if answer:  # whatever it was, a refusal has a code
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.split(b" ")[1][:1] == b"4", answer[:200]
        assert CODE.match(json.loads(body)["code"])
    assert await stack.is_ready()


async def test_the_stream_is_not_opened_on_a_kept_connection(stack: Stack) -> None:
    """A connection belongs to whom its first request was for: the second is sent away, and the
    connection ends so that nothing asks on it again.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    try:
        host = f"Host: localhost:{stack.port}\r\n"
        writer.write(f"GET /healthz HTTP/1.1\r\n{host}\r\n".encode())
        first = await asyncio.wait_for(reader.readuntil(b"}"), 15)
        assert first.startswith(b"HTTP/1.1 200"), first[:200]
        writer.write(
            f"GET /api/v1/stream HTTP/1.1\r\n{host}Connection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "\r\n".encode()
        )
        head, _, body = (await asyncio.wait_for(reader.read(), 15)).partition(b"\r\n\r\n")
    finally:
        writer.close()
    assert head.startswith(b"HTTP/1.1 421 "), head[:200]
    assert b"\r\nconnection: close" in head.lower()
    assert json.loads(body)["code"] == "API-115"


FRAMES: dict[str, tuple[Any, int]] = {
    "not JSON": ("{", 4400),
    "a list": ("[]", 4400),
    "binary": (b"\x00\x01", 4400),
    "oversized": ('{"op":"ping","id":"' + "a" * 100_000 + '"}', 1009),
    "deep": (DEEP, 4400),
    "same key twice": ('{"op":"ping","op":"subscribe"}', 4400),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_hostile_frames_end_the_socket_with_a_code(stack: Stack, name: str) -> None:
    frame, code = FRAMES[name]
    url = stack.url.replace("http", "ws", 1) + "/api/v1/stream"
    headers = {"authorization": f"Bearer {await stack.token('trader2@alpha')}"}
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.send(frame)
            while True:
                await asyncio.wait_for(socket.recv(), 10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    if code == 4400:
        assert closed.value.rcvd.reason.startswith("WS-501")


async def test_wrong_words_on_the_stream_are_answered(stack: Stack) -> None:
    async with feed_of(stack, "trader2@alpha") as feed:
        wrong = [
            ({"op": "buy"}, "WS-501"),
            ({"op": "subscribe", "channel": "secrets"}, "WS-505"),
            ({"op": "subscribe", "channel": "ticks", "instrumentIds": []}, "WS-501"),
            ({"op": "subscribe", "channel": "ticks", "instrumentIds": ["A"] * 300}, "MD-401"),
            ({"op": "subscribe", "channel": "rfqs", "tenant": "beta"}, "WS-501"),
        ]
        for message, code in wrong:
            seen = len(feed.frames)
            await feed.send(message)
            answer = await feed.frame(type="error", since=seen)
            assert answer["items"][0]["code"] == code
        await feed.ping()


async def test_a_flood_ends_one_socket_only(stack: Stack) -> None:
    async with feed_of(stack, "trader@beta") as other, feed_of(stack, "trader2@alpha") as feed:
        try:
            for _ in range(500):
                await feed.send({"op": "ping", "id": 1})
        except ConnectionClosed:
            pass
        closed = await until(lambda: feed.closed, 10, "the flooding socket is closed")
        assert "WS-504" in closed[1]
        await other.ping()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", ""])
async def test_a_strange_page_gets_no_stream(stack: Stack, origin: str) -> None:
    """A browser sends its cookies with any page's socket: what counts is the page's Origin."""
    url = stack.url.replace("http", "ws", 1) + "/api/v1/stream"
    headers = {"cookie": f"__Host-orion-{stack.port}=whatever"}
    headers |= {"origin": origin} if origin else {}
    with pytest.raises(InvalidStatus) as answer:
        async with connect(url, additional_headers=headers, proxy=None):
            pass
    assert answer.value.response.status_code == 403
