"""What a fault test may do to a process from inside: let it die or stand at a named edge, lose an
answer, get its news twice and late, live by a wrong clock. All are asked for by files in one
folder, so that a running process can be hurt.

Nothing of this is there unless ORION_FAULTS names the folder: the ports are then the plain ones,
not wrapped, and no edge asks anything. It is refused in every environment not named `chaos`.

An edge is asked for by the file `<process>@<edge>`. Who passes it renames the file (so that it
happens once) and kills itself, as the machine would: nothing is closed, flushed or said. The edges:
`put`, `append`, `effect` and `write` are commits to the database (an owner's, a publisher's, a
consumer's, a service's own), `mark` the relay's note of what Kafka has acknowledged, `read` a batch
of the log in hand that was not yet acted on, `file`, `page` and `checkpoint` what the archive
writes, `reply` an answer over HTTP. `.before` is the moment before it is sent, `.after` the one in
which it is known to have been taken.

`.late` at a commit: the process stops itself (SIGSTOP) with the batch in hand, and sends it when
somebody lets it go on; the file that it leaves says what became of it. `.lost`: the batch is taken,
and the answer does not come.

While the file `<process>@deliver` is there, the bus hears everything twice, batches in the wrong
order and old ones again; the file that it leaves counts them. A clock is asked for by the file
`<process>.clock`, which holds microseconds to add.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from orion.platform.clock import Clock
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.store.port import Fenced, OutcomeUnknown

ENVIRONMENT = "chaos"
FIRED = ".fired"
REFUSED, TAKEN = "refused", "taken"  # what became of a late batch
LOOK_NS = 20_000_000
OLD = 16  # batches of which one comes again
HELD_S = 0.2  # no batch waits longer for the one that overtakes it


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

    def _left(self, edge: str) -> Path | None:
        """The mark that is left where the edge was asked for; it is not any more."""
        asked = self._folder / f"{self._process}@{edge}"
        left = asked.with_name(f"{asked.name}.{os.getpid()}{FIRED}")
        with suppress(OSError):
            asked.rename(left)
            return left
        return None

    async def commit(self, edge: str, work: Callable[[], Any]) -> None:
        """A commit with all its edges."""
        self.at(f"{edge}.before")
        late = self._left(f"{edge}.late")
        if late is not None:
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            await work()
        except Fenced:
            if late is not None:
                late.write_text(REFUSED)
            raise
        if late is not None:
            late.write_text(TAKEN)
        self.at(f"{edge}.after")
        self.lose(edge)

    def lose(self, edge: str) -> None:
        """The answer to a commit is lost, if that is wanted. Raises OutcomeUnknown."""
        if self._left(f"{edge}.lost") is not None:
            raise OutcomeUnknown("the answer was lost, as it was wanted")

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

    def bus(self, real: Any) -> Any:
        """orion.platform.bus.port.Bus: the same one; what it hears goes through another hand."""
        Twisted(self._folder / f"{self._process}@deliver").into(real.ring)
        if (live := getattr(real, "_live", None)) is not None:  # Kafka's, which knows the way in
            live._deliver = real.ring.hand_over
        return real

    def blobs(self, real: Any) -> Any:
        """orion.platform.blob.port.Blob with the edges of what the archive writes."""
        return _Blobs(real, self)

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
        await self._faults.commit("put", lambda: self._real.put(batch))

    async def append(self, batch: Any) -> None:
        await self._faults.commit("append", lambda: self._real.append(batch))

    @asynccontextmanager
    async def effect(
        self, service: str, tenants: Sequence[str], advances: Sequence[Any], **more: Any
    ) -> AsyncIterator[Any]:
        async with self._real.effect(service, tenants, advances, **more) as sql:
            yield sql
            self._faults.at("effect.before")
        self._faults.at("effect.after")
        self._faults.lose("effect")


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


class _Blobs(_Wrapped):
    async def put(self, name: str, body: bytes, **more: Any) -> str:
        edge = "file" if name.endswith(".parquet") else name.rpartition("/")[2].partition(".")[0]
        edge = edge if edge in ("file", "checkpoint") else "page"
        self._faults.at(f"{edge}.before")
        found = await self._real.put(name, body, **more)
        self._faults.at(f"{edge}.after")
        return found


class Twisted:
    """Hands committed records to a ring as a careless network would: a batch twice, partitions in
    another order, a batch after the one that followed it, an old one again. Counts in the file that
    it leaves.
    """

    def __init__(self, asked: Path) -> None:
        self._asked = asked
        self._left = asked.with_name(f"{asked.name}.{os.getpid()}{FIRED}")
        self._looked, self._wanted = 0, False
        self._old: deque[Sequence[Any]] = deque(maxlen=OLD)
        self._held: Sequence[Any] | None = None
        self.repeated = self.overtaken = 0
        self._ends: dict[tuple[str, int], int] = {}
        self._deliver: Callable[[Sequence[Any]], None] = lambda _records: None
        self._tell: Callable[[str, int, int], None] = lambda _topic, _part, _end: None

    def into(self, ring: Any) -> None:
        """Stands before the ring from now on."""
        self._deliver, ring.hand_over = ring.hand_over, self.hand_over
        self._tell, ring.hint = ring.hint, self.hint

    def hint(self, topic: str, part: int, end: int) -> None:
        """What other processes' writers say: all they send to this one in the embedded profile."""
        before, self._ends[topic, part] = self._ends.get((topic, part), 0), end
        self._tell(topic, part, end)
        if before < end and self._is_wanted():
            self._tell(topic, part, end)
            self._tell(topic, part, before)
            self._count(2, 1)

    def hand_over(self, records: Sequence[Any]) -> None:
        """What the ring would take."""
        if not self._is_wanted():
            self._let_go()
            return self._deliver(records)
        mixed = sorted(records, key=lambda r: (-r.part, r.offset))
        if self._held is None:
            self._held = mixed
            asyncio.get_running_loop().call_later(HELD_S, self._let_go)
            return None
        late, self._held = self._held, None
        again = [mixed, late, mixed, *([self._old[0]] if self._old else [])]
        for batch in again:
            self._deliver(batch)
        self._old.extend((late, mixed))
        self._count(sum(map(len, again[2:])), len(late))
        return None

    def _count(self, repeated: int, overtaken: int) -> None:
        self.repeated += repeated
        self.overtaken += overtaken
        self._left.write_text(f"{self.repeated} {self.overtaken}")

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._deliver(held)

    def _is_wanted(self) -> bool:
        now = time.monotonic_ns()
        if now - self._looked > LOOK_NS:
            self._looked, self._wanted = now, self._asked.exists()
        return self._wanted
