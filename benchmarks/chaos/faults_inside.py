"""Faults that the platform is asked to do to itself, by files that orion.platform.faults looks for:
death at an edge, a wrong clock. That they happened is seen from outside all the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from benchmarks.chaos.faults import BACK_S, Fired, NotFired, find, replaced, signs_of, until
from benchmarks.chaos.target import Target, base
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
}
OWNERS = {"rfq": "rfq.lifecycle", "execution": "execution.trades"}
_NEWEST = "select at from bus.log where topic = $1 order by at desc, offs desc limit 1"


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
        old = find(target, self.victim)
        asked = target.faults / f"{self.victim}@{self.edge}"
        asked.touch()
        try:
            await until(lambda: not old.is_there, PASSED_S, f"{self.victim} passed {self.edge}")
        except NotFired:
            asked.unlink(missing_ok=True)
            raise
        fired = Fired(self.name, self.victim, now())
        left = target.faults / f"{asked.name}.{old.pid}{FIRED}"
        if not left.exists():
            raise NotFired(f"{self.victim} ended, but not at {self.edge}")
        new = await replaced(target, self.victim, old)
        fired.proof = {"ended": old.pid, "at": left.name, "in its place": new.pid}
        left.unlink()
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
                off = await self._off(sql)
                most = max(most, off, key=abs) if off * self.seconds > 0 else most
        finally:
            asked.unlink()
            await sql.close()
        fired.over = now()
        fired.proof = {"the log's newest time was off by s": round(most, 2)}
        return fired

    async def _off(self, sql: asyncpg.Connection) -> float:
        """How far the newest event's time is from now. An owner never goes back behind its last, so
        a clock that was set back shows as time that stands while events come.
        """
        at = await sql.fetchval(_NEWEST, OWNERS[base(self.victim)])
        return 0.0 if at is None else at / 1e6 - time.time()
