"""The one port, over real sockets: heads in every shape, targets that live, hang and die."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orion.platform.acceptor import Acceptor, by_path, listen
from orion.platform.datadir import StartError
from orion.platform.descriptors import Receiver, Sender, give_away
from orion.platform.errors import Coded
from orion.platform.handoff import serve_asgi, serve_stream
from orion.platform.push import Peer, PushServer

QUEUED = 400  # more than any kernel's queue of datagrams
Answer = tuple[int, dict[str, str], bytes]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says which path was asked and what the body was."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = json.dumps({"path": scope["path"], "body": body.decode(), "pid": os.getpid()}).encode()
    headers = [(b"content-length", str(len(said)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


class Parrot:
    """Sends every message back."""

    def admit(self, request: Any) -> None:
        if b"stream" not in request.path:
            raise Coded("API-104")

    def opened(self, peer: Peer, request: Any) -> None: ...

    def message(self, peer: Peer, text: bytes) -> None:
        peer.send(b"heard " + text)

    def closed(self, peer: Peer) -> None: ...


@pytest.fixture
def folder() -> Any:
    with tempfile.TemporaryDirectory(prefix="orion-t") as name:
        yield Path(name)


@asynccontextmanager
async def door(folder: Path, **limits: Any) -> AsyncIterator[int]:
    """An acceptor on a free port in front of `bff` and `edge` in this folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    targets = {name: Sender(folder / f"{name}.http.sock") for name in ("bff", "edge")}
    acceptor = Acceptor(listen("loopback", port), targets, by_path("edge", "bff", "oidc"), **limits)
    acceptor.start()
    try:
        yield port
    finally:
        acceptor.close()


@asynccontextmanager
async def running(what: Any, ready: Callable[[], bool]) -> AsyncIterator[None]:
    task = asyncio.create_task(what)
    await until(lambda: ready() or task.done())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(status.split()[1]), headers, body


async def ask(port: int, raw: bytes, host: str = "127.0.0.1") -> Answer:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw)
    try:
        return await read_answer(reader)
    finally:
        writer.close()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


async def test_a_request_reaches_its_target_on_both_loopback_addresses(folder: Path) -> None:
    path = folder / "bff.http.sock"
    async with door(folder) as port, running(serve_asgi(path, echo), path.exists):
        for host in ("127.0.0.1", "::1"):
            status, headers, body = await ask(port, get("/api/v1/me?x=1"), host)
            assert (status, json.loads(body)["path"]) == (200, "/api/v1/me")
            assert "date" in headers
            assert "server" not in headers


async def test_a_connection_is_kept_and_requests_may_come_in_one_piece(folder: Path) -> None:
    path = folder / "bff.http.sock"
    async with door(folder) as port, running(serve_asgi(path, echo), path.exists):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/one") + get("/two"))
        paths = [json.loads((await read_answer(reader))[2])["path"] for _ in range(2)]
        writer.write(get("/three"))
        paths.append(json.loads((await read_answer(reader))[2])["path"])
        writer.close()
        assert paths == ["/one", "/two", "/three"]


async def test_a_body_that_came_with_the_head_is_not_lost(folder: Path) -> None:
    path = folder / "bff.http.sock"
    body = b"x" * 300_000
    head = f"POST /in HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with door(folder) as port, running(serve_asgi(path, echo), path.exists):
        status, _, said = await ask(port, head + body)
        assert status == 200
        assert len(json.loads(said)["body"]) == len(body)


async def test_a_head_in_pieces_is_put_together(folder: Path) -> None:
    path = folder / "bff.http.sock"
    async with door(folder) as port, running(serve_asgi(path, echo), path.exists):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in get("/slowly"):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.001)
        assert json.loads((await read_answer(reader))[2])["path"] == "/slowly"
        writer.close()


def masked(text: bytes) -> bytes:
    """A client's text frame."""
    key = b"\x01\x02\x03\x04"
    payload = bytes(b ^ key[i % 4] for i, b in enumerate(text))
    return bytes([0x81, 0x80 | len(text)]) + key + payload


