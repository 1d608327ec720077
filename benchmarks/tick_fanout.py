"""How old is a price when a screen has it, and what does fan-out cost?

    python -m benchmarks.tick_fanout [--sockets 1000] [--rate 5000] [--seconds 30]

Starts the whole platform on a free port in a folder of its own, with the simulator at `--rate` raw
ticks a second; opens the sockets through the public port; each wants its own choice of instruments.
The load is open-loop: the simulator's schedule does not wait for anybody. Value age = the moment a
client has a frame − `receivedAt` of the newest tick in it (cut to milliseconds, so it reads up to 1
ms too old). A run whose tick schedule or whose own clients lag more than 3 ms (p99) is void. All on
loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvloop
from hdrh.histogram import HdrHistogram
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

CHECKOUT = Path(__file__).resolve().parents[1]
USERS = [
    f"{u}@{t}" for t in ("alpha", "beta") for u in ("trader", "trader2", "sales", "risk", "analyst")
]
MAX_LAG_MS = 3.0
CONNECT_AT_ONCE = 10
CONNECT_TRIES = 10
_RECEIVED = b'"receivedAt":"'
_TIMESTAMP = b'"timestamp":"'


@dataclass
class Measured:
    """What the clients saw. Histograms in microseconds."""

    age: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, 60_000_000, 3))
    schedule: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, 60_000_000, 3))
    client: HdrHistogram = field(default_factory=lambda: HdrHistogram(1, 60_000_000, 3))
    frames: int = 0
    items: int = 0
    bytes: int = 0
    closed: int = 0
    degraded: set[str] = field(default_factory=set)
    flush_hz: list[float] = field(default_factory=list)
    is_on: bool = False


_seconds: dict[bytes, int] = {}


def micros(text: bytes) -> int:
    """Microseconds of `2026-02-09T12:34:56.789Z`."""
    head = text[:19]
    second = _seconds.get(head)
    if second is None:
        second = int(datetime.fromisoformat(head.decode()).replace(tzinfo=UTC).timestamp())
        _seconds[head] = second
    return second * 1_000_000 + int(text[20:23]) * 1_000


class Screen(WSListener):  # type: ignore[misc]
    """One subscriber."""

    def __init__(self, measured: Measured, names: list[str]):
        self._measured, self._names = measured, names
        self.has_snapshot = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        ask = {"op": "subscribe", "channel": "ticks", "instrumentIds": self._names}
        transport.send(WSMsgType.TEXT, json.dumps(ask))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        now = time.time_ns() // 1_000
        body = frame.get_payload_as_bytes()
        m = self._measured
        if body.startswith(b'{"type":"snapshot"'):
            self.has_snapshot = True
        elif body.startswith(b'{"type":"heartbeat"') and m.is_on:
            item = json.loads(body)["items"][0]
            m.degraded.update(item["degraded"])
            m.flush_hz.append(item["flushHz"])
        elif m.is_on and body.startswith(b'{"type":"update"'):
            self._count(body, now)

    def _count(self, body: bytes, now: int) -> None:
        m = self._measured
        parts = body.split(_RECEIVED)[1:]
        newest = max(p[:24] for p in parts)
        m.age.record_value(max(1, now - micros(newest)))
        m.frames += 1
        m.items += len(parts)
        m.bytes += len(body)
        if m.frames % 50 == 0:
            intended = micros(body.split(_TIMESTAMP, 2)[1][:24])
            m.schedule.record_value(max(1, micros(parts[0][:24]) - intended))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._measured.closed += 1


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def orion(
    rate: float, more: dict[str, str]
) -> AsyncIterator[tuple[int, dict[str, str], psutil.Process]]:
    """The platform, ready: (port, its environment, its supervisor)."""
    with tempfile.TemporaryDirectory(
        prefix="orion-bench-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        port = free_port()
        environment = {
            **os.environ,
            "ORION_PORT": str(port),
            "ORION_DATA_DIR": f"{folder}/data",
            "ORION_MARKETDATA_INGEST_RATE": str(rate),
            "ORION_PUSH_EDGE_SOCKETS_PER_USER": "1000",
            **more,
        }
        with (Path(folder) / "out.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 (once, before anything is measured)
                [sys.executable, "-m", "orion.app.cli", "up"],
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await _ready(port, process, Path(folder) / "out.log")
            yield port, environment, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()


async def _ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 180
    async with httpx.AsyncClient() as http:
        while time.monotonic() < end:
            if process.poll() is not None:
                raise SystemExit(f"the platform did not start:\n{log.read_text()[-2000:]}")
            with contextlib.suppress(httpx.HTTPError):
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.2)
    raise SystemExit("the platform was not ready in 180 s")


def token(user: str, environment: dict[str, str]) -> str:
    """A bearer token of a demo user."""
    found = subprocess.run(
        [sys.executable, "-m", "orion.app.cli", "token", user],
        cwd=CHECKOUT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.strip()


async def connect(
    port: int, count: int, size: int, tokens: list[str], measured: Measured
) -> list[Any]:
    """The sockets, all subscribed; a few at a time."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            f"http://127.0.0.1:{port}/api/v1/instruments",
            headers={"Authorization": f"Bearer {tokens[0]}"},
        )
    names = [i["instrumentId"] for i in answer.json()["items"]]
    chance, made = random.Random(1), []

    async def one(n: int) -> None:
        screen = Screen(measured, chance.sample(names, size))
        for attempt in range(CONNECT_TRIES):
            try:
                transport, _ = await ws_connect(
                    lambda: screen,
                    f"ws://127.0.0.1:{port}/api/v1/stream",
                    extra_headers={"Authorization": f"Bearer {tokens[n % len(tokens)]}"},
                    websocket_handshake_timeout=30,
                    read_buffer_init_size=4096,
                )
            except WSHandshakeError as error:
                # 503: the edge has many sockets to take at once and says "again in a moment".
                if (
                    error.response is None
                    or error.response.status != 503
                    or attempt + 1 == CONNECT_TRIES
                ):
                    raise
                await asyncio.sleep(0.2 * (attempt + 1))
            else:
                made.append((transport, screen))
                return

    for start in range(0, count, CONNECT_AT_ONCE):
        await asyncio.gather(*(one(n) for n in range(start, min(count, start + CONNECT_AT_ONCE))))
    end = time.monotonic() + 60
    while not all(s.has_snapshot for _, s in made):
        if time.monotonic() > end:
            raise SystemExit("not every socket had its snapshot in 60 s")
        await asyncio.sleep(0.1)
    return made


