"""How old is a price when a screen has it, and what does fan-out cost?

Starts the whole platform on a free port in a folder of its own, as `orion up` does or as `orion
cluster` does (`--profile`; both: one after the other, and a table of ratios), with the simulator at
`--rate` raw ticks a second; opens the sockets through the public port; each wants its own choice of
instruments. The load is open-loop: the simulator's schedule does not wait for anybody. All on
loopback.

Value age = the moment a client has read a frame from its socket − `receivedAt` of the newest tick
in it (cut to milliseconds, so it reads up to 1 ms too old). What the frame says is looked at later,
when the burst is over: a thousand real screens do not wait for one another. The clients fill one
process, or `--processes`; they share the machine with what they measure.

A run is void when its tick schedule lags more than 3 ms at p99 (the load came in lumps that nobody
asked for), or the clients' own loops do (the ages hold their waiting, so they read too old; they
are never too young). The age and the rate at which every screen really got frames are judged, not
the rate that the edge says it keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator

import httpx
import uvloop

from benchmarks import screens
from benchmarks.harness import (
    CHECKOUT,
    MAX_LAG_MS,
    Benchmark,
    Option,
    Outcome,
    Sheet,
    main,
    milliseconds,
    percentile_sheet,
)
from benchmarks.own_platform import counters, cpu
from benchmarks.own_profiles import (
    BOTH,
    CLUSTER,
    EMBEDDED,
    ENTITLED,
    GROUPING,
    PROFILE,
    beside,
    by_home,
    running,
)
from orion.core.instrument import AssetClass

USERS = [
    f"{u}@{t}" for t in ("alpha", "beta") for u in ("trader", "trader2", "sales", "risk", "analyst")
]
SCREENS = (sys.executable, "-m", "benchmarks.screens")
HEAR_S = 180
EVERYTHING = {
    **ENTITLED, "assetClasses": [c.value for c in AssetClass], "venueIds": ["XORN", "XLYR", "XCRU"],
}  # fmt: skip
COUNTERS = (
    "md_ticks_published_total|edge_tick_frames_total|edge_tick_frames_skipped_total"
    "|edge_flush_seconds_(?:sum|count)|edge_price_age_seconds_(?:sum|count)"
    '|edge_encodes_total(?={[^}]*channel="ticks")'
)


@contextlib.asynccontextmanager
async def crowds(
    options: argparse.Namespace, port: int, tokens: list[str]
) -> AsyncIterator[list[Process]]:
    """Processes of subscribers, all connected and subscribed; gone afterwards."""
    names, each = await instruments(port, tokens[0]), options.sockets / options.processes
    started: list[Process] = []
    try:
        for number in range(options.processes):
            first, end = round(number * each), round((number + 1) * each)
            crowd = await asyncio.create_subprocess_exec(
                *SCREENS, cwd=CHECKOUT, stdin=PIPE, stdout=PIPE, limit=2**24
            )
            started.append(crowd)
            order = screens.Order(port, first, end - first, options.instruments, names, tokens)
            await tell(crowd, json.dumps(vars(order)))
        for crowd in started:
            if await heard(crowd) != b"ready\n":
                raise SystemExit("the subscribers did not get their snapshots")
        yield started
    finally:
        for crowd in started:
            if crowd.stdin is not None:
                crowd.stdin.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await crowd.wait()
            if crowd.returncode is None:
                crowd.kill()


async def instruments(port: int, bearer: str) -> list[str]:
    """All there are."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(
            f"http://127.0.0.1:{port}/api/v1/instruments",
            headers={"Authorization": f"Bearer {bearer}"},
        )
    return [i["instrumentId"] for i in answer.json()["items"]]


async def tell(crowd: Process, line: str) -> None:
    """One line to a process of subscribers."""
    assert crowd.stdin is not None
    crowd.stdin.write(line.encode() + b"\n")
    await crowd.stdin.drain()


async def heard(crowd: Process) -> bytes:
    """One line from it."""
    assert crowd.stdout is not None
    async with asyncio.timeout(HEAR_S):
        return await crowd.stdout.readline()


