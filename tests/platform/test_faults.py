"""The edges at which a fault test lets a process die, and the clock it may make wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from orion.platform.bus.port import Record
from orion.platform.bus.ring import Ring
from orion.platform.clock import ManualClock
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.faults import FIRED, REFUSED, TAKEN, Faults, faults_of
from orion.platform.store.port import Fenced, OutcomeUnknown

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
    class blobs:
        async def put(self, name, body): print("kept", flush=True)
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
    blobs = faults.blobs(Durable.blobs())
    for name in ("a/b.parquet", "a/manifest/00001.json", "a/checkpoint.json"):
        await blobs.put(name, b"")
    app = faults.app(answer)
    await app({"type": "http", "method": "POST"}, None, send)
    print("lives", flush=True)

async def answer(scope, receive, send):
    await send({"type": "http.response.start"})
    await send({"type": "http.response.body"})

async def send(message): print(message["type"], flush=True)
asyncio.run(main())
"""
ALL = [*["taken"] * 3, *["kept"] * 3, "http.response.start", "http.response.body", "lives"]
REACHED = {
    "put.before": 0,
    "put.after": 1,
    "effect.before": 1,
    "effect.after": 2,
    "read.after": 2,
    "mark.before": 2,
    "mark.after": 3,
    "file.before": 3,
    "file.after": 4,
    "page.before": 4,
    "page.after": 5,
    "checkpoint.before": 5,
    "reply.before": 6,
    "reply.after": 8,
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


LATE = """
import asyncio, sys
from pathlib import Path
from orion.platform.faults import Faults
from orion.platform.store.port import Fenced

class Store:
    async def put(self, batch):
        if batch == "late":
            raise Fenced([])

async def main():
    await Faults(Path(sys.argv[1]), "rfq").store(Store()).put(sys.argv[2])
asyncio.run(main())
"""


@pytest.mark.parametrize(("batch", "became"), [("late", REFUSED), ("in time", TAKEN)])
async def test_who_stands_with_a_batch_sends_it_later_and_says_what_became_of_it(
    batch: str, became: str, tmp_path: Path
):
    (tmp_path / "rfq@put.late").touch()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LATE, str(tmp_path), batch), stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(30):
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            await asyncio.sleep(0.01)
    left = tmp_path / f"rfq@put.late.{process.pid}{FIRED}"
    assert left.read_text() == ""
    process.send_signal(signal.SIGCONT)
    _, said = await process.communicate()
    assert left.read_text() == became
    assert (b"Fenced" in said) is (became == REFUSED)


async def test_an_answer_is_lost_once_and_after_the_commit(tmp_path: Path):
    done: list[str] = []

    async def put(batch: str) -> None:
        if batch == "fenced":
            raise Fenced([])
        done.append(batch)

    store = Faults(tmp_path, "rfq").store(SimpleNamespace(put=put))
    (tmp_path / "rfq@put.lost").touch()
    with pytest.raises(Fenced):
        await store.put("fenced")
    with pytest.raises(OutcomeUnknown):
        await store.put("a")
    await store.put("b")
    assert done == ["a", "b"]
    assert [p.name for p in tmp_path.iterdir()] == [f"rfq@put.lost.{os.getpid()}{FIRED}"]


def record(offset: int, part: int = 0) -> Record:
    return Record("t", part, offset, 0, "alpha", "e", offset, "X", f"{part}/{offset}", b"")


async def test_news_twice_and_late_are_heard_once_and_in_order(tmp_path: Path):
    ring: Any = Ring()
    (tmp_path / "rfq@deliver").touch()
    Faults(tmp_path, "rfq").bus(SimpleNamespace(ring=ring))
    seen = {0: 0, 1: 0}
    for n in range(40):
        ring.hand_over([record(n), record(n, 1)])
        for part, before in seen.items():
            known = ring.known("t", part)
            assert known >= before, "nobody is told that less is there than was"
            seen[part] = known
            held = ring.slice("t", part, max(known - 3, 0), 100) or ()
            offsets = [r.offset for r in held]
            assert offsets == list(range(known - len(offsets), known)), "in order, without a gap"
    ring.hint("t", 0, 50)
    assert ring.known("t", 0) == 50
    assert seen == {0: 40, 1: 40}
    (left,) = tmp_path.glob(f"*{FIRED}")
    again, overtaken = map(int, left.read_text().split())
    assert again > 60
    assert overtaken == 40 + 1, "every other batch, and a hint"
    (tmp_path / "rfq@deliver").unlink()


def test_a_ring_passes_over_what_comes_again():
    ring = Ring()
    for batch in ((0, 1, 2), (1, 2, 3), (0,), (3, 4)):
        ring.hand_over([record(n) for n in batch])
    assert [r.offset for r in ring.slice("t", 0, 0, 100) or ()] == [0, 1, 2, 3, 4]
    assert ring.known("t", 0) == 5
    ring.hand_over([record(9)])
    ring.hand_over([record(6)])
    assert ring.known("t", 0) == 10
    assert ring.slice("t", 0, 6, 100) is None, "the log has it"


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
