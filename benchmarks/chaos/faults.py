"""What is done to the platform. Each fault proves from the outside that it really happened, and
names what must be seen again before its victim counts as recovered.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.chaos.signs import EVERY_PARTITION
from benchmarks.chaos.target import Seen, Target, base

BACK_S = 60.0
# By service: what a client can do again when it is back.
SIGNS: dict[str, frozenset[str]] = {
    "identity": frozenset({"issuer"}),
    "workspace": frozenset({"watchlists"}),
    "bff_workstation": frozenset({"command"}),
    "push_edge": frozenset({"frame"}),
    "reference": frozenset({"command"}),
    "marketdata_ingest": frozenset({"tick"}),
    "marketdata_projection": frozenset({"tick"}),
    "rfq": frozenset({"command", EVERY_PARTITION}),
    "lp_gateway": frozenset({"quote"}),
    "lp_bots": frozenset({"quote"}),
    "execution": frozenset({"trade"}),
    "audit": frozenset({"audit"}),
    "notifications": frozenset({"command"}),
    "relay": frozenset({"trade", "audit"}),
    "kafka": frozenset({"command", "quote", "trade", "audit"}),
    "redis": frozenset({"command", "watchlists"}),
    "postgres": frozenset({"command", EVERY_PARTITION, "trade"}),
}


class NotFired(Exception):
    """The fault did not happen; the run shows nothing about it."""


@dataclass
class Fired:
    """A fault that happened: when (the history's time), its proof, and how long what came back
    took.
    """

    fault: str
    victim: str
    at: int
    over: int = 0  # when one that lasts was over; recovery counts from there
    proof: dict[str, Any] = field(default_factory=dict)
    back_ms: dict[str, float] = field(default_factory=dict)  # sign → from the fault's end to it
    missing: list[str] = field(default_factory=list)  # signs that never came
    wrong: str = ""  # what it showed and must not be


class Fault(Protocol):
    """Something to be done to a running platform."""

    @property
    def name(self) -> str: ...

    @property
    def victim(self) -> str: ...

    def signs(self, target: Target) -> set[str]:
        """What must be seen again."""
        ...

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        """Does it and returns when it is proved. Raises NotFired."""
        ...


def signs_of(target: Target, process: str) -> set[str]:
    """What clients must see again of a process."""
    services = target.services().get(base(process), (process,))
    return {sign for service in services for sign in SIGNS.get(service, frozenset({"command"}))}


async def until(look: Callable[[], Any], within_s: float, what: str) -> Any:
    """The first truthy answer. Raises NotFired."""
    ends = time.monotonic() + within_s
    while not (found := _seen(look)):
        if time.monotonic() > ends:
            raise NotFired(f"{what}: not within {within_s:g} s")
        await asyncio.sleep(0.02)
    return found


def _seen(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except FileNotFoundError:
        return None


async def replaced(target: Target, victim: str, old: Seen) -> Seen:
    """The process in the place of one that ended. Raises NotFired."""

    def look() -> Seen | None:
        found = target.processes().get(victim)
        return found if found != old else None

    return await until(look, BACK_S, f"{victim} was started again")


def find(target: Target, victim: str) -> Seen:
    """The victim's process. Raises NotFired."""
    found = target.processes().get(victim)
    if found is None:
        raise NotFired(f"{victim} does not run")
    return found


@dataclass(frozen=True)
class Kill:
    """kill -9. Proved by the process's end and another one in its place."""

    victim: str
    name: str = "kill -9"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        old = find(target, self.victim)
        fired = Fired(self.name, self.victim, now())
        os.kill(old.pid, signal.SIGKILL)
        await until(lambda: not old.is_there, 10, f"{self.victim} ended")
        new = await replaced(target, self.victim, old)
        fired.proof = {"ended": old.pid, "in its place": new.pid}
        return fired


@dataclass(frozen=True)
class Pause:
    """SIGSTOP, then SIGCONT: it holds its sockets and does nothing. Proved by the kernel's word
    that it stood, and by the same process going on.
    """

    victim: str
    seconds: float = 1.5
    name: str = "SIGSTOP"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        held = find(target, self.victim)
        fired = Fired(self.name, self.victim, now())
        os.kill(held.pid, signal.SIGSTOP)
        try:
            await until(lambda: held.is_stopped, 5, f"{self.victim} stands")
            await asyncio.sleep(self.seconds)
            if not held.is_stopped:
                raise NotFired(f"{self.victim} did not stand for {self.seconds:g} s")
        finally:
            if held.is_there:
                os.kill(held.pid, signal.SIGCONT)
        fired.over = now()
        stood = (fired.over - fired.at) / 1000
        await until(lambda: not held.is_stopped, 5, f"{self.victim} went on")
        fired.proof = {"stood": held.pid, "ms": round(stood), "the same goes on": held.is_there}
        return fired


@dataclass(frozen=True)
class Slow:
    """It runs for a tenth of the time: what it consumes piles up. Proved by the kernel's word in
    each slice.
    """

    victim: str
    seconds: float = 3.0
    name: str = "slow"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        held = find(target, self.victim)
        fired = Fired(self.name, self.victim, now())
        slices, ends = 0, time.monotonic() + self.seconds
        try:
            while time.monotonic() < ends:
                os.kill(held.pid, signal.SIGSTOP)
                await asyncio.sleep(0.18)
                slices += held.is_stopped
                os.kill(held.pid, signal.SIGCONT)
                await asyncio.sleep(0.02)
        finally:
            if held.is_there:
                os.kill(held.pid, signal.SIGCONT)
        fired.over = now()
        if slices < 3 or not held.is_there:
            raise NotFired(f"{self.victim} was held {slices} times")
        fired.proof = {"held": held.pid, "times": slices}
        return fired
