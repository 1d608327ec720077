"""How long from a request to a trade, how many a second, and what does each process pay?

    python -m benchmarks.rfq_to_trade [--rate 300] [--seconds 20] [--mode grpc|rest] [--dealers 5]

Starts the whole platform on a free port in a folder of its own. Load is open-loop: request n is due
at start + n / rate, whatever
became of the others, and every latency counts from that moment. One life is: create → all dealers
have quoted (seen on the watch
stream) → accept the best firm quote → TRADED (seen on the watch stream). Dealers answer at once
(their delays are not what is
measured) and their throttles are opened; everything else is as shipped. A run in which anything was
refused, lost or doubled, or
whose own schedule lags more than 3 ms (p99), is void. All on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
import psutil
import uvloop
from hdrh.histogram import HdrHistogram

from benchmarks.tick_fanout import orion
from orion.platform.auth import ServiceTokens
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.rpc.client import OPTIONS
from orion.services.identity.keys import SigningKeys
from orion.wire.stubs import common_pb2, rfq_pb2, rfq_pb2_grpc

MAX_LAG_MS = 3.0
USERS = 32
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

    steps: dict[str, HdrHistogram] = field(
        default_factory=lambda: {s: HdrHistogram(1, 60_000_000, 3) for s in STEPS}
    )
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

    def __init__(self, environment: dict[str, str], port: int, mode: str, dealers: int):
        self.settings = Settings(environment=environment)
        self.mode, self.port, self.dealers = mode, port, dealers
        address = self.settings.rpc_address("core")
        self.channels = [
            grpc.aio.insecure_channel(address, options=(*OPTIONS, ("bench.channel", n)))
            for n in range(2)
        ]
        self.stubs = [rfq_pb2_grpc.RFQServiceStub(c) for c in self.channels]
        self.tokens = self._mint()
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self.http = httpx.AsyncClient(limits=limits, timeout=10)

    def _mint(self) -> list[str]:
        keys, now = SigningKeys(self.settings.secrets_dir, may_create=False), int(time.time())
        entitled = {
            "assetClasses": ["FX"], "instrumentIds": None, "venueIds": ["XORN", "XLYR"],
            "maxNotional": "1000000000", "rfqPerMinute": 1_000_000,
        }  # fmt: skip
        return [
            keys.sign({
                "iss": self.settings.issuer, "aud": "orion", "sub": f"bench-{n}", "iat": now,
                "exp": now + 1800, "tenant": "alpha", "user": f"bench{n}@alpha",
                "name": f"Bench {n}",
                "desk": "bench", "roles": ["ROLE_TRADER"], "ent": entitled, "sid": f"bench-{n}",
            }, "at+jwt")
            for n in range(USERS)
        ]  # fmt: skip

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
    call = market.stubs[0].WatchRFQ(rfq_pb2.WatchRFQRequest(), metadata=market.service())
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


def cpu(supervisor: psutil.Process) -> dict[str, float]:
    """CPU seconds so far by process."""
    found: dict[str, float] = {}
    for process in (supervisor, *supervisor.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            name = named(process.name(), process.cmdline())
            times = process.cpu_times()
            found[name] = found.get(name, 0.0) + times.user + times.system
    me = psutil.Process().cpu_times()
    return {**found, "generator": me.user + me.system}


def named(name: str, command: list[str]) -> str:
    """Which part of the platform a process is."""
    if "postgres" in name:
        return "postgres"
    if "orion.app.child" in command:
        return command[command.index("orion.app.child") + 1]
    text = " ".join(command)
    return "supervisor" if " up" in text else text[-30:]


async def warm(market: Market) -> None:
    """Waits for prices and dealers, then runs a few lives that do not count."""
    end, n = time.monotonic() + 60, 90_000_000
    while time.monotonic() < end:
        trial = Measured()
        watching = asyncio.create_task(watch(market, trial))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(6):
                n = await load(market, trial, 20, 1, n)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if trial.done == 20:
            return
        n += 20
        await asyncio.sleep(0.5)
    raise SystemExit(f"the platform does not trade: {trial.failed}")


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """One measured run on a platform of its own."""
    more = dict(OPEN_DEALERS)
    async with orion(17, more) as (port, environment, supervisor):
        market, measured = Market(environment, port, options.mode, options.dealers), Measured()
        try:
            await warm(market)
            watching = asyncio.create_task(watch(market, measured))
            before = cpu(supervisor)
            began = time.perf_counter()
            await load(market, measured, options.rate, options.seconds, 1)
            took = time.perf_counter() - began
            after = cpu(supervisor)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            verified = await asyncio.to_thread(verify, environment)
        finally:
            await market.close()
    spent = {k: after[k] - before.get(k, 0) for k in after}
    return report(options, measured, spent, took, verified)


def verify(environment: dict[str, str]) -> str:
    """`orion verify` on the system that was just loaded: what was durable, not what was sent."""
    import sys

    found = subprocess.run(
        [sys.executable, "-m", "orion.app.cli", "verify"], env=environment, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    return "clean" if found.returncode == 0 else (found.stdout + found.stderr)[-400:]


def report(
    options: argparse.Namespace,
    measured: Measured,
    spent: dict[str, float],
    took: float,
    verified: str,
) -> dict[str, Any]:
    """The result as it is kept."""
    wanted = int(options.rate * options.seconds)
    spent = {k: v for k, v in sorted(spent.items()) if v > 0.05}
    lag = measured.steps["schedule lag"].get_value_at_percentile(99) / 1000
    void = []
    if lag > MAX_LAG_MS:
        void.append(f"own schedule lag p99 {lag:.1f} ms")
    if measured.failed or measured.done != wanted:
        void.append(f"{wanted - measured.done} of {wanted} did not become trades")
    percentiles = (50, 90, 99, 99.9, 100)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}",
        "mode": options.mode, "rate": options.rate, "seconds": options.seconds,
        "trades": measured.done, "trades_per_second": round(measured.done / took, 1),
        "milliseconds_from_due": {
            step: {f"p{p:g}": h.get_value_at_percentile(p) / 1000 for p in percentiles}
            for step, h in measured.steps.items()
        },
        "cpu_ms_per_trade": {
            k: round(v * 1000 / max(1, measured.done), 3) for k, v in spent.items()
        },
        "cores_used": {k: round(v / took, 2) for k, v in spent.items()},
        "failed": measured.failed, "verify": verified, "void": void,
    }  # fmt: skip


def main() -> None:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=300)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--mode", choices=("grpc", "rest"), default="grpc")
    parser.add_argument("--dealers", type=int, default=5)
    parser.add_argument("--out", type=Path, help="write the result there too")
    options = parser.parse_args()
    result = uvloop.run(run(options))
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    raise SystemExit(1 if result["void"] else 0)


if __name__ == "__main__":
    main()
