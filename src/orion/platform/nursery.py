"""The supervisor's side of the nursery: keeps one process that has imported everything, and has
the platform's processes forked from it instead of started from nothing.

Importing is most of what a start costs; a fork costs milliseconds. Where the nursery is not there
(another system than Linux, killed just now, broken) `bear` gives None and the caller starts the
program itself.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from orion.platform import telemetry
from orion.platform.cradle import AWAKE, GO
from orion.platform.logfile import LogFile

SPAWN = Path(__file__).with_name("spawn.py")
PR_SET_CHILD_SUBREAPER = 36
AWAKE_S = 30.0  # for importing, on a busy machine
FORK_S = 5.0
STOP_S = 2.0
PAUSE_S = 0.5  # before it is started again
TRIES = 3  # so many starts in vain: it is left alone
LINE_BYTES = 256 * 1024


class Born:
    """A forked process, with what the supervisor uses of asyncio's Process. Ours to wait for."""

    def __init__(self, pid: int, handle: int, stdout: asyncio.StreamReader):
        self.pid, self.stdout = pid, stdout
        self.returncode: int | None = None
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop.add_reader(handle, self._look)

    def _look(self) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            return
        self.returncode = os.waitstatus_to_exitcode(status)
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        self._ended.set()

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Does nothing once it has ended."""
        if self.returncode is None:
            signal.pidfd_send_signal(self._handle, number)


class Nursery:
    """`async with Nursery(command, environment, log) as nursery: await nursery.bear(…)`.

    `command` gets one more argument, the descriptor for orion.platform.cradle.attend; `room` is
    the longest command line that a forked process will show.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        room: int = 1024,
    ):
        self._command, self._environment, self._room = command, environment, room
        self._log = LogFile(log)
        self._one_by_one = asyncio.Lock()
        self._settled = asyncio.Event()  # awake, or known not to come
        self._process: Process | None = None
        self._door: socket.socket | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Nursery:
        if is_possible():
            self._keeper = asyncio.create_task(self._keep(), name="nursery")
        else:
            self._settled.set()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._log.close()

    @property
    def pid(self) -> int | None:
        """Its process id while it can fork."""
        return self._process.pid if self._process is not None and self._door is not None else None

    def renew(self) -> None:
        """Reads the program anew; until that is done, processes are started one by one."""
        self._give_up()

    # --- forking

    async def bear(
        self,
        command: Sequence[str],
        words: Sequence[str],
        environment: Mapping[str, str],
        ready: tuple[str, int],
    ) -> Born | None:
        """A new process that continues with `words`, looks like `command` and finds the
        descriptor of `ready` under its name in the environment. None: there is no nursery now.
        """
        await self._settled.wait()
        async with self._one_by_one:
            if self._door is None:
                return None
            order = {
                "command": list(command),
                "words": list(words),
                "environment": dict(environment),
                "parent": os.getpid(),
                "ready": ready[0],
            }
            try:
                return await self._bear(self._door, json.dumps(order).encode(), ready[1])
            except (OSError, TimeoutError, ValueError) as error:
                telemetry.log.warning("nursery: no fork", error=str(error) or type(error).__name__)
                self._give_up()
                return None

    async def _bear(self, door: socket.socket, order: bytes, ready: int) -> Born:
        loop = asyncio.get_running_loop()
        with ExitStack() as ours:
            out, out_theirs = _pipe(ours)
            go_theirs, go = _pipe(ours)
            with _adopting():
                socket.send_fds(door, [order], [out_theirs, ready, go_theirs])
                async with asyncio.timeout(FORK_S):
                    pid = int(await loop.sock_recv(door, 32))
            handle = os.pidfd_open(pid)
            ours.callback(os.close, handle)
            # Only a child of ours can be waited for; raises ChildProcessError, an OSError.
            os.waitid(os.P_PIDFD, handle, os.WEXITED | os.WNOHANG | os.WNOWAIT)  # noqa: ASYNC222
            reader = asyncio.StreamReader(limit=LINE_BYTES)
            protocol = asyncio.StreamReaderProtocol(reader)
            await loop.connect_read_pipe(lambda: protocol, os.fdopen(os.dup(out), "rb", 0))
            born = Born(pid, os.dup(handle), reader)
            os.write(go, GO)
            return born

    def _give_up(self) -> None:
        """This one does not do; another takes its place."""
        self._door = None
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    # --- keeping

    async def _keep(self) -> None:
        vain = 0
        while vain < TRIES:
            try:
                vain = 0 if await self._run() else vain + 1
            except OSError as error:
                telemetry.log.warning("nursery: not started", error=str(error))
                vain += 1
            self._settled.set()
            await asyncio.sleep(PAUSE_S)
        telemetry.log.warning("nursery: left alone; processes are started one by one")

    async def _run(self) -> bool:
        """From its start to its end; whether it came to fork."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.setblocking(False)
            with theirs:
                self._process = await self._spawn(theirs.fileno())
            reading = asyncio.create_task(self._read_log(self._process), name="nursery-log")
            try:
                return await self._stay(ours, self._process)
            finally:
                self._door = None
                await _end(self._process)
                await asyncio.wait((reading,), timeout=STOP_S)
                reading.cancel()

    async def _stay(self, ours: socket.socket, process: Process) -> bool:
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(AWAKE_S):
                said = await asyncio.get_running_loop().sock_recv(ours, 16)
            if said == AWAKE:
                self._door = ours
                self._settled.set()
                code = await process.wait()
                telemetry.log.warning("nursery: ended", code=code)
                return True
        return False

    async def _spawn(self, door: int) -> Process:
        guard = (sys.executable, "-I", "-S", str(SPAWN), "--parent", str(os.getpid()))
        return await asyncio.create_subprocess_exec(
            *guard,
            *("--death", str(int(signal.SIGKILL)), "--", *self._command, str(door)),
            "." * self._room,  # room for the names of the forked ones
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=LINE_BYTES,
            start_new_session=True,
            pass_fds=(door,),
            env=dict(self._environment),
        )

    async def _read_log(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue
            if not line:
                return
            self._log.write(line)


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()  # it holds nothing
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await process.wait()


def is_possible() -> bool:
    """Whether this system knows adoption and handles of processes."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def _pipe(stack: ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for end in ends:
        stack.callback(os.close, end)
    return ends


@contextmanager
def _adopting() -> Iterator[None]:
    """Inside, orphans among this process's descendants become its children. Not longer: it would
    have to wait for those of PostgreSQL too.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        yield
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
