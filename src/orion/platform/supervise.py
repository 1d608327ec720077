"""Starts the processes of a platform, waits until they are ready, brings back those that end, and
stops them in order.

A child says that it is ready on a pipe whose number it finds in ORION_READY_FD. It runs in a
session of its own, so Ctrl-C reaches only the supervisor; when the supervisor itself is killed,
the kernel kills the children.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from orion.platform.datadir import StartError
from orion.platform.logfile import LogFile
from orion.platform.nursery import Born, Nursery

SPAWN = Path(__file__).with_name("spawn.py")
READY_FD = "ORION_READY_FD"
EX_CONFIG = 78  # a child that ends with this would only end so again
READY_S = 120.0
STOP_S = 5.0
LEAVE_S = 20.0  # for a process that was asked to leave in order
BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_S = 30.0  # up for so long: the next end is the first again
LOOP_ENDS = 5  # so many ends in a row: say so
START_TRIES = 3
LINE_BYTES = 256 * 1024
TOLD_PER_BURST = 5
BURST_S = 10.0

Notice = Callable[[str, str], None]


@dataclass(frozen=True)
class Spec:
    """A process to keep running. `last`: stopped after those that are not."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    last: bool = False
    words: Sequence[str] = ()  # what a copy of the nursery continues with; none: always started


@dataclass
class _Told:
    """Bounds how many errors of one process reach the person in front of it."""

    since: float = 0.0
    count: int = 0

    def may(self, now: float) -> bool:
        if now - self.since > BURST_S:
            self.since, self.count = now, 0
        self.count += 1
        return self.count <= TOLD_PER_BURST


@dataclass
class Child:
    """One kept process and what is known about it."""

    spec: Spec
    log: LogFile
    process: Process | Born | None = None
    is_ready: bool = False
    was_ready: bool = False
    started_at: float = 0.0
    is_leaving: bool = False  # asked to; its end is no news
    ends: int = 0
    restarts: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=12))
    told: _Told = field(default_factory=_Told)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process and self.process.returncode is None else None


