"""How long a dead owner's partitions are without one: `python -m benchmarks.takeover [KILLS]`.

Two copies of every process. The supervisor stands still, so that nobody brings the dead one back;
one copy of the core is killed; the time runs until the other has all eight partitions of the RFQ
service. Looked at every 10 ms, by the database's rows.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import asyncpg
import psutil

from benchmarks.own_platform import CHILD, orion
from orion.platform.config import Settings
from orion.platform.embedded import Access

OWNED = (
    "select owner from bus.head where topic = 'rfq.lifecycle' and lease_until >= clock_timestamp()"
)


def _copies(supervisor: psutil.Process) -> dict[str, int]:
    found: dict[str, int] = {}
    for child in supervisor.children():
        words = child.cmdline()
        if CHILD in words:
            found[words[words.index(CHILD) + 1]] = child.pid
    return found


async def _until(door: asyncpg.Connection, names: set[str], within_s: float = 60) -> float:
    begun = time.monotonic()
    while time.monotonic() < begun + within_s:
        owners = [
            r[0].rpartition("/")[2].removesuffix(".rpc.sock") for r in await door.fetch(OWNED)
        ]
        if len(owners) == 8 and set(owners) == names:
            return time.monotonic() - begun
        await asyncio.sleep(0.01)
    raise SystemExit(f"not within {within_s:.0f} s: {names}")


async def measure(kills: int) -> list[float]:
    """Seconds without an owner, of so many kills."""
    took: list[float] = []
    async with orion(500, {"ORION_COPIES": "2"}) as (port, environment, supervisor):
        folder = Path(environment["ORION_DATA_DIR"])
        settings = Settings(flags={"data_dir": folder, "port": port}, environment={})
        door = await asyncpg.connect(Access(settings.data_dir, settings.run_dir).admin_dsn)
        for number in range(kills):
            await _until(door, {"core.1", "core.2"})
            await asyncio.sleep(0.37 * (number % 5))  # not in step with the leases
            dead, heir = ("core.1", "core.2")[:: 1 if number % 2 else -1]
            supervisor.send_signal(signal.SIGSTOP)
            try:
                os.kill(_copies(supervisor)[dead], signal.SIGKILL)
                took.append(await _until(door, {heir}))
            finally:
                supervisor.send_signal(signal.SIGCONT)
            print(f"{dead} killed: {heir} had everything after {took[-1]:.2f} s", flush=True)
        await door.close()
    return took


def main() -> None:
    """Prints each, then the middle and the longest."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    took = sorted(asyncio.run(measure(kills)))
    print(f"{kills} kills: p50 {took[len(took) // 2]:.2f} s, max {took[-1]:.2f} s")


if __name__ == "__main__":
    main()
