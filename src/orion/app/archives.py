"""What the command line does with the archive: say how far it is, and whether it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from orion.app.blobs import cluster_part, open_blobs
from orion.platform.archive_read import ArchiveDamaged, ArchiveReader, Verified, verify
from orion.platform.bus.topics import catalogue
from orion.platform.config import Settings
from orion.platform.datadir import StartError


@dataclass(frozen=True)
class Archived:
    """How far a topic is archived."""

    topic: str
    partitions: int  # that have anything
    records: int
    files: int
    bytes: int
    days: tuple[str, str] | None  # the first and the last
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return f"{self.topic}: DAMAGED: {self.problem}"
        if self.days is None:
            return f"{self.topic}: nothing"
        first, last = self.days
        return (
            f"{self.topic}: {self.records} records of {self.partitions} partitions in {self.files}"
            f" files, {self.bytes} bytes, {first} to {last}"
        )


def _wanted(topics: Sequence[str]) -> list[str]:
    known = catalogue()
    unknown = [t for t in topics if t not in known]
    if unknown:
        raise StartError(f"There is no topic {', '.join(unknown)}. Known: {', '.join(known)}.")
    return list(topics or known)


async def status(settings: Settings, topics: Sequence[str]) -> AsyncIterator[Archived]:
    """How far each topic is archived, by the manifests. Raises StartError, Unavailable."""
    async with open_blobs(settings) as blob:
        for topic in _wanted(topics):
            reader = ArchiveReader(blob, env=settings.platform.env)
            try:
                pages = [p async for p in reader.pages(topic)]
            except ArchiveDamaged as damage:
                yield Archived(topic, 0, 0, 0, 0, None, str(damage))
                continue
            days = [p.date for p in pages]
            yield Archived(
                topic,
                len({p.part for p in pages}),
                sum(p.rows for p in pages),
                sum(len(p.files) for p in pages),
                sum(f.bytes for p in pages for f in p.files),
                (min(days), max(days)) if days else None,
            )


async def whole(settings: Settings, topics: Sequence[str]) -> AsyncIterator[tuple[str, Verified]]:
    """Reads everything and compares it with its manifest. Raises StartError, Unavailable."""
    cluster_part("pyarrow")
    async with open_blobs(settings) as blob:
        for topic in _wanted(topics):
            yield topic, await verify(blob, topic, env=settings.platform.env)