class Supervisor:
    """`start` returns when all are ready or raises StartError; `stop` ends them. `notice(process,
    text)` is told what happens. With a nursery, processes are forked from it where it can.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        logs: Path,
        notice: Notice,
        nursery: Nursery | None = None,
    ):
        self._notice, self._nursery = notice, nursery
        self._loop = asyncio.get_running_loop()
        self._stopping = False
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._keepers: list[asyncio.Task[None]] = []
        self.children = {s.name: Child(s, LogFile(logs / f"{s.name}.log")) for s in specs}

    async def start(self, on_ready: Callable[[str, float], None] = lambda _n, _s: None) -> None:
        """Starts all at once. `on_ready` hears each name and its seconds. Raises StartError; the
        caller then stops.
        """
        begun = self._loop.time()

        async def told(child: Child) -> None:
            await child.ready.wait()
            on_ready(child.spec.name, self._loop.time() - begun)

        for child in self.children.values():
            keeper = asyncio.create_task(self._keep(child), name=f"keep-{child.spec.name}")
            self._keepers.append(keeper)
        waiting = asyncio.ensure_future(
            asyncio.gather(*(told(child) for child in self.children.values()))
        )
        try:
            await asyncio.wait(
                (waiting, self._failed), timeout=READY_S, return_when=asyncio.FIRST_COMPLETED
            )
            if self._failed.done():
                self._failed.result()
            if not waiting.done():
                late = [c.spec.name for c in self.children.values() if not c.is_ready]
                log = self.children[late[0]].log.path
                raise StartError(
                    f"{', '.join(late)}: not ready after {READY_S:.0f} s. What it does is in {log}"
                )
        finally:
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    def reread(self) -> None:
        """Processes that are started from now on are of the program as it is on the disk."""
        if self._nursery is not None:
            self._nursery.renew()

    async def renew(self, name: str, *, in_order: bool) -> float:
        """Ends a process and starts it anew; returns when it is ready again, with the seconds it
        was away. `in_order`: others do its work meanwhile, so it hands it over first. Raises
        StartError when it does not come back.
        """
        child = self.children[name]
        child.is_leaving = True
        child.ready.clear()
        process = child.process
        if in_order and process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGUSR1)
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await process.wait()
        begun = self._loop.time()
        if child.process is process:
            await _end(child, fast=False)
        try:
            async with asyncio.timeout(READY_S):
                await child.ready.wait()
        except TimeoutError:
            text = f"{name} is not ready after {READY_S:.0f} s. What it does is in {child.log.path}"
            raise StartError(text) from None
        return self._loop.time() - begun

    async def stop(self, *, fast: bool = False) -> None:
        """Ends all: the outer ones first, each bounded, then the hard way. `fast`: at once.
        Idempotent.
        """
        self._stopping = True
        for last in (False, True):
            group = [c for c in self.children.values() if c.spec.last is last]
            await asyncio.gather(*(_end(child, fast=fast) for child in group))
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in self.children.values():
            child.log.close()

    # --- one child

    async def _keep(self, child: Child) -> None:
        while not self._stopping:
            try:
                code = await self._run(child)
            except OSError as error:
                self._give_up(child, f"{child.spec.name} cannot be started: {error.strerror}.")
                return
            if self._stopping:
                return
            if child.is_leaving:
                continue
            steady = self._loop.time() - child.started_at > STEADY_S
            child.ends = 1 if steady else child.ends + 1
            if code == EX_CONFIG or (not child.was_ready and child.ends >= START_TRIES):
                self._give_up(child, _last_words(child, code))
                return
            self._tell_end(child, code)
            child.restarts += 1
            await asyncio.sleep(BACKOFF_S[min(child.ends - 1, len(BACKOFF_S) - 1)])

    def _give_up(self, child: Child, text: str) -> None:
        if child.was_ready or self._failed.done():
            self._notice(child.spec.name, text)
        else:
            self._failed.set_exception(StartError(text))

    def _tell_end(self, child: Child, code: int) -> None:
        name = child.spec.name
        if child.ends < LOOP_ENDS:
            self._notice(name, f"{name} ended ({how(code)}); starting it again")
        elif child.ends == LOOP_ENDS:
            self._notice(
                name,
                f"{name} keeps ending ({child.ends} times in a row, {how(code)}). It is tried "
                f"again every {BACKOFF_S[-1]:.0f} s; why is in {child.log.path}",
            )

    async def _run(self, child: Child) -> int:
        """From the start to the end of one process; its exit code."""
        pipe = _ReadyPipe(self._loop, lambda: self._heard(child))
        try:
            child.tail.clear()
            child.started_at = self._loop.time()
            child.process = await self._begin(child.spec, pipe.telling)
            pipe.listen()
            await self._read_log(child)
            return await child.process.wait()
        finally:
            child.is_ready = False
            pipe.close()

    async def _begin(self, spec: Spec, telling: int) -> Process | Born:
        if self._nursery is not None and spec.words:
            ready = (READY_FD, telling)
            born = await self._nursery.bear(spec.command, spec.words, spec.environment, ready)
            if born is not None:
                return born
        return await _spawn(spec, telling)

    def _heard(self, child: Child) -> None:
        if child.was_ready and not child.is_leaving:
            seconds = self._loop.time() - child.started_at
            self._notice(child.spec.name, f"{child.spec.name} is back after {seconds:.1f} s")
        child.is_ready = child.was_ready = True
        child.is_leaving = False
        child.ready.set()

    async def _read_log(self, child: Child) -> None:
        assert child.process is not None
        assert child.process.stdout is not None
        while True:
            try:
                line = await child.process.stdout.readline()
            except ValueError:  # a line beyond the bound; what follows is read as another
                continue
            if not line:
                return
            child.log.write(line)
            text = line.decode(errors="replace").rstrip()
            child.tail.append(text)
            problem = error_in(text)
            if problem and child.was_ready and child.told.may(self._loop.time()):
                self._notice(child.spec.name, f"{child.spec.name}: {problem}")


class _ReadyPipe:
    """One end for the child to say "ready" on, the other for us; closed once, whoever is first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_ready: Callable[[], None]):
        self._loop, self._on_ready = loop, on_ready
        self._listening, self.telling = os.pipe()
        self._open = {self._listening, self.telling}

    def listen(self) -> None:
        """The child has its copy of the other end."""
        self._shut(self.telling)
        self._loop.add_reader(self._listening, self._hear)

    def _hear(self) -> None:
        said = os.read(self._listening, 64)
        self.close()
        if said.startswith(b"ready"):
            self._on_ready()

    def close(self) -> None:
        """Lets go of both ends."""
        if self._listening in self._open:
            self._loop.remove_reader(self._listening)
        self._shut(self._listening)
        self._shut(self.telling)

    def _shut(self, end: int) -> None:
        if end in self._open:
            self._open.discard(end)
            os.close(end)


async def _spawn(spec: Spec, telling: int) -> Process:
    guard = [sys.executable, "-I", "-S", str(SPAWN), "--parent", str(os.getpid())]
    return await asyncio.create_subprocess_exec(
        *guard,
        *("--death", str(int(signal.SIGKILL)), "--", *spec.command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        limit=LINE_BYTES,
        start_new_session=True,
        pass_fds=(telling,),
        env={**spec.environment, READY_FD: str(telling)},
    )


async def _end(child: Child, *, fast: bool) -> None:
    process = child.process
    for number in (signal.SIGKILL,) if fast else (signal.SIGTERM, signal.SIGKILL):
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(number)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()


def _last_words(child: Child, code: int) -> str:
    if code == EX_CONFIG:
        return "\n".join(child.tail)
    words = [error_in(text) or text for text in list(child.tail)[-6:]]
    return (
        f"{child.spec.name} does not start ({how(code)}). Its last words:\n"
        + "\n".join(f"  {word[:300]}" for word in words)
        + f"\nAll of them: {child.log.path}"
    )


def error_in(line: str) -> str | None:
    """What an error line of a JSON log says, in few words; None for all other lines."""
    if '"level": "error"' not in line and '"level": "critical"' not in line:
        return None
    try:
        said = json.loads(line)
        text = str(said["event"])
        cause = str(said.get("error") or said.get("exception") or "").strip().splitlines()
    except (ValueError, KeyError, TypeError):
        return None
    return f"{text} ({cause[-1][:200]})" if cause else text


def how(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
