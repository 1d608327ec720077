"""The archive's readers: records back in the order of their partition, and the proof that nothing
of it is missing or changed.

Only what the manifest names counts. Every page is checked against the one after it, every file
against its page, before a record of it is given out.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from orion.platform.archive_files import (
    SCHEMA,
    Checkpoint,
    File,
    Page,
    Unreadable,
    decode,
    digest,
    folder,
    read_file_name,
    read_page_name,
)
from orion.platform.blob.port import Blob, BlobChanged, BlobMissing, everything
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic, catalogue

KEPT = 4  # stretches in memory
LOOK_S = 1.0  # between looks for what was archived meanwhile


class ArchiveDamaged(Exception):
    """Something that the manifest names is missing or changed, or the manifest itself is."""


class ArchiveReader:
    """The reading side of a bus over an archive: `read`, `ends`, `offset_at` mean what they mean
    there. It sees what was archived when it first looked at a topic; `look` looks again.
    """

    def __init__(self, blob: Blob, *, env: str, specs: Mapping[str, Topic] | None = None):
        self._blob, self._env = blob, env
        self._specs = specs if specs is not None else catalogue()
        self._names: dict[tuple[str, int], list[tuple[int, str]]] = {}  # (first offset, page)
        self._looked: set[str] = set()
        self._pages: dict[str, Page] = {}
        self._held: OrderedDict[str, list[Record]] = OrderedDict()

    async def look(self, topic: str) -> None:
        """Lists the topic's pages anew."""
        for part in range(self._specs[topic].partitions):
            self._names[topic, part] = []
        async for meta in everything(self._blob, f"{self._top(topic)}/manifest"):
            name = read_page_name(meta.name)
            if name is not None:
                self._names.setdefault((topic, name.part), []).append((name.first, meta.name))
        for names in self._names.values():
            names.sort()
        self._looked.add(topic)

    def _top(self, topic: str) -> str:
        return folder(self._env, self._specs[topic])

    async def starts(self, topic: str) -> dict[int, int]:
        """The first offset that is archived of each partition that has any."""
        await self._known(topic)
        return {p: n[0][0] for (t, p), n in self._names.items() if t == topic and n}

    async def ends(self, topic: str) -> dict[int, int]:
        """The next offset of each partition. Raises ArchiveDamaged, Unavailable."""
        await self._known(topic)
        found: dict[int, int] = {}
        for (name, part), pages in self._names.items():
            if name == topic:
                found[part] = (await self._page(pages[-1][1])).last + 1 if pages else 0
        return found

    async def read(self, topic: str, part: int, offset: int, limit: int = 500) -> Sequence[Record]:
        """Records from `offset` on, in order, without a gap; empty at the end. Raises
        ArchiveDamaged for what is not as it was written, and for what was never archived.
        """
        await self._known(topic)
        pages = self._names.get((topic, part), [])
        at = bisect_right(pages, (offset, "\U0010ffff")) - 1
        if at < 0:
            if pages:
                raise ArchiveDamaged(f"{topic}/{part} is archived from {pages[0][0]} on only")
            return []
        page = await self._page(pages[at][1])
        if offset > page.last:
            if at + 1 < len(pages):
                raise ArchiveDamaged(f"{topic}/{part}/{offset} was never archived")
            return []
        records = await self._records(pages[at][1], page)
        return records[offset - page.first : offset - page.first + limit]

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """The first offset whose record is not older than `at`; the end when there is none."""
        await self._known(topic)
        pages = self._names.get((topic, part), [])
        low, high = 0, len(pages)
        while low < high:  # the first stretch whose last record is not older
            middle = (low + high) // 2
            name = pages[middle][1]
            if (await self._records(name, await self._page(name)))[-1].at < at:
                low = middle + 1
            else:
                high = middle
        if low == len(pages):
            return (await self._page(pages[-1][1])).last + 1 if pages else 0
        records = await self._records(pages[low][1], await self._page(pages[low][1]))
        return next(r.offset for r in records if r.at >= at)

    async def pages(self, topic: str) -> AsyncIterator[Page]:
        """The manifest, by partition and offset. Raises ArchiveDamaged, Unavailable."""
        await self._known(topic)
        for (of, _), names in sorted(self._names.items()):
            for _, name in names if of == topic else ():
                yield await self._page(name)

    async def records(
        self, topic: str, part: int, start: int = 0
    ) -> AsyncIterator[Sequence[Record]]:
        """All stretches from `start` on; where nothing was archived it goes on behind the gap."""
        await self._known(topic)
        for _, name in list(self._names.get((topic, part), [])):
            page = await self._page(name)
            if page.last >= start:
                records = await self._records(name, page)
                yield records[max(0, start - page.first) :]

    async def tail(
        self,
        topics: Sequence[str],
        *,
        since: int | None = None,
        start: Mapping[tuple[str, int], int] | None = None,
    ) -> AsyncIterator[Sequence[Record]]:
        """As a bus's: what is archived, then what comes to be archived, for ever. Yields an empty
        batch once, when it has caught up. Where nothing was archived it goes on behind the gap.
        """
        cursors: dict[tuple[str, int], int] = {}
        for topic in topics:
            for part, end in (await self.ends(topic)).items():
                if start is not None:
                    cursors[topic, part] = start.get((topic, part), 0)
                else:
                    new = since is None
                    cursors[topic, part] = end if new else await self.offset_at(topic, part, since)
        is_told = False
        while True:
            for (topic, part), cursor in cursors.items():
                async for records in self.records(topic, part, cursor):
                    cursors[topic, part] = records[-1].offset + 1
                    yield records
            if not is_told:
                is_told = True
                yield ()
            await asyncio.sleep(LOOK_S)
            for topic in topics:
                await self.look(topic)

    async def _known(self, topic: str) -> None:
        if topic not in self._looked:
            await self.look(topic)

    async def _page(self, name: str) -> Page:
        if name not in self._pages:
            self._pages[name] = (await read_page(self._blob, name))[0]
        return self._pages[name]

    async def _records(self, name: str, page: Page) -> list[Record]:
        if name in self._held:
            self._held.move_to_end(name)
            return self._held[name]
        records = await read_stretch(self._blob, page)
        self._held[name] = records
        while len(self._held) > KEPT:
            self._held.popitem(last=False)
        return records


