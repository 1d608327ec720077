"""What is done where there are two copies of each process: an owner dies and nobody brings it back,
one stands with a batch in hand until another copy has what it had, all of them are restarted in
order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import asyncpg

from benchmarks.chaos.faults import Fired, NotFired, find, replaced, signs_of, until
from benchmarks.chaos.faults_inside import OWNERS, PASSED_S
from benchmarks.chaos.history import UNKNOWN, Op
from benchmarks.chaos.target import Target, base
from orion.app.profiles import own_address
from orion.platform.faults import FIRED, REFUSED

RESTART_S = 600.0
EVERYTHING = "everything"
_HOLDERS = "select distinct owner from bus.head where topic = $1"


async def taken_over(
    sql: asyncpg.Connection, target: Target, victim: str, now: Callable[[], int], since: int
) -> tuple[int, list[str]]:
    """Milliseconds since then until other copies had all that the victim had, and which. Raises
    NotFired.
    """
    own, topic = own_address(target.settings, victim)[1], OWNERS[base(victim)]
    ends = time.monotonic() + PASSED_S
    while own in (holders := {row[0] for row in await sql.fetch(_HOLDERS, topic)}):
        if time.monotonic() > ends:
            raise NotFired(f"nobody took over from {victim}")
        await asyncio.sleep(0.02)
    return (now() - since) // 1000, sorted(h.rpartition("/")[2] for h in holders)


async def has_share(sql: asyncpg.Connection, target: Target, victim: str) -> None:
    """Waits until the victim owns something. Raises NotFired."""
    own, topic = own_address(target.settings, victim)[1], OWNERS[base(victim)]
    ends = time.monotonic() + PASSED_S
    while own not in {row[0] for row in await sql.fetch(_HOLDERS, topic)}:
        if time.monotonic() > ends:
            raise NotFired(f"{victim} owns nothing")
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Orphan:
    """kill -9 of an owner while its supervisor stands: nobody brings it back, so another copy takes
    what it had. Proved by the database's word who owns.
    """

    victim: str
    name: str = "kill -9, nobody helps"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        sql = await asyncpg.connect(target.access.dsn("orion_owner"))
        fired = Fired(self.name, self.victim, 0)
        try:
            await has_share(sql, target, self.victim)
            old = find(target, self.victim)
            target.supervisor.send_signal(signal.SIGSTOP)
            try:
                fired.at = now()
                os.kill(old.pid, signal.SIGKILL)
                took, by = await taken_over(sql, target, self.victim, now, fired.at)
            finally:
                target.supervisor.send_signal(signal.SIGCONT)
        finally:
            await sql.close()
        new = await replaced(target, self.victim, old)
        fired.proof = {
            "ended": old.pid, "taken over after ms": took, "by": by, "in its place": new.pid,
        }  # fmt: skip
        return fired


@dataclass(frozen=True)
class Late:
    """An owner stands with a batch in hand, longer than its lease; another copy takes what it had;
    then it wakes up and sends the batch, which must be refused. Proved by the kernel, by the
    database's word who owns, and by what the late one says became of its batch.
    """

    victim: str
    name: str = "wakes up late with a batch"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        held = find(target, self.victim)
        asked = target.faults / f"{self.victim}@put.late"
        left = target.faults / f"{asked.name}.{held.pid}{FIRED}"
        sql = await asyncpg.connect(target.access.dsn("orion_owner"))
        fired = Fired(self.name, self.victim, 0)
        try:
            await has_share(sql, target, self.victim)
            asked.touch()
            await until(lambda: held.is_stopped, PASSED_S, f"{self.victim} stood at a write")
            fired.at = now()
            took, by = await taken_over(sql, target, self.victim, now, fired.at)
        finally:
            asked.unlink(missing_ok=True)
            if held.is_there:
                os.kill(held.pid, signal.SIGCONT)
            await sql.close()
        fired.over = now()
        said = await until(left.read_text, PASSED_S, f"{self.victim} said what became of its batch")
        left.unlink()
        fired.proof = {
            "stood": held.pid, "taken over after ms": took, "by": by, "its batch was": said,
        }  # fmt: skip
        if said != REFUSED:
            fired.wrong = f"{self.victim} was not the owner any more, and its batch was {said}"
        return fired


@dataclass(frozen=True)
class Restart:
    """`orion restart`: every process anew, copy by copy. Proved by other processes in all places;
    no client may notice.
    """

    victim: str = EVERYTHING
    name: str = "restart"

    def signs(self, target: Target) -> set[str]:
        return {"command", "quote", "trade", "frame"}

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        old = target.processes()
        mine = [name for name in old if target.services().get(base(name))]
        fired = Fired(self.name, self.victim, now())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "orion.app.cli", "restart"),
            env=target.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(RESTART_S):
            said = (await process.communicate())[0].decode()
        fired.over = now()
        new = target.processes()
        same = [name for name in mine if new.get(name) in (None, old[name])]
        if process.returncode != 0 or same:
            raise NotFired(f"not anew: {', '.join(same)}; {said[-500:]}")
        fired.proof = {"anew": len(mine), "s": round((fired.over - fired.at) / 1e6, 1)}
        return fired


def noticed(ops: Sequence[Op], since: int, until_then: int) -> Iterator[str]:
    """What clients saw that was asked between two moments and had no answer, or one of the
    platform's trouble.
    """
    for op in ops:
        for one in op.tries:
            if not since <= one.at <= until_then or one.ended is None:
                continue
            hung_up = one.said.get("code") == "hung up"
            if one.status >= 500 or (one.outcome == UNKNOWN and one.status == 0 and not hung_up):
                code = one.said.get("code", "")
                yield f"{op.kind} {op.tenant} {op.key or op.rfq}: {one.status or 'nothing'} {code}"
