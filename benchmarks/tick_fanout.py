"""How old is a price when a screen has it, and what does fan-out cost?

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
import json
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import psutil
import uvloop
from hdrh.histogram import HdrHistogram
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.harness import (
    MAX_LAG_MS,
    Benchmark,
    Option,
    Outcome,
    Sheet,
    histogram,
    main,
    milliseconds,
    percentile_sheet,
)
from benchmarks.own_platform import counters, cpu, orion, token

USERS = [
    f"{u}@{t}" for t in ("alpha", "beta") for u in ("trader", "trader2", "sales", "risk", "analyst")
]
CONNECT_AT_ONCE = 10
CONNECT_TRIES = 10
COUNTERS = (
    "md_ticks_published_total|edge_tick_frames_total|edge_tick_frames_skipped_total"
    '|edge_encodes_total(?={[^}]*channel="ticks")'
)
_RECEIVED = b'"receivedAt":"'
_TIMESTAMP = b'"timestamp":"'


@dataclass
class Measured:
    """What the clients saw. Histograms in microseconds."""

    age: HdrHistogram = field(default_factory=histogram)
    schedule: HdrHistogram = field(default_factory=histogram)
    client: HdrHistogram = field(default_factory=histogram)
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


async def run(options: argparse.Namespace) -> Outcome:
    """One run."""
    me = asyncio.current_task()
    assert me is not None
    # Told to stop, we stop the platform first.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    measured = Measured()
    more = {"ORION_PUSH_EDGE_SOCKETS_PER_USER": "1000"}
    async with orion(options.rate, more) as (port, environment, supervisor):
        tokens = [token(u, environment) for u in USERS]
        bearer = token("platform@alpha", environment)
        lag = asyncio.create_task(own_lag(measured))
        sockets = await connect(port, options.sockets, options.instruments, tokens, measured)
        await asyncio.sleep(options.warm_up)
        counted = await counters(port, bearer, COUNTERS)
        before, start = _spent(supervisor), time.monotonic()
        measured.is_on = True
        await asyncio.sleep(options.seconds)
        measured.is_on = False
        took, after = time.monotonic() - start, _spent(supervisor)
        counted_after = await counters(port, bearer, COUNTERS)
        lag.cancel()
        lost, measured.closed = measured.closed, 0
        for transport, _ in sockets:
            transport.disconnect(graceful=False)
    counts = {k: counted_after[k] - v for k, v in counted.items()}
    spent = {k: v - before.get(k, 0.0) for k, v in after.items()}
    return report(measured, counts, spent, took, lost)


def _spent(supervisor: psutil.Process) -> dict[str, float]:
    return {**cpu(supervisor), "clients": sum(psutil.Process().cpu_times()[:2])}


def report(
    measured: Measured, counts: dict[str, float], spent: dict[str, float], took: float, lost: int
) -> Outcome:
    """What the run gave."""
    times = {
        "value age": measured.age,
        "tick schedule lag": measured.schedule,
        "client loop lag": measured.client,
    }
    age = milliseconds(measured.age)
    ticks, frames = counts.get("md_ticks_published_total", 0.0), measured.frames
    void = [
        f"{name} p99 {milliseconds(h)['p99']} ms, limit {MAX_LAG_MS:g} ms"
        for name, h in times.items()
        if h is not measured.age and milliseconds(h)["p99"] > MAX_LAG_MS
    ]
    numbers = {
        "value_age_p50_ms": age["p50"],
        "value_age_p99_ms": age["p99"],
        "ticks_per_second": round(ticks / took, 1),
        "frames_per_second": round(frames / took, 1),
        "encodes_per_second": round(counts.get("edge_encodes_total", 0.0) / took, 1),
        "edge_us_per_frame": _us(spent.get("edge"), frames),
        "platform_us_per_tick": _us(
            sum(v for k, v in spent.items() if k not in ("clients", "edge")), ticks
        ),
        "screen_hz_lowest": round(min(measured.flush_hz, default=0.0), 2),
    }
    rows = [
        (k, round(v / took * 100, 1), _us(v, ticks), _us(v, frames))
        for k, v in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return Outcome(
        numbers,
        [
            percentile_sheet("Ages and lags", times),
            Sheet("CPU", ("process", "% of a core", "µs per tick", "µs per frame"), rows),
            Sheet("Numbers", ("what", "value"), list(numbers.items())),
        ],
        void,
        [f"{lost} sockets were lost"] if lost else [],
        {
            "items_per_second": round(measured.items / took, 1),
            "megabits_per_second": round(measured.bytes * 8 / took / 1e6, 1),
            "degraded": sorted(measured.degraded),
            "cpu_seconds": spent,
            "took_seconds": took,
        },
        times,
    )


def _us(seconds: float | None, count: float) -> float:
    return round((seconds or 0.0) * 1e6 / max(count, 1), 1)


BENCHMARK = Benchmark(
    "tick_fanout",
    "raw ticks to many sockets: value age, and CPU per tick and frame",
    __doc__ or "",
    (
        Option("sockets", 1_000, "WebSocket subscribers", 1, 10_000),
        Option("rate", 5_000.0, "raw ticks a second", 1, 20_000),
        Option("instruments", 10, "instruments of a subscriber", 1, 50),
        Option("seconds", 20.0, "how long is measured", 1, 600),
        Option("warm_up", 5.0, "how long runs before", 0, 60),
    ),
    (
        "value_age_p50_ms",
        "value_age_p99_ms",
        "ticks_per_second",
        "frames_per_second",
        "screen_hz_lowest",
    ),
    lambda options: uvloop.run(run(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
