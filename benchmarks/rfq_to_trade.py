"""How long from a request to a trade, how many a second, and what does each process pay?

Starts the whole platform on a free port in a folder of its own, as `orion up` does or as `orion
cluster` does (`--profile`; both: one after the other, and a table of ratios). Load is open-loop:
request n is due at start + n / rate, whatever became of the others, and every latency counts from
that moment. One life is: create → all dealers have quoted (seen on the watch stream) → accept the
best firm quote → TRADED (seen on the watch stream). Dealers answer at once (their delays are not
what is measured) and their throttles are opened; everything else is as shipped. A run in which
anything was refused, lost or doubled, or whose own schedule lags more than 3 ms (p99), is void. All
on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
import psutil
import uvloop
from hdrh.histogram import HdrHistogram

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
from benchmarks.own_platform import cpu
from benchmarks.own_profiles import (
    BOTH,
    CLUSTER,
    EMBEDDED,
    GROUPING,
    PROFILE,
    Running,
    beside,
    running,
)
from orion.platform.auth import ServiceTokens
from orion.platform.clock import SystemClock
from orion.wire.stubs import common_pb2, rfq_pb2, rfq_pb2_grpc

USERS = 32
WARM_S = 120.0
LOOKING = frozenset({"HALDEN", "TARNWICK"})  # a last look is the dealer's time, not ours
STEPS = ("schedule lag", "create answered", "all quotes seen", "accept answered", "trade seen")
OPEN_DEALERS = {
    "ORION_LP_BOTS_DELAY_SCALE": "0", "ORION_LP_BOTS_NO_INTEREST_SCALE": "0",
    "ORION_LP_BOTS_THROTTLE_SCALE": "10000", "ORION_RFQ_THROTTLE_SCALE": "10000",
    "ORION_LP_GATEWAY_THROTTLE_SCALE": "10000", "ORION_LP_GATEWAY_ANSWERS_PER_SECOND": "100000",
}  # fmt: skip


@dataclass
class Life:
    """One RFQ on its way."""

    due: float
    user: int
    quoted: asyncio.Event = field(default_factory=asyncio.Event)
    traded: asyncio.Event = field(default_factory=asyncio.Event)
    seen: Any = None


@dataclass
class Measured:
    """What the client saw. Histograms in microseconds from the due moment."""

    steps: dict[str, HdrHistogram] = field(default_factory=lambda: {s: histogram() for s in STEPS})
    lives: dict[str, Life] = field(default_factory=dict)
    early: dict[str, Any] = field(default_factory=dict)  # seen on the stream before the answer
    done: int = 0
    failed: dict[str, int] = field(default_factory=dict)

    def note(self, step: str, due: float) -> None:
        micros = int((time.perf_counter() - due) * 1e6)
        self.steps[step].record_value(max(1, micros))

    def fail(self, why: str) -> None:
        self.failed[why] = self.failed.get(why, 0) + 1


class Market:
    """The running platform, spoken to by gRPC or REST as many users."""

    def __init__(self, platform: Running, mode: str, dealers: int):
        self.settings = platform.settings
        self.mode, self.port, self.dealers = mode, platform.port, dealers
        # As the BFF speaks for users, and as the edge watches.
        self.channels = [platform.channel("rfq", "bff_workstation", n) for n in range(2)]
        self.channels.append(platform.channel("rfq", "push_edge", 2))
        self.stubs = [rfq_pb2_grpc.RFQServiceStub(c) for c in self.channels]
        self.tokens = [platform.token(f"bench{n}@alpha") for n in range(USERS)]
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self.http = httpx.AsyncClient(limits=limits, timeout=10)

    def service(self) -> tuple[tuple[str, str], ...]:
        key = (self.settings.secrets_dir / "service.key").read_bytes().strip()
        token = ServiceTokens(key, "push_edge", SystemClock())()
        return (("authorization", f"Bearer {token}"),)

    def _user(self, user: int) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.tokens[user]}"),)

    async def create(self, n: int, user: int) -> str:
        side = ("BUY", "SELL")[n % 2]
        if self.mode == "rest":
            body = {"instrumentId": "EURUSD", "side": side, "size": "1000000", "expirySeconds": 60}
            return (await self._post("rfqs", body, user, f"create-{n:08}"))["rfqId"]
        request = rfq_pb2.CreateRFQRequest(
            idempotency=common_pb2.Idempotency(key=f"create-{n:08}"), instrument_id="EURUSD",
            side=common_pb2.BUY if n % 2 == 0 else common_pb2.SELL, size="1000000",
            expiry_seconds=60,
        )  # fmt: skip
        stub = self.stubs[n % 2]
        reply = await stub.CreateRFQ(request, timeout=10, metadata=self._user(user))
        return reply.rfq_id

    async def accept(self, n: int, user: int, seen: Any, quote_id: str) -> None:
        if self.mode == "rest":
            body = {"quoteId": quote_id, "version": seen.version, "reason": "benchmark"}
            await self._post(f"rfqs/{seen.rfq_id}/accept", body, user, f"accept-{n:08}")
            return
        request = rfq_pb2.AcceptQuoteRequest(
            idempotency=common_pb2.Idempotency(key=f"accept-{n:08}"), rfq_id=seen.rfq_id,
            quote_id=quote_id, version=seen.version, reason="benchmark",
        )  # fmt: skip
        await self.stubs[n % 2].AcceptQuote(request, timeout=10, metadata=self._user(user))

    async def _post(self, path: str, body: dict[str, Any], user: int, key: str) -> dict[str, Any]:
        answer = await self.http.post(
            f"http://127.0.0.1:{self.port}/api/v1/{path}", json=body,
            headers={"Authorization": f"Bearer {self.tokens[user]}", "Idempotency-Key": key},
        )  # fmt: skip
        answer.raise_for_status()
        return answer.json()

    async def close(self) -> None:
        await self.http.aclose()
        for channel in self.channels:
            await channel.close()


async def watch(market: Market, measured: Measured) -> None:
    """Follows every RFQ, as the edge does."""
    call = market.stubs[2].WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=market.service())
    async for update in call:
        for rfq in update.items:
            life = measured.lives.get(rfq.rfq_id)
            if life is None:
                measured.early[rfq.rfq_id] = rfq
            else:
                tell(market, life, rfq)


def tell(market: Market, life: Life, rfq: Any) -> None:
    """What a change means for a life that waits."""
    life.seen = rfq
    if len(rfq.quotes) >= market.dealers:
        life.quoted.set()
    if rfq.status == "TRADED":
        life.traded.set()


async def live(market: Market, measured: Measured, n: int, due: float) -> None:
    """One RFQ from request to trade."""
    life = Life(due, n % USERS)
    measured.note("schedule lag", due)
    try:
        async with asyncio.timeout(20):
            rfq_id = await market.create(n, life.user)
            measured.note("create answered", due)
            measured.lives[rfq_id] = life
            if (early := measured.early.pop(rfq_id, None)) is not None:
                tell(market, life, early)
            await life.quoted.wait()
            measured.note("all quotes seen", due)
            firm = [q for q in life.seen.quotes if q.lp_id not in LOOKING and q.status == "QUOTED"]
            best = min(firm, key=lambda q: q.rank)
            await market.accept(n, life.user, life.seen, best.quote_id)
            measured.note("accept answered", due)
            await life.traded.wait()
            measured.note("trade seen", due)
            measured.done += 1
    except grpc.aio.AioRpcError as error:
        measured.fail(f"{error.code().name} {error.details()}")
    except (httpx.HTTPError, TimeoutError, ValueError) as error:
        measured.fail(f"{type(error).__name__} {error}"[:120])


async def load(market: Market, measured: Measured, rate: float, seconds: float, first: int) -> int:
    """The schedule. Gives the next number."""
    start, tasks, count = time.perf_counter() + 0.1, [], int(rate * seconds)
    for n in range(count):
        due = start + n / rate
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(live(market, measured, first + n, due)))
    await asyncio.gather(*tasks)
    return first + count


async def warm(market: Market) -> None:
    """Waits for prices and dealers, then runs a few lives that do not count."""
    end, n, trial, why = time.monotonic() + WARM_S, 90_000_000, Measured(), [None]
    while time.monotonic() < end:
        trial = Measured()
        watching = asyncio.create_task(watch(market, trial))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WARM_S / 6):
                n = await load(market, trial, 20, 1, n)
        watching.cancel()
        why = await asyncio.gather(watching, return_exceptions=True)
        if trial.done == 20:
            return
        n += 20
        await asyncio.sleep(0.5)
    raise SystemExit(f"the platform does not trade: {trial.done} of 20, {trial.failed}, {why}")


async def run_in(market: Market, rate: float, seconds: float) -> None:
    """The same load without counting: a broker that was just started compiles itself."""
    if not seconds:
        return
    trial = Measured()
    watching = asyncio.create_task(watch(market, trial))
    await load(market, trial, rate, seconds, 80_000_000)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def run(options: argparse.Namespace) -> Outcome:
    """One measured run for each profile, on a platform of its own."""
    if options.profile != BOTH:
        return await measure(options, options.profile)
    one, other = await measure(options, EMBEDDED), await measure(options, CLUSTER)
    return beside(one, other, unit="ms per trade", count="trades")


async def measure(options: argparse.Namespace, profile: str) -> Outcome:
    """One measured run."""
    async with running(profile, 17, OPEN_DEALERS, options.grouping) as platform:
        market, measured = Market(platform, options.mode, options.dealers), Measured()
        try:
            await warm(market)
            await run_in(market, options.rate, options.warm_up)
            watching = asyncio.create_task(watch(market, measured))
            before = _spent(platform.supervisor)
            began = time.perf_counter()
            await load(market, measured, options.rate, options.seconds, 1)
            took = time.perf_counter() - began
            after = _spent(platform.supervisor)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            verified = await asyncio.to_thread(verify, platform.for_verbs())
        finally:
            await market.close()
    spent = {k: after[k] - before.get(k, 0) for k in after}
    return report(options, measured, spent, took, verified)


def verify(environment: dict[str, str]) -> str:
    """`orion verify` on the system that was just loaded: what was durable, not what was sent."""
    found = subprocess.run(
        [sys.executable, "-m", "orion.app.cli", "verify"], env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    return "clean" if found.returncode == 0 else (found.stdout + found.stderr)[-400:]


def _spent(supervisor: psutil.Process) -> dict[str, float]:
    return {**cpu(supervisor), "generator": sum(psutil.Process().cpu_times()[:2])}


def report(
    options: argparse.Namespace,
    measured: Measured,
    spent: dict[str, float],
    took: float,
    verified: str,
) -> Outcome:
    """What the run gave."""
    wanted, done = int(options.rate * options.seconds), measured.done
    lag = milliseconds(measured.steps["schedule lag"])["p99"]
    numbers = {
        "trades_per_second": round(done / took, 1),
        **{
            f"{step.replace(' ', '_')}_p99_ms": milliseconds(h)["p99"]
            for step, h in measured.steps.items()
        },
        "cpu_ms_per_trade": round(sum(spent.values()) * 1000 / max(1, done), 3),
    }
    bill = [
        (k, round(v * 1000 / max(1, done), 3), round(v / took, 2))
        for k, v in sorted(spent.items(), key=lambda item: -item[1])
        if v > 0.05
    ]
    failed = [f"{why}: {count} times" for why, count in measured.failed.items()]
    if done != wanted:
        failed.append(f"{wanted - done} of {wanted} did not become trades")
    if verified != "clean":
        failed.append(f"verify: {verified}")
    return Outcome(
        numbers,
        [
            percentile_sheet("From the due moment", measured.steps),
            Sheet("CPU", ("process", "ms per trade", "cores"), bill),
            Sheet("Numbers", ("what", "value"), list(numbers.items())),
        ],
        [f"own schedule lag p99 {lag} ms, limit {MAX_LAG_MS:g} ms"] if lag > MAX_LAG_MS else [],
        failed,
        {"trades": done, "verify": verified, "cpu_seconds": spent, "took_seconds": took},
        measured.steps,
    )


BENCHMARK = Benchmark(
    "rfq_to_trade",
    "a request's way to its trade: latency of each step, CPU per trade",
    __doc__ or "",
    (
        Option("rate", 300.0, "requests a second", 0.1, 2_000),
        Option("seconds", 20.0, "how long is measured", 1, 3_600),
        Option("mode", "grpc", "the door", choices=("grpc", "rest")),
        Option("dealers", 5, "quotes a request waits for", 1, 5),
        Option("warm_up", 0.0, "how long the same load runs before", 0, 600),
        PROFILE,
        GROUPING,
    ),
    (
        "trades_per_second",
        "cpu_ms_per_trade",
        *(f"{step.replace(' ', '_')}_p99_ms" for step in STEPS),
    ),
    lambda options: uvloop.run(run(options)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
