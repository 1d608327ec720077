"""The edges at which a fault test lets a process die, and the clock it may make wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orion.platform.clock import ManualClock
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.faults import FIRED, Faults, faults_of

# Stands where PostgreSQL stands: it says what reached it.
PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from pathlib import Path
from orion.platform.faults import Faults

class Durable:
    async def put(self, batch): print("taken", flush=True)
    append = write = put
    @asynccontextmanager
    async def effect(self, *_words, **_more):
        yield self
        print("taken", flush=True)
    async def read(self, *_words): return ["record"]
    address = "elsewhere"

async def main():
    faults = Faults(Path(sys.argv[1]), "rfq")
    store, log, marks = (f(Durable()) for f in (faults.store, faults.log, faults.marks))
    assert store.address == "elsewhere"
    await store.put("batch")
    async with store.effect("rfq", [], []):
        pass
    await log.read("topic", 0, 0)
    await marks.write({})
    app = faults.app(answer)
    await app({"type": "http", "method": "POST"}, None, send)
    print("lives", flush=True)

async def answer(scope, receive, send):
    await send({"type": "http.response.start"})
    await send({"type": "http.response.body"})

async def send(message): print(message["type"], flush=True)
asyncio.run(main())
"""
ALL = ["taken", "taken", "taken", "http.response.start", "http.response.body", "lives"]
REACHED = {
    "put.before": 0,
    "put.after": 1,
    "effect.before": 1,
    "effect.after": 2,
    "read.after": 2,
    "mark.before": 2,
    "mark.after": 3,
    "reply.before": 3,
    "reply.after": 5,
}


def run(folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)], capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize("edge", REACHED)
def test_the_process_dies_at_the_edge_that_was_asked_for_and_only_once(edge: str, tmp_path: Path):
    (tmp_path / f"rfq@{edge}").touch()
    (tmp_path / f"execution@{edge}").touch()
    assert run(tmp_path) == (-signal.SIGKILL, ALL[: REACHED[edge]])
    left = {p.name.split(".")[-1]: p.name for p in tmp_path.iterdir()}
    assert left[FIRED.strip(".")].startswith(f"rfq@{edge}.")
    assert f"execution@{edge}" in left.values(), "another's is left alone"
    assert run(tmp_path) == (0, ALL)


def test_a_clock_is_as_wrong_as_was_asked_for(tmp_path: Path):
    real = ManualClock(1_000_000_000)
    clock = Faults(tmp_path, "rfq").clock(real)
    assert clock.now() == real.at
    asked = tmp_path / "rfq.clock"
    for off in (5_000_000, -5_000_000):
        asked.write_text(str(off))
        real.advance(1_000_000)
        assert clock.now() == real.at + off
    asked.write_text("not a number")
    real.advance(1_000_000)
    assert clock.now() == real.at
    assert clock.ticks() == real.ticks()


def test_nothing_of_it_is_there_unless_it_was_asked_for(tmp_path: Path):
    assert faults_of(PlatformConfig(), "rfq") is None
    for env in ("dev", "prod", "Chaos", "chaos2"):
        for profile in ("embedded", "cluster"):
            with pytest.raises(ConfigError, match="ORION_FAULTS"):
                faults_of(PlatformConfig(env=env, profile=profile, faults=str(tmp_path)), "rfq")
    assert faults_of(PlatformConfig(env="chaos", faults=str(tmp_path)), "rfq") is not None
    assert list(tmp_path.iterdir()) == []
