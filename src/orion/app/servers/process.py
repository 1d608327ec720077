"""One foreign server as a child process: started, watched until it is ready, stopped, and for tests
of bad days killed, paused and woken.

The child gets a signal when this process dies, and writes into a log file that has a bound.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from orion.platform.datadir import StartError
from orion.platform.logfile import LogFile

SPAWN = Path(__file__).parents[2] / "platform" / "spawn.py"
LOOPBACK = "127.0.0.1"
POLL_S = 0.02
STOP_S = 10.0
LAST_WORDS = 20


class ServerProcess:
    """`start(command, ready)`, `stop()`. `name` stands in messages; `log` is where its words go."""

    def __init__(self, name: str, log: Path):
        self.name = name
        self._log = LogFile(log)
        self._tail: deque[str] = deque(maxlen=LAST_WORDS)
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(
        self,
        command: Sequence[str | Path],
        ready: Callable[[], Awaitable[bool]],
        *,
        seconds: float,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Returns when `ready` says True. Raises StartError with the server's last words."""
        assert self.pid is None, f"{self.name} runs already"
        self._log.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tail.clear()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(SPAWN), "--parent", str(os.getpid())),
            *("--death", str(int(signal.SIGTERM)), "--", *map(str, command)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", **(environment or {})},
        )
        self._reader = asyncio.create_task(self._read(self._process), name=f"{self.name}-log")
        try:
            await self._wait(self._process, ready, seconds)
        except BaseException:
            await self.stop()
            raise

    async def _wait(
        self, process: Process, ready: Callable[[], Awaitable[bool]], seconds: float
    ) -> None:
        deadline = asyncio.get_running_loop().time() + seconds
        while not await ready():
            if process.returncode is not None:
                assert self._reader is not None
                await self._reader
                raise StartError(f"{self.name} did not start. {self._last_words()}")
            if asyncio.get_running_loop().time() > deadline:
                raise StartError(
                    f"{self.name} is not ready after {seconds:g} s. {self._last_words()}"
                )
            await asyncio.sleep(POLL_S)

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than the reader's bound: the rest is a line of its own
                continue
            if not line:
                self._log.close()
                return
            self._log.write(line)
            self._tail.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        return "Its last words:\n" + "\n".join(self._tail) + f"\nAll of them: {self._log.path}"

    async def stop(self, *, number: int = signal.SIGTERM, seconds: float = STOP_S) -> None:
        """Asks, waits so long at most, then kills. Idempotent."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            self.signal(number)
            self.signal(signal.SIGCONT)  # a paused one could not hear
            try:
                async with asyncio.timeout(seconds):
                    await process.wait()
            except TimeoutError:
                self.signal(signal.SIGKILL)
        await process.wait()
        if self._reader is not None:
            await self._reader
        self._process = self._reader = None

    async def kill(self) -> None:
        """As on a bad day: no last word. Returns when it is gone."""
        await self.stop(number=signal.SIGKILL)

    def pause(self) -> None:
        """It stays, with its connections, and does nothing."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on as if nothing had been."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Sends a signal to the server, while it runs."""
        if self.pid is not None:
            with suppress(ProcessLookupError):  # gone, and the loop has yet to hear of it
                os.kill(self.pid, number)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody uses at this moment."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((LOOPBACK, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
