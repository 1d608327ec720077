"""`orion chaos`: faults prove that they happened, none is left out, recovery comes after them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from benchmarks.chaos import faults
from benchmarks.chaos.choice import chosen, every, is_death
from benchmarks.chaos.faults import Kill, NotFired, Pause, Slow
from benchmarks.chaos.faults_copies import EVERYTHING, Late, Orphan, Restart, noticed
from benchmarks.chaos.faults_inside import Crash, Twist
from benchmarks.chaos.history import FAILED, OK, UNKNOWN, Op, Try
from benchmarks.chaos.signs import EVERY_PARTITION, Signs, Watch
from benchmarks.chaos.target import Seen
from orion.app.modules import copies_of

SLEEPS = (sys.executable, "-c", "import time; time.sleep(600)")


class OneProcess:
    """A platform of one process; `revive`: another takes its place when it ends."""

    def __init__(self, *, revive: bool = True):
        self._revive = revive
        self.process = subprocess.Popen(SLEEPS)

    def processes(self) -> dict[str, Seen]:
        if self.process.poll() is not None and self._revive:
            self.process = subprocess.Popen(SLEEPS)
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.process.pid)
            return {"rfq": Seen(found.pid, found.create_time())}
        return {}


@pytest.fixture
def target() -> Iterator[Any]:
    made = OneProcess()
    yield made
    made.process.send_signal(signal.SIGCONT)
    made.process.kill()
    made.process.wait()


def now() -> int:
    return 0


async def test_a_kill_is_proved_by_another_in_its_place(target: Any):
    old = target.process.pid
    fired = await Kill("rfq").fire(target, now)
    assert fired.proof["ended"] == old != fired.proof["in its place"] == target.process.pid


async def test_a_kill_after_which_nobody_comes_did_not_show_anything(
    target: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(faults, "BACK_S", 0.2)
    target._revive = False
    with pytest.raises(NotFired, match="was started again"):
        await Kill("rfq").fire(target, now)


async def test_a_pause_is_proved_by_the_kernel(target: Any):
    fired = await Pause("rfq", 0.2).fire(target, now)
    assert fired.proof["stood"] == target.process.pid
    assert fired.proof["the same goes on"]


async def test_a_pause_that_somebody_ends_did_not_happen(target: Any):
    async def wake() -> None:
        while not target.processes()["rfq"].is_stopped:
            await asyncio.sleep(0.01)
        os.kill(target.process.pid, signal.SIGCONT)

    waking = asyncio.create_task(wake())
    with pytest.raises(NotFired, match="stand"):
        await Pause("rfq", 1.0).fire(target, now)
    await waking


async def test_slowness_is_counted(target: Any):
    fired = await Slow("rfq", 2.0).fire(target, now)
    assert fired.proof["times"] >= 3
    assert not target.processes()["rfq"].is_stopped


@pytest.mark.parametrize("fault", [Kill("nobody"), Pause("nobody"), Slow("nobody")])
async def test_who_is_not_there_cannot_be_hurt(target: Any, fault: Any):
    with pytest.raises(NotFired, match="nobody does not run"):
        await fault.fire(target, now)


def test_every_fault_has_its_turn_before_one_comes_again():
    possible: list[Any] = [Kill("a"), Kill("b"), Crash("a", "put.after"), Pause("a"), Slow("a")]
    found = chosen(possible, kills=7, others=3, seed=5)
    assert found == chosen(possible, kills=7, others=3, seed=5)
    assert found != chosen(possible, kills=7, others=3, seed=6)
    times = Counter(map(repr, found))
    deaths = [times[repr(f)] for f in possible if is_death(f)]
    rest = [times[repr(f)] for f in possible if not is_death(f)]
    assert (sum(deaths), sum(rest)) == (7, 3)
    assert set(deaths) == {2, 3}
    assert set(rest) == {1, 2}
    some = chosen([*map(Slow, "abcdefgh"), Restart()], kills=0, others=2, seed=3)
    assert {type(f) for f in some} == {Slow, Restart}, "a short run has all kinds"
    assert chosen([Pause("a")], kills=3, others=1, seed=1) == [Pause("a")]


def target_of(services: dict[str, tuple[str, ...]], copies: int) -> Any:
    names = [n for name in services for n in copies_of(name, copies)]
    return SimpleNamespace(
        processes=lambda: dict.fromkeys([*names, "postgres"], Seen(1, 0.0)),
        services=lambda: services,
        settings=SimpleNamespace(platform=SimpleNamespace(copies=copies)),
    )


def test_what_two_copies_do_is_asked_of_two_copies_only():
    services = {"rfq": ("rfq",), "bff": ("identity", "bff_workstation")}
    one = {type(f) for f in every(target_of(services, 1))}
    two = {(type(f), f.victim) for f in every(target_of(services, 2))}
    assert one.isdisjoint({Late, Orphan, Restart})
    assert {(Late, "rfq.1"), (Orphan, "rfq.2"), (Restart, EVERYTHING)} <= two
    assert (Late, "bff.1") not in two
    some = every(target_of(services, 2), kinds=["kill", "twist"], only=["rfq.1"])
    assert [(type(f), f.victim) for f in some] == [(Kill, "rfq.1"), (Twist, "rfq.1")]
    with pytest.raises(SystemExit, match="no kind"):
        every(target_of(services, 1), kinds=["flood"])


def test_what_a_client_notices_of_a_restart():
    def op(n: int, at: int, outcome: str, status: int, code: str = "") -> Op:
        one = Try(at, at + 5, outcome, status, {"code": code} if code else {})
        return Op(n, "create", "alpha", "u", f"key-{n}", tries=[one])

    ops = [
        op(1, 50, UNKNOWN, 503, "SYS-902"),  # before
        op(2, 100, OK, 201),
        op(3, 110, UNKNOWN, 409, "API-103"),  # a double click
        op(4, 120, UNKNOWN, 0, "hung up"),  # the client's own doing
        op(5, 130, UNKNOWN, 503, "SYS-901"),
        op(6, 140, UNKNOWN, 0, "ConnectionResetError"),
        op(7, 150, FAILED, 500),
        op(8, 300, UNKNOWN, 503, "SYS-902"),  # after
    ]
    found = list(noticed(ops, 100, 200))
    assert [text.split()[2] for text in found] == ["key-5:", "key-6:", "key-7:"]


def clock(moments: list[int]) -> Callable[[], int]:
    return lambda: moments[-1]


def test_only_what_left_after_the_fault_is_recovery():
    time = [100]
    watch = Watch(100, {"command"}, 8, clock(time))
    time.append(130)
    watch.note("command", 99, 0)
    assert watch.missing() == {"command"}
    watch.note("quote", 120, None)
    assert not watch.done.is_set()
    watch.note("command", 120, 0)
    time.append(150)
    watch.note("command", 140, 0)
    assert watch.first["command"] == 30
    assert watch.done.is_set()


def test_an_owner_is_back_when_every_partition_answers():
    time = [0]
    watch = Watch(0, {"command", EVERY_PARTITION}, 3, clock(time))
    for at, part in ((5, 0), (6, 1), (7, 1)):
        time.append(at)
        watch.note("command", 1, part)
    assert watch.missing() == {EVERY_PARTITION}
    time.append(9)
    watch.note("command", 8, 2)
    assert watch.first == {"command": 5, EVERY_PARTITION: 9}


async def test_what_never_comes_is_told():
    signs = Signs(lambda: 0)
    waiting = asyncio.create_task(signs.after(0, {"command", "trade"}, 0.2))
    await asyncio.sleep(0)
    assert signs.wanted("trade")
    signs.note("command", 1)
    watch = await waiting
    assert watch.missing() == {"trade"}
    assert not signs.wanted("trade")
