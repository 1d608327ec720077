"""The real platform, run as a person runs it: `orion up` in a process of its own, on its own port
and data folder, stopped with Ctrl-C.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import asyncpg
import httpx
import psutil

from orion.platform.config import Settings
from orion.platform.embedded import Access

T = TypeVar("T")
CHECKOUT = Path(__file__).parents[1]
ORION = (sys.executable, "-P", "-m", "orion.app.cli")
CHILD = "orion.app.child"  # a process of the platform: the module, then its name
RESULTS = CHECKOUT / "test-results"
PASSWORD = "orion-demo"


async def until(
    look: Callable[[], T | Awaitable[T]],
    within_s: float = 20.0,
    what: str = "",
    pause_s: float = 0.05,
) -> T:
    """The first truthy answer of `look`. Raises AssertionError with the last answer."""
    ends, last = time.monotonic() + within_s, None
    while True:
        answer = look()
        last = await answer if isinstance(answer, Awaitable) else answer
        if last:
            return last
        if time.monotonic() > ends:
            raise AssertionError(
                f"Not within {within_s:.0f} s: {what or look}. Last: {last!r:.600}"
            )
        await asyncio.sleep(pause_s)


def free_port() -> int:
    """A port below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.randint(15_000, 29_000)
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                trial.bind(("127.0.0.1", port))
                return port


