"""Processes without the supervisor and its acceptor, each at ports of its own, as in containers."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from orion.app.health import health
from orion.app.serve import serve
from orion.platform.config import ConfigError, Settings
from orion.platform.datadir import StartError
from orion.platform.embedded import EmbeddedPostgres
from orion.platform.store.migrate import migrate
from orion.platform.tcp_door import TcpDoor, probe_port
from tests.stack import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
SERVE = "orion.app"
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Origin": "https://elsewhere.example",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


@asynccontextmanager
async def running(
    module: str, *words: str, environment: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", module, *words), env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def eventually(address: str, process: asyncio.subprocess.Process, *, is_ready: bool) -> str:
    """What the health check says once the process answers it so."""
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None, "it ended by itself"
            found, words = await asyncio.to_thread(health, address)
            if found is is_ready and (is_ready or "starting" in words or "edge" in words):
                return words
            await asyncio.sleep(0.05)


async def test_doors_on_tcp_metrics_and_health(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("d")
    port, edge, probe, edge_probe = (free_port() for _ in range(4))
    keeper = f"127.0.0.1:{free_port()}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
    shared = {**kept, "ORION_DATA_DIR": str(data), "ORION_PORT": str(port)}
    door = {"ORION_HTTP_LISTEN": f"127.0.0.1:{port}"}
    ports = {**shared, **door, "ORION_METRICS_LISTEN": f"127.0.0.1:{probe}"}
    stream = {"ORION_HTTP_LISTEN": f"127.0.0.1:{edge}"}
    edge_ports = {**shared, **stream, "ORION_METRICS_LISTEN": f"127.0.0.1:{edge_probe}"}
    keeper_ports = {**shared, "ORION_METRICS_LISTEN": keeper}
    settings = Settings(environment=shared)
    roles = ("bff_workstation", "identity", "workspace")
    async with (
        EmbeddedPostgres(data, settings.run_dir) as pg,
        httpx.AsyncClient(timeout=10) as web,
    ):
        await migrate(pg.access.admin_dsn, pg.access.passwords)
        async with (
            running(SERVE, "serve", *roles, "--process", "bff", environment=ports) as first,
            running(SERVE, "serve", "push_edge", environment=edge_ports) as second,
            running("orion.app.keeper", environment=keeper_ports) as third,
        ):
            assert await eventually(f"127.0.0.1:{probe}", first, is_ready=True) == "ready"
            answer = await web.get(f"http://localhost:{port}/healthz")
            assert answer.json()["status"] == "ok"
            assert answer.headers["x-frame-options"] == "DENY"
            told = (await web.get(f"http://127.0.0.1:{probe}/metrics")).text
            assert "orion_http_answers_total" in told

            # No service that the edge hears is there: it is alive and says why it is not ready.
            await eventually(f"127.0.0.1:{edge_probe}", second, is_ready=False)
            alive = await web.get(f"http://127.0.0.1:{edge_probe}/healthz")
            assert alive.status_code == 200
            at = f"http://127.0.0.1:{edge}/api/v1/stream"
            async with asyncio.timeout(START_S):
                while True:
                    try:
                        refused = await web.get(at, headers=HANDSHAKE)
                        break
                    except httpx.ConnectError:
                        await asyncio.sleep(0.05)
            assert (refused.status_code, refused.json()["code"]) == (403, "AUTH-104")

            assert await eventually(keeper, third, is_ready=True) == "ready"
            for process in (first, second, third):
                process.send_signal(signal.SIGTERM)
                assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_probe_tells_what_is_missing_and_nothing_else() -> None:
    waiting = ["rfq: starting"]
    async with (
        probe_port("127.0.0.1:0", lambda: waiting) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as web,
    ):
        assert await asyncio.to_thread(health, f"0.0.0.0:{port}") == (False, "rfq: starting")
        waiting.clear()
        assert await asyncio.to_thread(health, f"127.0.0.1:{port}") == (True, "ready")
        assert (await web.get("/secrets")).status_code == 404
        assert (await web.post("/metrics")).status_code == 405
        with pytest.raises(StartError, match="ORION_METRICS_LISTEN"):
            async with probe_port(f"127.0.0.1:{port}", lambda: []):
                pass
    is_ready, words = await asyncio.to_thread(health, f"127.0.0.1:{port}")
    assert not is_ready and words
    assert not health("")[0]


@pytest.mark.parametrize("text", ["8080", "host", "host:http", ":8080", "::1:8080", "h:99999"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="ORION_HTTP_LISTEN"):
        TcpDoor.of("ORION_HTTP_LISTEN", text)
    assert TcpDoor.of("K", "[::1]:80") == TcpDoor("::1", 80, "K")


async def test_http_and_the_stream_do_not_share_a_port(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    flags = {"data_dir": tmp_path_factory.mktemp("d"), "http_listen": "127.0.0.1:0"}
    with pytest.raises(ConfigError, match="ORION_HTTP_LISTEN"):
        await serve("x", ["bff_workstation", "push_edge"], Settings(flags=flags), lambda: None)
