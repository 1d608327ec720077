"""Faults that the platform is asked to do to itself, by files that orion.platform.faults looks for:
death at an edge, a batch that leaves late, an answer that is lost, news twice and out of order, a
wrong clock. That they happened is seen from outside all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.chaos.faults import BACK_S, Fired, NotFired, find, replaced, signs_of, until
from benchmarks.chaos.target import Seen, Target, base
from orion.app.profiles import own_address
from orion.platform.faults import FIRED

PASSED_S = 30.0  # by then somebody must have passed an edge that is used all the time
# By service: the edges that its work passes. Market data appends; owners put; readers have effects.
EDGES: dict[str, tuple[str, ...]] = {
    "rfq": ("put.before", "put.after", "effect.before", "effect.after"),
    "execution": ("put.before", "put.after", "effect.before", "effect.after"),
    "audit": ("effect.before", "effect.after"),
    "notifications": ("effect.before", "effect.after"),
    "marketdata_ingest": ("append.before", "append.after"),
    "marketdata_projection": ("effect.before", "effect.after"),
    "bff_workstation": ("reply.before", "reply.after"),
    "relay": ("read.after", "mark.before", "mark.after"),
    "archive": ("file.before", "file.after", "page.before", "page.after", "checkpoint.before"),
}
OWNERS = {"rfq": "rfq.lifecycle", "execution": "execution.trades"}
# By service: commits whose answer can be lost without the end of the process.
ANSWERS: dict[str, tuple[str, ...]] = {
    "rfq": ("put", "effect"),
    "execution": ("put", "effect"),
    "audit": ("effect",),
    "notifications": ("effect",),
    "marketdata_ingest": ("append",),
    "marketdata_projection": ("effect",),
}
HEARERS = ("rfq", "execution", "audit", "notifications", "lp_gateway", "marketdata_projection")
REPEATS = 20
_NEWEST = "select max(at) from bus.head where topic = $1 and owner = $2"


@contextmanager
def there(files: Collection[Path]) -> Iterator[None]:
    """What asks the processes for a fault, as long as the block lasts."""
    for file in files:
        file.touch()
    try:
        yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Crash:
    """The process kills itself at an edge: just before it commits, publishes or answers, or just
    after. Proved by its end, by the mark it left there, and by another one in its place.
    """

    victim: str
    edge: str

    @property
    def name(self) -> str:
        return f"dies at {self.edge}"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        olds = passers(target, self.victim, self.edge)
        asked = {name: target.faults / f"{name}@{self.edge}" for name in olds}

        def ended() -> str | None:
            return next((name for name, old in olds.items() if not old.is_there), None)

        with there(asked.values()):
            who = await until(ended, PASSED_S, f"{self.victim} passed {self.edge}")
        fired = Fired(self.name, who, now())
        left = target.faults / f"{who}@{self.edge}.{olds[who].pid}{FIRED}"
        if not left.exists():
            raise NotFired(f"{who} ended, but not at {self.edge}")
        new = await replaced(target, who, olds[who])
        fired.proof = {"ended": olds[who].pid, "at": left.name, "in its place": new.pid}
        left.unlink()
        return fired


def passers(target: Target, victim: str, edge: str) -> dict[str, Seen]:
    """Whose work passes an edge: the process's own, or, of work that one of the copies does while
    the others stand by, any copy's.
    """
    old = {victim: find(target, victim)}
    if edge.startswith(("put", "reply")):
        return old
    copies = {n: seen for n, seen in target.processes().items() if base(n) == base(victim)}
    return {**copies, **old}


@dataclass(frozen=True)
class Lost:
    """A commit is taken and its answer does not come; the process goes on and must find out. Proved
    by the mark that it left there.
    """

    victim: str
    edge: str

    @property
    def name(self) -> str:
        return f"loses the answer to {self.edge}"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        old = passers(target, self.victim, self.edge)
        asked = [target.faults / f"{name}@{self.edge}.lost" for name in old]

        def left() -> list[str]:
            return [p.name for p in target.faults.glob(f"*@{self.edge}.lost.*{FIRED}")]

        with there(asked):
            found = await until(left, PASSED_S, f"{self.victim} passed {self.edge}")
        fired = Fired(self.name, found[0].partition("@")[0], now())
        fired.proof = {"at": found}
        for name in left():
            (target.faults / name).unlink(missing_ok=True)
        return fired


@dataclass(frozen=True)
class Twist:
    """For some seconds a process hears everything twice, batches in the wrong order and old ones
    again. Proved by the count that it leaves.
    """

    victim: str
    seconds: float = 3.0
    name: str = "news twice and late"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        held = passers(target, self.victim, "deliver")
        asked = [target.faults / f"{name}@deliver" for name in held]
        fired = Fired(self.name, self.victim, now())

        def counted() -> dict[str, list[int]]:
            left = target.faults.glob(f"*@deliver.*{FIRED}")
            told = {p.name.partition("@")[0]: [int(n) for n in p.read_text().split()] for p in left}
            return {n: found for n, found in told.items() if found and found[0] >= REPEATS}

        for file in asked:
            file.touch()
        try:
            await asyncio.sleep(self.seconds)
            await until(counted, PASSED_S, f"{self.victim} was told things twice")
        finally:
            for file in asked:
                file.unlink()
        fired.over = now()
        told = await until(counted, PASSED_S, "the count was written")
        fired.proof = {"told again, and after what followed": told}
        for left in target.faults.glob(f"*@deliver.*{FIRED}"):
            left.unlink(missing_ok=True)
        return fired


@dataclass(frozen=True)
class Skew:
    """The owner's clock is wrong by some seconds, then right again. Proved by the times in the log,
    which are the owner's.
    """

    victim: str
    seconds: float
    lasts_s: float = 4.0

    @property
    def name(self) -> str:
        return f"clock {self.seconds:+g} s"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        find(target, self.victim)
        own = own_address(target.settings, self.victim)[1]
        asked = target.faults / f"{self.victim}.clock"
        fired = Fired(self.name, self.victim, now())
        sql = await asyncpg.connect(target.access.dsn("orion_owner"))
        most, ends = 0.0, time.monotonic() + BACK_S
        asked.write_text(str(int(self.seconds * 1e6)))
        try:
            until_s = time.monotonic() + self.lasts_s
            while time.monotonic() < until_s or abs(most) < abs(self.seconds) / 2:
                if time.monotonic() > ends:
                    raise NotFired(f"the log's times were off by {most:g} s only")
                await asyncio.sleep(0.1)
                off = await self._off(sql, own)
                most = max(most, off, key=abs) if off * self.seconds > 0 else most
        finally:
            asked.unlink()
            await sql.close()
        fired.over = now()
        fired.proof = {"the log's newest time was off by s": round(most, 2)}
        return fired

    async def _off(self, sql: asyncpg.Connection, own: str) -> float:
        """How far the time of its newest event is from now. An owner never goes back behind its
        last, so a clock that was set back shows as time that stands while events come.
        """
        at = await sql.fetchval(_NEWEST, OWNERS[base(self.victim)], own)
        return 0.0 if at is None else at / 1e6 - time.time()