async def test_a_websocket_with_frames_behind_its_handshake(folder: Path) -> None:
    path = folder / "edge.http.sock"
    server = PushServer(Parrot())
    key = base64.b64encode(b"0123456789abcdef").decode()
    handshake = (
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    async with door(folder) as port, running(serve_stream(path, server), path.exists):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(handshake + masked(b"early"))
        status, headers, _ = await read_answer(reader)
        assert status == 101
        assert headers["upgrade"] == "websocket"
        assert await asyncio.wait_for(reader.readexactly(13), 10) == b"\x81\x0bheard early"
        writer.write(masked(b"late"))
        assert await asyncio.wait_for(reader.readexactly(12), 10) == b"\x81\x0aheard late"
        writer.close()


def test_only_the_stream_goes_to_the_edge() -> None:
    def route(target: bytes) -> str:
        return by_path("edge", "bff", "oidc")(target, b"GET %s HTTP/1.1\r\nA: b\r\n\r\n" % target)

    assert route(b"/api/v1/stream") == "edge"
    assert route(b"/api/v1/stream?since=4") == "edge"
    for other in (b"/", b"/api/v1/streams", b"/api/v1/stream/x", b"/x?/api/v1/stream"):
        assert route(other) == "bff"
    assert route(b"/oidc/jwks") == route(b"/oidc?x") == "oidc"
    assert route(b"/oidcs") == "bff"


HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",  # as Firefox says it
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"k" * 16).decode(),
}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 101),
        ({"Upgrade": "h2c"}, 400),
        ({"Connection": "keep-alive"}, 400),
        ({"Sec-WebSocket-Version": "8"}, 400),
        ({"Sec-WebSocket-Key": "x"}, 400),
        ({"Sec-WebSocket-Key": "\u00e9"}, 400),
    ],
)
async def test_a_handshake_is_taken_or_refused_with_a_code(
    folder: Path, changed: dict[str, str], status: int
) -> None:
    path = folder / "edge.http.sock"
    lines = "".join(f"{name}: {value}\r\n" for name, value in (HANDSHAKE | changed).items())
    raw = STREAM + f"Host: a\r\n{lines}\r\n".encode()
    server = PushServer(Parrot())
    async with door(folder) as port, running(serve_stream(path, server), path.exists):
        answered, _, body = await ask(port, raw)
    assert answered == status
    assert status == 101 or json.loads(body)["code"] == "API-100"


STREAM = b"GET /api/v1/stream HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /api/v1/stream HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/v1/stream HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET /api/v1/stream HTTP/1.1\nHost: a\n\n",
        STREAM + b"no header\r\n\r\n",
        STREAM + b"Host: a\r\n folded\r\n\r\n",
        STREAM + b"Host : a\r\n\r\n",
        STREAM + b"Host: a\0\r\n\r\n",
        STREAM + b"Transfer-Encoding: chunked\r\n\r\n",
        STREAM + b"Content-Length: 0\r\ncontent-length: 7\r\n\r\n",
        STREAM + b"A: b\r\n" * 101 + b"\r\n",
    ],
)
async def test_what_opens_no_stream_is_refused_with_a_code(folder: Path, raw: bytes) -> None:
    async with door(folder) as port:  # nobody stands behind it: what went through would be a 503
        status, headers, body = await ask(port, raw)
    assert (status, json.loads(body)["code"]) == (400, "API-100")
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["type"] == "urn:orion:problem:API-100"


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_what_the_parser_refuses_has_a_code(folder: Path, wrong: bytes) -> None:
    path = folder / "bff.http.sock"
    async with door(folder) as port, running(serve_asgi(path, echo), path.exists):
        status, headers, body = await ask(port, wrong)
    assert (status, json.loads(body)["code"]) == (400, "API-100")
    assert (headers["content-type"], headers["connection"]) == ("application/problem+json", "close")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x07" * 40, 400, "API-100"),
        (b"hello there\r\n\r\n", 400, "API-100"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400, "API-100"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431, "API-112"),
        (b"GET /half HTTP/1.1\r\nHost:", 408, "API-113"),
    ],
    ids=["tls", "garbage", "http2", "too-large", "unfinished"],
)
async def test_what_is_no_request_gets_a_coded_answer(
    folder: Path, raw: bytes, status: int, code: str
) -> None:
    async with door(folder, head_s=0.3) as port:
        got, headers, body = await ask(port, raw)
        assert (got, json.loads(body)["code"]) == (status, code)
        assert headers["content-type"] == "application/problem+json"