class Stack:
    """`async with Stack("name") as stack:` starts the platform and stops it with SIGINT; it must
    end with 0. `environment` and `options` are those of `orion up`.
    """

    verb = "up"
    patience = 1.0  # how much longer than an embedded platform it may take to start and to stop

    def __init__(
        self,
        name: str,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        port: int = 0,
    ):
        self.name = name
        self._home = Path(tempfile.mkdtemp(prefix=f"orion-e2e-{name}-"))
        self.data_dir = folder or self._home / "data"
        self.port = port or free_port()
        self.options, self.environment = list(options), dict(environment or {})
        self.url = f"http://localhost:{self.port}"
        self.process: asyncio.subprocess.Process | None = None
        self.output = self._home / "screen.txt"
        self._tokens: dict[str, tuple[float, str]] = {}
        self.keep = False

    # --- life

    async def __aenter__(self) -> Stack:
        try:
            await self.start()
        except BaseException:
            await self.abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        try:
            if self.process is not None and kind is None:
                await self.stop()
        finally:
            await self.abandon(failed=kind is not None)

    @property
    def settings(self) -> Settings:
        """The settings of this platform, as the product computes them."""
        return Settings(flags={"data_dir": self.data_dir, "port": self.port}, environment={})

    def _web(self) -> Path:
        """The built web as it was at the first start: a build beside us must not pull it away."""
        copy = self._home / "web"
        if not copy.exists() and (CHECKOUT / "web" / "dist" / "index.html").exists():
            shutil.copytree(CHECKOUT / "web" / "dist", copy)
        return copy

    def _environment(self) -> dict[str, str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
        told = {"ORION_PORT": str(self.port), "ORION_DATA_DIR": str(self.data_dir)}
        told["ORION_BFF_WORKSTATION_WEB_DIR"] = str(self._web())
        return {**outside, **told, "PYTHONUNBUFFERED": "1", **self.environment}

    async def launch(self) -> asyncio.subprocess.Process:
        """Starts `orion up` without waiting for anything."""
        with self.output.open("ab") as screen:
            self.process = await asyncio.create_subprocess_exec(
                *ORION, self.verb, *self.options, cwd=CHECKOUT, env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL, stdout=screen, stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        return self.process

    async def start(self, within_s: float = 90.0) -> None:
        """Starts it and waits until it is ready."""
        process = await self.launch()
        ready = asyncio.ensure_future(self.wait_ready(within_s * self.patience))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not ready.done():
            ready.cancel()
            raise AssertionError(f"`up` ended with {process.returncode}:\n{self.screen()}")
        ready.result()

    async def wait_ready(self, within_s: float = 30.0) -> None:
        """/readyz says ok, and the other verbs can find the platform."""

        async def look() -> bool:
            if not (self.settings.run_dir / "running.json").exists():
                return False
            return await self.is_ready()

        try:
            await until(look, within_s, "the platform is ready", 0.1)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.screen()}") from None

    async def is_ready(self) -> bool:
        """What /readyz says now."""
        async with httpx.AsyncClient(timeout=2.0) as client:
            with suppress(httpx.HTTPError):
                return (await client.get(f"{self.url}/readyz")).status_code == 200
        return False

    async def stop(self, within_s: float = 40.0) -> None:
        """Ctrl-C; it must end with 0 and leave no process."""
        assert self.process is not None
        everyone = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        try:
            code = await asyncio.wait_for(self.process.wait(), within_s * self.patience)
        except TimeoutError:
            raise AssertionError(f"Ctrl-C did not end it:\n{self.screen()}") from None
        self.process = None
        assert code == 0, f"`up` ended with {code}:\n{self.screen()}"
        await until(lambda: not _living(everyone), 10, f"all children ended: {_living(everyone)}")

    async def kill_owner(self) -> None:
        """kill -9 of `orion up` itself."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        self.process = None

    async def abandon(self, failed: bool = False) -> None:
        """Ends what may still run, the hard way, and removes the folders."""
        if self.process is not None:
            with suppress(psutil.Error, ProcessLookupError):
                everyone = psutil.Process(self.process.pid).children(recursive=True)
                self.process.kill()
                await self.process.wait()
                await until(lambda: not _living(everyone), 15, "children ended")
            self.process = None
        if failed or self.keep:
            self.save_logs()
        shutil.rmtree(self._home, ignore_errors=True)
        shutil.rmtree(self.settings.run_dir, ignore_errors=True)

    def save_logs(self, folder: str = "") -> None:
        """Copies the screen and all logs to test-results."""
        place = RESULTS / (folder or self.name)
        place.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            shutil.copy(self.output, place / "screen.txt")
            shutil.copytree(self.data_dir / "logs", place / "logs", dirs_exist_ok=True)

    def screen(self) -> str:
        """What a person saw so far."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    # --- processes

    def pids(self) -> dict[str, int]:
        """Process ids by name: bff, edge, core, bots, postgres."""
        assert self.process is not None
        found: dict[str, int] = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                words = child.cmdline()
                if CHILD in words:
                    found[words[words.index(CHILD) + 1]] = child.pid
                elif words and Path(words[0]).name == "postgres":
                    found["postgres"] = child.pid
        return found

    def kill9(self, name: str) -> int:
        """kill -9 of one process; its old id."""
        pid = self.pids()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    @contextmanager
    def without_help(self) -> Iterator[None]:
        """The supervisor stands still: what dies stays dead, and the port answers nobody."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    async def is_back(self, name: str, old: int, within_s: float = 30.0) -> None:
        """Waits until another process has taken the place of `old` and all is ready."""
        await until(lambda: self.pids().get(name, old) != old, within_s, f"{name} was restarted")
        await self.wait_ready(within_s)

    # --- verbs

    async def orion(self, *words: str, within_s: float = 120.0) -> tuple[int, str, str]:
        """Runs a verb against this platform: exit code, stdout, stderr."""
        process = await asyncio.create_subprocess_exec(
            *ORION, *words, cwd=CHECKOUT, env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), within_s)
        return process.returncode or 0, out.decode(), err.decode()

    async def token(self, user: str, *, fresh: bool = False) -> str:
        """A bearer token by the CLI; kept until shortly before it ends."""
        ends, kept = self._tokens.get(user, (0.0, ""))
        if fresh or ends < time.time() + 60:
            code, out, err = await self.orion("token", user)
            assert code == 0, err
            kept = out.strip()
            self._tokens[user] = (claims(kept)["exp"], kept)
        return kept

    async def sql(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """Asks the database as its superuser, past all row policies."""
        settings = self.settings
        door = await asyncpg.connect(Access(settings.data_dir, settings.run_dir).admin_dsn)
        try:
            return await door.fetch(query, *values)
        finally:
            await door.close()

    async def allow(self, user: str, rfq_per_minute: int) -> None:
        """More RFQs a minute than a demo user has; a load of tests would meet the limit."""
        changed = await self.sql(
            "update identity.user_entitlements e set rfq_per_minute = $2 from identity.users u"
            " where u.tenant = e.tenant and u.user_id = e.user_id"
            " and u.name || '@' || u.tenant = $1 returning 1",
            user,
            rfq_per_minute,
        )
        assert changed, f"no user {user}"
        self._tokens.pop(user, None)


def claims(token: str) -> dict[str, Any]:
    """What a token says, unverified."""
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def _living(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    alive: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.Error):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive
