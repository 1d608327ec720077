"""What a fault test may do to a process from inside: let it die at a named edge, let it live by a
wrong clock. Both are asked for by files in one folder, so that a running process can be hurt.

Nothing of this is there unless ORION_FAULTS names the folder: the ports are then the plain ones,
not wrapped, and no edge asks anything. It is refused in every environment not named `chaos`.

An edge is asked for by the file `<process>@<edge>`. Who passes it renames the file (so that it
happens once) and kills itself, as the machine would: nothing is closed, flushed or said. The edges:
`put`, `append`, `effect` and `write` are commits to the database (an owner's, a publisher's, a
consumer's, a service's own), `mark` the relay's note of what Kafka has acknowledged, `read` a batch
of the log in hand that was not yet acted on, `reply` an answer over HTTP. `.before` is the moment
before it is sent, `.after` the one in which it is known to have been taken.

A clock is asked for by the file `<process>.clock`, which holds microseconds to add.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from orion.platform.clock import Clock
from orion.platform.config import ConfigError, PlatformConfig

ENVIRONMENT = "chaos"
EDGES = ("put", "append", "effect", "write", "mark", "read", "reply")
FIRED = ".fired"
LOOK_NS = 20_000_000


class Faults:
    """The faults of one process."""

    def __init__(self, folder: Path, process: str):
        self._folder, self._process = folder, process

    def at(self, edge: str) -> None:
        """Dies here, if that is wanted."""
        asked = self._folder / f"{self._process}@{edge}"
        with suppress(OSError):
            asked.rename(asked.with_name(f"{asked.name}.{os.getpid()}{FIRED}"))
            os.kill(os.getpid(), signal.SIGKILL)

    def clock(self, real: Clock) -> Clock:
        """The clock, wrong when that is wanted."""
        return _Skewed(real, self._folder / f"{self._process}.clock")

    def store(self, real: Any) -> Any:
        """orion.platform.store.port.Store with the edges of its commits."""
        return _Store(real, self)

    def database(self, real: Any) -> Any:
        """orion.platform.store.port.Database with the edges of its writes."""
        return _Database(real, self)

    def log(self, real: Any) -> Any:
        """orion.platform.bus.port.Bus with the edge of what was read."""
        return _Log(real, self)

    def marks(self, real: Any) -> Any:
        """orion.platform.relay_marks.RelayMarks with the edges of its notes."""
        return _Marks(real, self)

    def app(self, real: Any) -> Any:
        """An ASGI application with the edges of its answers to commands."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            is_command = scope["type"] == "http" and scope["method"] != "GET"

            async def telling(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.at("reply.before")
                await send(message)
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    self.at("reply.after")

            await real(scope, receive, telling if is_command else send)

        return app


def faults_of(platform: PlatformConfig, process: str) -> Faults | None:
    """The faults that may be done to this process; None, almost always: there are none. Raises
    ConfigError.
    """
    if not platform.faults:
        return None
    if platform.env != ENVIRONMENT:
        raise ConfigError(
            "ORION_FAULTS",
            f"is set in the environment {platform.env!r}",
            f"Unset it: only an environment named {ENVIRONMENT!r} (ORION_ENV) may be hurt",
        )
    return Faults(Path(platform.faults), process)


class _Skewed:
    def __init__(self, real: Clock, asked: Path):
        self._real, self._asked = real, asked
        self._looked, self._off = 0, 0

    def now(self) -> int:
        ticks = self._real.ticks()
        if ticks - self._looked > LOOK_NS:
            self._looked, self._off = ticks, self._wanted()
        return self._real.now() + self._off

    def _wanted(self) -> int:
        try:
            return int(self._asked.read_text())
        except (OSError, ValueError):
            return 0

    def ticks(self) -> int:
        return self._real.ticks()


class _Wrapped:
    """The real thing, but for what a subclass names."""

    def __init__(self, real: Any, faults: Faults):
        self._real, self._faults = real, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Store(_Wrapped):
    async def put(self, batch: Any) -> None:
        self._faults.at("put.before")
        await self._real.put(batch)
        self._faults.at("put.after")

    async def append(self, batch: Any) -> None:
        self._faults.at("append.before")
        await self._real.append(batch)
        self._faults.at("append.after")

    @asynccontextmanager
    async def effect(
        self, service: str, tenants: Sequence[str], advances: Sequence[Any], **more: Any
    ) -> AsyncIterator[Any]:
        async with self._real.effect(service, tenants, advances, **more) as sql:
            yield sql
            self._faults.at("effect.before")
        self._faults.at("effect.after")


class _Database(_Wrapped):
    def read(self, tenant: str) -> AbstractAsyncContextManager[Any]:
        return self._real.read(tenant)

    @asynccontextmanager
    async def write(self, service: str, tenants: Sequence[str]) -> AsyncIterator[Any]:
        async with self._real.write(service, tenants) as sql:
            yield sql
            self._faults.at("write.before")
        self._faults.at("write.after")


class _Log(_Wrapped):
    async def read(self, *words: Any, **more: Any) -> Any:
        found = await self._real.read(*words, **more)
        if found:
            self._faults.at("read.after")
        return found


class _Marks(_Wrapped):
    async def write(self, marks: Any) -> None:
        self._faults.at("mark.before")
        await self._real.write(marks)
        self._faults.at("mark.after")
