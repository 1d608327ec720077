"""What the archive's tests have in common: a log of given records, blobs that fail when told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.archive_files import decode, read_file_name
from orion.platform.archive_read import ArchiveReader, verify
from orion.platform.blob.port import Blob, Meta, everything
from orion.platform.bus.memory import MemoryBus
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.clock import ManualClock, SystemClock
from orion.platform.store.memory import MemoryStore
from orion.platform.store.port import Line

ENV = "test"
EVENTS, NOTES = "toy.events", "toy.notes"
TOPICS = {EVENTS: Topic(EVENTS, partitions=2), NOTES: Topic(NOTES, partitions=1)}
DAY = 86_400_000_000
NOON = 1_770_000_000_000_000 // DAY * DAY + DAY // 2


def record(
    part: int, offset: int, at: int = NOON, tenant: str = "alpha", body: bytes = b"{}", **more: Any
) -> Record:
    """A record with plausible rest."""
    topic = more.get("topic", EVENTS)
    return Record(
        topic, part, offset, at, tenant, more.get("entity", f"e{offset % 3}"), offset + 1,
        "ToyAdded", f"id-{topic}-{part}-{offset}", body,
    )  # fmt: skip


class Log(MemoryBus):
    """A log of records that are given; `cut` makes it lose the oldest of a partition."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        super().__init__(MemoryStore(SystemClock()), TOPICS)
        self.cut: dict[tuple[str, int], int] = {}
        self.reads = 0
        self.add(records)

    def add(self, records: Iterable[Record]) -> None:
        for one in records:
            lines = self._store.log.setdefault((one.topic, one.part), [])
            assert one.offset == len(lines)
            lines.append(Line(one, None))

    async def read(self, topic: str, part: int, offset: int, limit: int = 500) -> Sequence[Record]:
        self.reads += 1
        return await super().read(topic, part, max(offset, self.cut.get((topic, part), 0)), limit)

    @property
    def records(self) -> list[Record]:
        return [x.record for lines in self._store.log.values() for x in lines]


class Crash(BaseException):
    """The process ends here."""


class FrailBlob:
    """Real blobs. `plan` says of each change whether the process dies before it or after it."""

    def __init__(self, blob: Blob, plan: Iterator[str]) -> None:
        self._blob, self._plan = blob, plan
        self.crashes: Counter[str] = Counter()

    async def _change(self, name: str, do: Callable[[], Awaitable[Any]]) -> Any:
        step = next(self._plan, "")
        kind = next((k for k in ("parquet", "manifest", "checkpoint") if k in name), name)
        if step == "before":
            self.crashes[f"before {kind}"] += 1
            raise Crash
        answer = await do()
        if step == "after":
            self.crashes[f"after {kind}"] += 1
            raise Crash
        return answer

    async def put(self, name: str, body: bytes, **more: Any) -> str:
        return await self._change(name, lambda: self._blob.put(name, body, **more))

    async def delete(self, name: str) -> None:
        await self._change(name, lambda: self._blob.delete(name))

    async def get(self, name: str, *, sha256: str | None = None) -> bytes:
        return await self._blob.get(name, sha256=sha256)

    async def read(self, name: str, start: int, length: int) -> bytes:
        return await self._blob.read(name, start, length)

    async def head(self, name: str) -> Meta | None:
        return await self._blob.head(name)

    async def page(self, folder: str, *, after: str = "", limit: int = 1_000) -> list[Meta]:
        return await self._blob.page(folder, after=after, limit=limit)


def archiver(log: Log, blob: Blob, clock: ManualClock | None = None, **limits: Any) -> Archiver:
    """A fresh one, as after a start."""
    return Archiver(
        log,
        blob,
        clock or ManualClock(NOON + 10 * DAY),
        env=ENV,
        topics=[EVENTS, NOTES],
        limits=ArchiveLimits(**limits),
        specs=TOPICS,
    )


async def finish(one: Archiver) -> None:
    """Until everything is archived."""
    while await one.step(flush=True):
        pass
    assert one.stuck == {}


async def read_back(blob: Blob) -> list[Record]:
    """By the manifest, in the order of each partition."""
    reader = ArchiveReader(blob, env=ENV, specs=TOPICS)
    found: list[Record] = []
    for topic, spec in TOPICS.items():
        for part in range(spec.partitions):
            async for batch in reader.records(topic, part):
                found += batch
    return found


async def lying_about(blob: Blob) -> Counter[tuple[str, int, int]]:
    """Every record in every Parquet file that is there, as a program sees them that knows nothing
    of manifests.
    """
    found: Counter[tuple[str, int, int]] = Counter()
    async for meta in everything(blob, ""):
        if read_file_name(meta.name):
            found.update((r.topic, r.part, r.offset) for r in decode(await blob.get(meta.name)))
    return found


async def problems(blob: Blob) -> list[str]:
    """What verification finds in all topics."""
    return [
        p for topic in TOPICS for p in (await verify(blob, topic, env=ENV, specs=TOPICS)).problems
    ]


def key(one: Record) -> tuple[str, int, int]:
    """Where a record lies."""
    return one.topic, one.part, one.offset


def pages_of(names: Iterable[str]) -> list[str]:
    """The manifest's pages among these names."""
    return [n for n in names if "/manifest/" in n]


def as_json(body: bytes) -> Any:
    """A page or a checkpoint, to look into."""
    return json.loads(body)