async def run(options: argparse.Namespace) -> Outcome:
    """One run for each profile."""
    me = asyncio.current_task()
    assert me is not None
    # Told to stop, we stop the platform first.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    if options.profile != BOTH:
        return await measure(options, options.profile)
    one, other = await measure(options, EMBEDDED), await measure(options, CLUSTER)
    return beside(one, other, unit="µs per tick", count="ticks", per=1e6)


async def measure(options: argparse.Namespace, profile: str) -> Outcome:
    """One run."""
    seen = screens.Seen()
    more = {"ORION_PUSH_EDGE_SOCKETS_PER_USER": "1000"}
    async with running(profile, options.rate, more, options.grouping) as platform:
        port, supervisor = platform.port, platform.supervisor
        tokens = [platform.token(user, entitled=EVERYTHING) for user in USERS]
        bearer = platform.token("platform@alpha", "ROLE_PLATFORM")
        async with crowds(options, port, tokens) as started:
            await asyncio.sleep(options.warm_up)
            counted = await counters(port, bearer, COUNTERS)
            before, start = cpu(supervisor), time.monotonic()
            await asyncio.gather(*(tell(crowd, "on") for crowd in started))
            await asyncio.sleep(options.seconds)
            await asyncio.gather(*(tell(crowd, "off") for crowd in started))
            took, after = time.monotonic() - start, cpu(supervisor)
            counted_after = await counters(port, bearer, COUNTERS)
            for crowd in started:
                seen.add(await heard(crowd))
    counts = {k: counted_after[k] - v for k, v in counted.items()}
    spent = {k: v - before.get(k, 0.0) for k, v in after.items()}
    return report(seen, counts, {**spent, "clients": seen.cpu}, took)


def report(
    seen: screens.Seen, counts: dict[str, float], spent: dict[str, float], took: float
) -> Outcome:
    """What the run gave."""
    times = {
        "value age": seen.age,
        "tick schedule lag": seen.schedule,
        "client loop lag": seen.client,
    }
    age = milliseconds(seen.age)
    ticks, frames = counts.get("md_ticks_published_total", 0.0), seen.frames
    void = [
        f"{name} p99 {milliseconds(h)['p99']} ms, limit {MAX_LAG_MS:g} ms"
        for name, h in times.items()
        if h is not seen.age and milliseconds(h)["p99"] > MAX_LAG_MS
    ]
    homes = by_home(spent)  # the edge's cost under one name in both profiles
    numbers = {
        "value_age_p50_ms": age["p50"],
        "value_age_p99_ms": age["p99"],
        "ticks_per_second": round(ticks / took, 1),
        "frames_per_second": round(frames / took, 1),
        "encodes_per_second": round(counts.get("edge_encodes_total", 0.0) / took, 1),
        "edge_us_per_frame": _us(homes.get("edge"), frames),
        "platform_us_per_tick": _us(
            sum(v for k, v in homes.items() if k not in ("clients", "edge")), ticks
        ),
        "screen_hz_lowest": round(min(seen.flush_hz, default=0.0), 2),
        "screen_frames_per_second_lowest": round(seen.fewest / took, 2),
    }
    for name, key in (
        ("flush_ms", "edge_flush_seconds"),
        ("age_at_edge_ms", "edge_price_age_seconds"),
    ):
        times_of = counts.get(f"{key}_count", 0.0)
        numbers[f"{name}_mean"] = round(counts.get(f"{key}_sum", 0.0) * 1e3 / max(times_of, 1), 2)
        numbers[f"{name.removesuffix('_ms')}_per_second"] = round(times_of / took, 1)
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
        [f"{seen.closed} sockets were lost"] if seen.closed else [],
        {
            "items_per_second": round(seen.items / took, 1),
            "megabits_per_second": round(seen.bytes * 8 / took / 1e6, 1),
            "degraded": sorted(seen.degraded),
            "cpu_seconds": spent,
            "took_seconds": took,
            "ticks": ticks,
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
        Option("processes", 1, "client processes that share the sockets", 1, 8),
        Option("seconds", 20.0, "how long is measured", 1, 600),
        Option("warm_up", 5.0, "how long runs before", 0, 60),
        PROFILE,
        GROUPING,
    ),
    (
        "value_age_p50_ms",
        "value_age_p99_ms",
        "ticks_per_second",
        "frames_per_second",
        "screen_hz_lowest",
        "screen_frames_per_second_lowest",
    ),
    lambda options: uvloop.run(run(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
