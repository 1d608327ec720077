"""What is done to servers besides killing them: PostgreSQL stands, drops everybody, is held up;
Kafka and Redis are away for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import psutil

from benchmarks.chaos.faults import Fired, NotFired, find, signs_of, until
from benchmarks.chaos.target import Target

_DROP = """
    select count(*) filter (where pg_terminate_backend(pid))
      from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class Freeze:
    """PostgreSQL and all its backends stand: connections are open and nobody answers. Proved by the
    kernel's word, and by a question that is not answered.
    """

    seconds: float = 1.5
    victim: str = "postgres"
    name: str = "SIGSTOP"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        head = find(target, self.victim)
        sql = await asyncpg.connect(target.access.dsn("orion_reader"))
        everyone = [head.pid, *(p.pid for p in psutil.Process(head.pid).children(recursive=True))]
        fired = Fired(self.name, self.victim, now())
        silent = False
        try:
            _signal(everyone, signal.SIGSTOP)
            await until(lambda: head.is_stopped, 5, "PostgreSQL stands")
            asked = asyncio.create_task(sql.fetchval("select 1"))
            done, _ = await asyncio.wait([asked], timeout=self.seconds)
            silent = not done
        finally:
            _signal(everyone, signal.SIGCONT)
        fired.over = now()
        await asked
        await sql.close()
        if not silent:
            raise NotFired("PostgreSQL answered while it stood")
        fired.proof = {"stood": len(everyone), "s": self.seconds, "a question waited": True}
        return fired


@dataclass(frozen=True)
class Disconnect:
    """Every connection to PostgreSQL is cut, whatever is under way in it: who was committing does
    not know. Proved by the server's count.
    """

    victim: str = "postgres"
    name: str = "cuts connections"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        sql = await asyncpg.connect(target.access.admin_dsn)
        try:
            fired = Fired(self.name, self.victim, now())
            cut = await sql.fetchval(_DROP)
        finally:
            await sql.close()
        if not cut:
            raise NotFired("nobody was connected")
        fired.proof = {"connections cut": cut}
        return fired


@dataclass(frozen=True)
class LongTransaction:
    """Somebody holds a snapshot open while all go on. Proved by the server: the oldest transaction
    was that old.
    """

    seconds: float = 3.0
    victim: str = "postgres"
    name: str = "long transaction"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        sql = await asyncpg.connect(target.access.admin_dsn)
        try:
            fired = Fired(self.name, self.victim, now())
            async with sql.transaction(isolation="repeatable_read"):
                await sql.fetchval("select count(*) from rfq.state")
                await asyncio.sleep(self.seconds)
                age = await sql.fetchval(
                    "select extract(epoch from clock_timestamp() - xact_start)"
                    " from pg_stat_activity where pid = pg_backend_pid()"
                )
        finally:
            await sql.close()
        fired.over = now()
        fired.proof = {"open for s": round(float(age), 2)}
        return fired


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@dataclass(frozen=True)
class Outage:
    """Kafka or Redis is away for some seconds and comes back: killed, stopped in order, or standing
    with its connections open. Proved by its port, or by the kernel's word.
    """

    victim: str
    how: str  # kill -9, stop, SIGSTOP
    seconds: float = 3.0

    @property
    def name(self) -> str:
        return f"{self.how}, {self.seconds:g} s"

    def signs(self, target: Target) -> set[str]:
        return signs_of(target, self.victim)

    async def fire(self, target: Target, now: Callable[[], int]) -> Fired:
        server: Any = target.ground.servers[self.victim]
        old = find(target, self.victim)
        fired = Fired(self.name, self.victim, now())
        if self.how == "SIGSTOP":
            server.process.pause()
            try:
                await until(lambda: old.is_stopped, 5, f"{self.victim} stands")
                await asyncio.sleep(self.seconds)
            finally:
                server.process.resume()
            fired.proof = {"stood": old.pid}
        else:
            await (server.process.kill() if self.how == "kill -9" else server.stop())
            try:
                if old.is_there or await _answers(server.port):
                    raise NotFired(f"{self.victim} is still there")
                await asyncio.sleep(self.seconds)
            finally:
                await server.start()
            fired.proof = {"ended": old.pid, "in its place": find(target, self.victim).pid}
        fired.over = now()
        return fired


async def _answers(port: int) -> bool:
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