async def read_page(blob: Blob, name: str) -> tuple[Page, str]:
    """A page of the manifest and its checksum. Raises ArchiveDamaged, Unavailable."""
    try:
        body = await blob.get(name)
        page = msgspec.json.decode(body, type=Page)
    except BlobMissing:
        raise ArchiveDamaged(f"{name} is missing") from None
    except msgspec.MsgspecError as error:
        raise ArchiveDamaged(f"{name} is no page of a manifest ({error})") from None
    told = read_page_name(name)
    if told is None or (told.date, told.part, told.first) != (page.date, page.part, page.first):
        raise ArchiveDamaged(f"{name} speaks of another stretch")
    if page.schema > SCHEMA:
        raise ArchiveDamaged(f"{name} was written by a newer version (schema {page.schema})")
    return page, digest(body)


async def read_stretch(blob: Blob, page: Page) -> list[Record]:
    """The records that a page speaks of, in order. Raises ArchiveDamaged, Unavailable."""
    records: list[Record] = []
    for file in page.files:
        records += await _read_file(blob, page, file)
    records.sort(key=lambda r: r.offset)
    if [r.offset for r in records] != list(range(page.first, page.last + 1)):
        raise ArchiveDamaged(
            f"{page.topic}/{page.part}: the files of {page.first}-{page.last} leave records out"
        )
    return records


async def _read_file(blob: Blob, page: Page, file: File) -> list[Record]:
    try:
        body = await blob.get(file.name, sha256=file.sha256)
        records = await asyncio.to_thread(decode, body)
    except BlobMissing:
        raise ArchiveDamaged(f"{file.name} is missing") from None
    except BlobChanged:
        raise ArchiveDamaged(f"{file.name} was changed") from None
    except Unreadable as error:
        raise ArchiveDamaged(f"{file.name} cannot be read ({error})") from None
    is_told = records and (file.first, file.last, file.rows, file.tenant) == (
        records[0].offset,
        records[-1].offset,
        len(records),
        records[0].tenant,
    )
    of = {(r.topic, r.part, r.tenant) for r in records}
    if not is_told or of != {(page.topic, page.part, file.tenant)}:
        raise ArchiveDamaged(f"{file.name} is not what its page says")
    return records


@dataclass
class Verified:
    """What a verification saw. `problems` is empty when everything is as it was written."""

    pages: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)  # offsets that never were archived
    strays: list[str] = field(default_factory=list)  # files that no page names; harmless


async def verify(
    blob: Blob, topic: str, *, env: str, specs: Mapping[str, Topic] | None = None
) -> Verified:
    """Reads all of a topic's archive and compares it with its manifest. Raises Unavailable."""
    top = folder(env, (specs if specs is not None else catalogue())[topic])
    seen, named = Verified(), set[str]()
    ends: dict[int, tuple[int, str]] = {}
    names = [m.name async for m in everything(blob, f"{top}/manifest")]
    known = [(n.part, n.first, name) for name in names if (n := read_page_name(name))]
    for part, _, name in sorted(known):
        try:
            page, checksum = await read_page(blob, name)
        except ArchiveDamaged as damage:
            seen.problems.append(str(damage))
            continue
        end, before = ends.get(part, (0, ""))
        _chain(seen, page, name, end, before)
        ends[part] = (page.last + 1, checksum)
        seen.pages += 1
        named |= {f.name for f in page.files}
        try:
            seen.rows += len(await read_stretch(blob, page))
            seen.files += len(page.files)
            seen.bytes += sum(f.bytes for f in page.files)
        except ArchiveDamaged as damage:
            seen.problems.append(str(damage))
    await _compare_checkpoint(blob, top, ends, seen)
    seen.strays = [
        m.name
        async for m in everything(blob, top)
        if read_file_name(m.name) and m.name not in named
    ]
    return seen


def _chain(seen: Verified, page: Page, name: str, end: int, before: str) -> None:
    if page.previous != before:
        seen.problems.append(
            f"{name} does not follow the page before it: one is missing or changed"
        )
    elif page.first > end:
        seen.gaps.append(f"{page.topic}/{page.part}: {end}-{page.first - 1}")
    if page.first < end:
        seen.problems.append(f"{name} begins before the page before it ends")


async def _compare_checkpoint(
    blob: Blob, top: str, ends: Mapping[int, tuple[int, str]], seen: Verified
) -> None:
    """The last page is vouched for by nothing but the checkpoint."""
    try:
        body = await blob.get(f"{top}/checkpoint.json")
    except BlobMissing:
        return  # nothing was archived, or the writer ended in its very first step
    try:
        marks = msgspec.json.decode(body, type=Checkpoint).marks
    except msgspec.MsgspecError as error:
        seen.problems.append(f"{top}/checkpoint.json cannot be read ({error})")
        return
    for part, mark in marks.items():
        end, checksum = ends.get(part, (0, ""))
        if mark.end > end or (mark.end == end and mark.page != checksum):
            seen.problems.append(
                f"{top}: the last page of partition {part} is missing or changed"
                f" (archived up to {mark.end}, found up to {end})"
            )
