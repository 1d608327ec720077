"""How long does a warm start take, and how long is a process away that was killed with -9?

A platform of its own, whose data is there already. A start lasts from the command to the first
/readyz that says 200. A kill lasts from the signal until another process stands in its place, the
supervisor has said that it is back, and /readyz says 200; measured on an idle platform and while
RFQs are dealt, of which none may be lost or doubled. Every process is killed in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Sequence
from statistics import fmean

import httpx
import psutil
import uvloop
from hdrh.histogram import HdrHistogram

from benchmarks.harness import (
    Benchmark,
    Option,
    Outcome,
    Sheet,
    histogram,
    main,
    milliseconds,
    percentile_sheet,
)
from benchmarks.own_platform import cpu
from tests.e2e.load import Load
from tests.stack import Stack, until
from tests.stack_clients import desk_of

VICTIMS = ("bff", "edge", "core", "bots", "postgres")
LOOK_S = 0.01
WITHIN_S = 60.0
BUSY_PERCENT = 60.0  # of a core, used by others: the machine was measured, not us
USER = "trader@alpha"


class Watch:
    """Looks at a platform from outside."""

    def __init__(self, stack: Stack):
        self.stack = stack
        # A new connection for each look: a kept one would end with the process behind it. Plain
        # HTTP, so without reading certificates, which takes a while.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.AsyncClient(base_url=stack.url, verify=False, limits=limits)

    async def is_ready(self) -> bool:
        """What /readyz says."""
        with contextlib.suppress(httpx.HTTPError):
            return (await self._http.get("/readyz", timeout=5.0)).status_code == 200
        return False

    async def ready(self) -> None:
        """Waits until it is. Raises AssertionError."""
        await until(self.is_ready, WITHIN_S, "the platform is ready", LOOK_S)

    def said_back(self, name: str) -> int:
        """How often the screen told that it is back."""
        name = "PostgreSQL" if name == "postgres" else name
        return self.stack.screen().count(f"{name} is back")

    async def kill(self, name: str) -> float:
        """Seconds from the signal until all is well again. Raises AssertionError."""
        said = self.said_back(name)
        old = self.stack.kill9(name)
        begun = time.monotonic()

        def is_back() -> bool:
            return self.said_back(name) > said and self.stack.pids().get(name, old) != old

        await until(is_back, WITHIN_S, f"{name} is back", LOOK_S)
        await self.ready()
        return time.monotonic() - begun

    async def close(self) -> None:
        await self._http.aclose()


class Others:
    """What other programs use of this machine while we measure."""

    def __init__(self) -> None:
        self._begun, self._before = time.monotonic(), self._now()

    def _now(self) -> float:
        """CPU seconds of the machine that neither we nor what we started has used."""
        t = psutil.cpu_times()
        busy = sum(t) - t.idle - getattr(t, "iowait", 0) - getattr(t, "guest", 0)
        me, mine = psutil.Process(), 0.0
        for process in (me, *me.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                mine += sum(process.cpu_times()[:4])  # with those of its children that ended
        return busy - mine

    def percent(self) -> float:
        """Of one core, since this was made."""
        took = time.monotonic() - self._begun
        return round(max(0.0, self._now() - self._before) / took * 100, 1)


async def starts(stack: Stack, count: int) -> tuple[HdrHistogram, list[dict[str, float]]]:
    """Warm starts: how long, and the CPU seconds of each process until then."""
    times, used = histogram(), list[dict[str, float]]()
    for _ in range(count):
        begun = time.monotonic()
        process = await stack.launch()
        watch = Watch(stack)
        await watch.ready()
        times.record_value(int((time.monotonic() - begun) * 1e6))
        used.append(cpu(psutil.Process(process.pid)))
        await watch.close()
        await stack.wait_ready()
        await stack.stop()
    return times, used


async def kills(stack: Stack, rounds: int) -> dict[str, HdrHistogram]:
    """Every process in turn, so many times."""
    watch = Watch(stack)
    found = {name: histogram() for name in VICTIMS}
    for _ in range(rounds):
        for name in VICTIMS:
            await watch.ready()
            found[name].record_value(int(await watch.kill(name) * 1e6))
            await asyncio.sleep(1.0)  # the next is measured by itself
    await watch.close()
    return found


async def measure(count: int, rounds: int) -> Outcome:
    """First the starts, then the kills: idle, and under load."""
    stack = Stack("bench")
    wrong: list[str] = []
    try:
        await stack.start()
        await stack.allow(USER, 1_000_000)
        await stack.stop()
        quiet = Others()
        times, used = await starts(stack, count)
        await stack.start()
        idle = await kills(stack, rounds)
        async with desk_of(stack, USER) as desk:
            async with Load(desk, workers=1) as load:
                await load.grows(4)
                loaded = await kills(stack, rounds)
            await load.settle()
            wrong += await load.violations()
        await stack.stop()
        busy = quiet.percent()
    finally:
        await stack.abandon()
    return outcome(times, used, (idle, loaded), busy, wrong)


def outcome(
    times: HdrHistogram,
    used: Sequence[dict[str, float]],
    found: tuple[dict[str, HdrHistogram], dict[str, HdrHistogram]],
    busy: float,
    wrong: list[str],
) -> Outcome:
    """The report."""
    names = sorted({name for one in used for name in one})
    each = {name: round(fmean(one.get(name, 0.0) for one in used), 2) for name in names}
    shown, together = {"start": times}, [histogram(), histogram()]
    for kind, total, by_name in zip(("idle", "loaded"), together, found, strict=True):
        for name, one in by_name.items():
            shown[f"{name}, {kind}"] = one
            total.add(one)
    start, idle, loaded = (milliseconds(h) for h in (times, *together))
    numbers = {
        "start_p50_ms": start["p50"],
        "start_p99_ms": start["p99"],
        "start_cpu_s": round(sum(each.values()), 2),
        "back_idle_p50_ms": idle["p50"],
        "back_idle_p99_ms": idle["p99"],
        "back_loaded_p50_ms": loaded["p50"],
        "back_loaded_p99_ms": loaded["p99"],
        "others_percent": busy,
    }
    sheets = [
        percentile_sheet("From the command, or the kill, to ready", shown),
        Sheet("CPU of a start", ("process", "seconds"), list(each.items())),
        Sheet("Result", ("what", "value"), list(numbers.items())),
    ]
    void = [f"other programs used {busy} % of a core"] if busy > BUSY_PERCENT else []
    raw = {"cpu_seconds": list(used)}
    return Outcome(numbers, sheets, void, wrong, raw, shown)


def run(options: argparse.Namespace) -> Outcome:
    """One run."""
    return uvloop.run(measure(options.starts, options.rounds))


BENCHMARK = Benchmark(
    "start",
    "a warm start, and how long a killed process is away",
    __doc__ or "",
    (
        Option("starts", 10, "warm starts", 1, 200),
        Option("rounds", 5, "kills of each process, idle and again under load", 1, 100),
    ),
    ("start_p50_ms", "start_p99_ms", "start_cpu_s", "back_idle_p99_ms", "back_loaded_p99_ms"),
    run,
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