async def test_a_spare_connection_is_closed_without_a_word(folder: Path) -> None:
    async with door(folder, head_s=0.2) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_the_oldest_silent_connection_makes_room(folder: Path) -> None:
    path = folder / "bff.http.sock"
    async with (
        door(folder, head_s=60, pending=3) as port,
        running(serve_asgi(path, echo), path.exists),
    ):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        status, _, _ = await ask(port, get("/"))
        assert status == 200
        assert await asyncio.wait_for(silent[0][0].read(), 10) == b""
        for _, writer in silent:
            writer.close()


async def test_a_target_that_is_not_there_is_a_503_with_a_hint(folder: Path) -> None:
    async with door(folder) as port:
        raw = b'POST /rfqs HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"a": 1}\n'
        status, headers, body = await ask(port, raw)
        assert (status, json.loads(body)["code"]) == (503, "SYS-901")
        assert headers["retry-after"] == "1"


async def test_a_crowd_that_comes_at_once_is_served_whole(folder: Path) -> None:
    """The kernel queues ten sockets or so; after an outage hundreds come back at once."""
    got: list[socket.socket] = []
    path = folder / "bff.http.sock"
    async with door(folder) as port:
        with Receiver(path, got.append):
            crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
            for one in crowd:
                one.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(20):
                while len(got) < len(crowd):
                    await asyncio.sleep(0.01)
    for one in [*crowd, *got]:
        one.close()


async def test_a_target_that_hangs_is_a_503_once_its_queue_is_full(folder: Path) -> None:
    async with door(folder) as port:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
            deaf.bind(str(folder / "bff.http.sock"))
            waiting = []
            try:
                for _ in range(QUEUED):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    waiting.append((reader, writer))
                    writer.write(get("/"))
                async with asyncio.timeout(60):
                    head = await waiting[-1][0].readexactly(12)
                assert head == b"HTTP/1.1 503"
            finally:
                for _, writer in waiting:
                    writer.close()


TARGET = """
import asyncio, sys
from pathlib import Path
from tests.platform.test_acceptor import echo
from orion.platform.handoff import serve_asgi
asyncio.run(serve_asgi(Path(sys.argv[1]), echo))
"""


async def test_a_killed_target_is_a_503_until_the_next_one_is_there(folder: Path) -> None:
    path = folder / "bff.http.sock"
    root = Path(__file__).resolve().parents[2]
    env = {**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"}

    async def start() -> asyncio.subprocess.Process:
        command = (sys.executable, "-c", TARGET, str(path))
        return await asyncio.create_subprocess_exec(*command, env=env)

    async def serves(port: int) -> int:
        async with asyncio.timeout(30):
            while (answer := await ask(port, get("/")))[0] != 200:
                await asyncio.sleep(0.02)
        return int(json.loads(answer[2])["pid"])

    async with door(folder) as port:
        first = await start()
        assert await serves(port) == first.pid
        first.kill()
        await first.wait()
        status, _, body = await ask(port, get("/"))
        assert (status, json.loads(body)["code"]) == (503, "SYS-901")
        second = await start()
        try:
            assert await serves(port) == second.pid
        finally:
            second.kill()
            await second.wait()


async def test_a_stranger_on_the_hand_over_socket_is_ignored(folder: Path) -> None:
    got: list[socket.socket] = []
    path = folder / "x.sock"
    left, right = socket.socketpair()
    with Receiver(path, got.append), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"no socket here", str(path))
        give_away(out, left, str(path), b"wrong!")
        give_away(out, left, str(path))
        await until(lambda: bool(got))
        assert len(got) == 1
    for sock in (*got, left, right):
        sock.close()


async def test_a_port_in_use_is_a_sentence_that_names_the_holder() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StartError, match=rf"Port {port} is in use.*--port {port + 1}") as told:
            listen("loopback", port)
        assert f"pid {os.getpid()}" in str(told.value)


async def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(StartError, match="ORION_BIND"):
        listen("192.0.2.1", 0)
