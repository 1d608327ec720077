"""A whole platform for one run: on a free port, in a folder of its own, stopped and removed
afterwards. And what it has used: CPU by process, counters.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import psutil

from benchmarks.harness import CHECKOUT
from orion.platform.config import Settings

ORION = (sys.executable, "-P", "-m", "orion.app.cli")
CHILD = "orion.app.child"
NURSERY = "orion.app.nursery"
SERVERS = {"java": "kafka", "valkey-server": "redis", "weed": "s3"}  # of a cluster, by program
READY_S = 180
BLOCK, BLOCK_RANGE = 180, (11_000, 21_000)


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def free_block() -> int:
    """A port with as many free ones behind it as a cluster's servers and services listen on, below
    those from which connections go out.
    """
    while True:
        first = random.randrange(*BLOCK_RANGE)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + BLOCK):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first


@contextlib.asynccontextmanager
async def orion(
    rate: float, more: Mapping[str, str], *, verb: str = "up"
) -> AsyncIterator[tuple[int, dict[str, str], psutil.Process]]:
    """The platform with `rate` simulated ticks a second, ready: (port, its environment, its
    supervisor). `verb`: up or cluster.
    """
    with tempfile.TemporaryDirectory(
        prefix="orion-bench-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        port = free_block() if verb == "cluster" else free_port()
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("ORION_")},
            "ORION_PORT": str(port),
            "ORION_DATA_DIR": f"{folder}/data",
            "ORION_MARKETDATA_INGEST_RATE": str(rate),
            **more,
        }
        with (Path(folder) / "out.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: ASYNC220 (once, before anything is measured)
                [*ORION, verb],
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await _ready(port, process, Path(folder) / "out.log", environment)
            yield port, environment, psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()


async def _ready(
    port: int, process: subprocess.Popen[bytes], log: Path, environment: Mapping[str, str]
) -> None:
    end = time.monotonic() + READY_S
    # Other verbs find the platform by what it writes a moment after it is ready.
    announced = Settings(environment=environment).run_dir / "running.json"
    async with httpx.AsyncClient() as http:
        while time.monotonic() < end:
            if process.poll() is not None:
                raise SystemExit(f"the platform did not start:\n{log.read_text()[-2000:]}")
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.get(f"http://127.0.0.1:{port}/readyz")
                if answer.status_code == 200 and announced.exists():
                    return
            await asyncio.sleep(0.2)
    raise SystemExit(f"the platform was not ready in {READY_S} s")


def token(user: str, environment: Mapping[str, str]) -> str:
    """A bearer token of a demo user."""
    found = subprocess.run(
        [*ORION, "token", user],
        cwd=CHECKOUT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return found.stdout.strip()


def cpu(supervisor: psutil.Process) -> dict[str, float]:
    """CPU seconds by process of the platform so far."""
    found = {"supervisor": sum(supervisor.cpu_times()[:2])}
    for child in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            name = _name(child)
            found[name] = found.get(name, 0.0) + sum(child.cpu_times()[:2])
    return found


def _name(process: psutil.Process) -> str:
    if "postgres" in process.name():
        return "postgres"
    if process.name() in SERVERS:
        return SERVERS[process.name()]
    words = process.cmdline()
    if NURSERY in words:
        return "nursery"
    return words[words.index(CHILD) + 1] if CHILD in words else "other"


def machine() -> tuple[float, float]:
    """CPU seconds used so far on this machine (stolen time counted): (by all, by this process and
    what it started).
    """
    t = psutil.cpu_times()
    idle = t.idle + getattr(t, "iowait", 0.0)
    busy = sum(t) - idle - getattr(t, "guest", 0.0) - getattr(t, "guest_nice", 0.0)
    me, mine = psutil.Process(), 0.0
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            mine += sum(process.cpu_times()[:2])
    return busy, mine


def others_percent(before: tuple[float, float], after: tuple[float, float], took: float) -> float:
    """Per cent of a core that was used by what is not ours between two looks at `machine`."""
    theirs = (after[0] - before[0]) - (after[1] - before[1])
    return round(max(0.0, theirs) / took * 100, 1)


async def counters(port: int, bearer: str, names: str) -> dict[str, float]:
    """The platform's counters whose name without `orion_` matches; labels are added up."""
    async with httpx.AsyncClient(timeout=20) as http:
        answer = await http.get(
            f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {bearer}"}
        )
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        match = re.match(rf"orion_({names})(\{{[^}}]*\}})? (\S+)", line)
        if match:
            found[match[1]] = found.get(match[1], 0.0) + float(match[match.lastindex or 0])
    return found