async def own_lag(measured: Measured) -> None:
    """How late this process's own loop is."""
    step = 0.01
    due = time.monotonic() + step
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        if measured.is_on:
            measured.client.record_value(max(1, int(late * 1e6)))
        due += step
        if late > step:
            due = time.monotonic() + step


def cpu(supervisor: psutil.Process) -> dict[str, float]:
    """CPU seconds by process so far."""
    found: dict[str, float] = {"clients": sum(psutil.Process().cpu_times()[:2])}
    for child in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            name = _name(child)
            found[name] = found.get(name, 0.0) + sum(child.cpu_times()[:2])
    return found


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    if any("postgres" in w for w in words[:1]):
        return "postgres"
    return next((w for w in ("edge", "core", "bff", "bots") if w in words), "other")


async def counters(port: int, bearer: str) -> dict[str, float]:
    """The platform's counters that matter here."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {bearer}"}
        )
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        match = re.match(
            r"(orion_(?:edge_encodes|edge_tick_frames|md_ticks_published)\w*)(\{[^}]*\})? (\S+)",
            line,
        )
        if (
            match
            and "_created" not in match[1]
            and ("encodes" not in match[1] or '"ticks"' in (match[2] or ""))
        ):
            found[match[1]] = found.get(match[1], 0.0) + float(match[3])
    return found


def quantiles(h: HdrHistogram) -> dict[str, float]:
    """Percentiles in milliseconds."""
    at = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: round(h.get_value_at_percentile(p) / 1000, 2) for name, p in at.items()}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    me = asyncio.current_task()
    assert me is not None
    # Told to stop, we stop the platform first.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    measured = Measured()
    async with orion(options.rate, {}) as (port, environment, supervisor):
        tokens = [token(u, environment) for u in USERS]
        bearer = token("platform@alpha", environment)
        lag = asyncio.create_task(own_lag(measured))
        sockets = await connect(port, options.sockets, options.instruments, tokens, measured)
        await asyncio.sleep(options.warm_up)
        before, start = cpu(supervisor), time.monotonic()
        counted = await counters(port, bearer)
        measured.is_on = True
        await asyncio.sleep(options.seconds)
        measured.is_on = False
        took = time.monotonic() - start
        after, counted_after = cpu(supervisor), await counters(port, bearer)
        lag.cancel()
        lost, measured.closed = measured.closed, 0
        for transport, _ in sockets:
            transport.disconnect(graceful=False)
    per_second = {k: round((counted_after[k] - v) / took, 1) for k, v in counted.items()}
    spent = {k: round((v - before.get(k, 0.0)) / took * 100, 1) for k, v in after.items()}
    schedule, client = quantiles(measured.schedule), quantiles(measured.client)
    void = [n for n, q in (("ticks", schedule), ("clients", client)) if q["p99"] > MAX_LAG_MS]
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        "commit": _commit(),
        "options": {k: v for k, v in vars(options).items() if k != "save"},
        "value_age_ms": quantiles(measured.age),
        "tick_schedule_lag_ms": schedule,
        "client_loop_lag_ms": client,
        "void_because_of": void,
        "frames_per_second": round(measured.frames / took, 1),
        "items_per_second": round(measured.items / took, 1),
        "megabits_per_second": round(measured.bytes * 8 / took / 1e6, 1),
        "sockets_lost": lost,
        "screen_hz": sorted(set(measured.flush_hz)),
        "degraded": sorted(measured.degraded),
        "counters_per_second": per_second,
        "cpu_percent_of_a_core": spent,
        "histogram": measured.age.encode().decode(),
    }


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def main() -> None:
    """Runs, prints, and saves when asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=5_000)
    parser.add_argument("--instruments", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5)
    parser.add_argument("--save", type=Path, help="append the result as one line of JSON")
    options = parser.parse_args()
    if options.sockets > 10_000:
        parser.error("at most 10,000 sockets")
    result = uvloop.run(run(options))
    if options.save:
        with options.save.open("a") as file:
            file.write(json.dumps(result, default=str) + "\n")
    shown = {k: v for k, v in result.items() if k != "histogram"}
    print(json.dumps(shown, indent=2, default=str))
    if result["void_because_of"]:
        print(f"VOID: {', '.join(result['void_because_of'])} lagged over {MAX_LAG_MS} ms (p99)")
        raise SystemExit(2)
    if result["sockets_lost"]:
        print("FAILED: sockets were lost")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
