"""The archive's writer: follows topics on the bus and keeps them as Parquet, for good.

Order of each write: the files of a stretch, then the page that makes them count, then the
checkpoint. Nothing of it is ever changed afterwards, and a crash at any edge doubles nothing:

- after files, before the page: the next start finds files that begin where it begins, and ends its
  stretch where they end. So it writes the same files, which are there already.
- after the page, before the checkpoint: pages beyond the checkpoint are looked for at each start.
- two writers at once (one was thought dead): a page is only ever created, so one of them is first;
  the other goes on behind it, and takes away what it wrote for nothing.

Owns: its blobs. Does not own: what the log keeps. Records that the log has thrown away before they
were archived are told (log line, counter, a gap that `verify` names), not made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from orion.platform import telemetry
from orion.platform.archive_files import (
    SCHEMA,
    Checkpoint,
    File,
    Mark,
    Page,
    by_tenant,
    day,
    decode,
    digest,
    encode,
    file_name,
    folder,
    page_name,
    read_file_name,
    read_page_name,
    to_json,
)
from orion.platform.archive_read import ArchiveDamaged, read_page
from orion.platform.blob.port import Blob, BlobExists, BlobMissing, everything
from orion.platform.bus.port import Bus, Record
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable

SECOND = 1_000_000
DAY = 86_400 * SECOND
MAX_PAUSE_S = 10.0
_ROWS = telemetry.counter("archive_rows_total", "Records archived", ("topic",))
_BYTES = telemetry.counter("archive_bytes_total", "Bytes of Parquet written", ("topic",))
_MISSED = telemetry.counter("archive_missed_total", "Records the log lost too early", ("topic",))
_STUCK = telemetry.counter("archive_stuck_total", "Partitions whose archive stopped")
_BEHIND = telemetry.gauge("archive_behind", "Records not archived yet", ("topic",))


class ArchiveConflict(Exception):
    """A file lies where ours belongs and says something else. A person has to look."""


class _Unread(Unavailable):
    """The bus does not give the records of one partition; others may go on."""


@dataclass(frozen=True)
class ArchiveLimits:
    """The named bounds of a stretch, and how long records wait for company."""

    rows: int = 50_000
    bytes: int = 32 * 1024 * 1024
    wait_s: float = 300.0
    batch: int = 2_000
    idle_s: float = 1.0


class Archiver:
    """`run` for ever, or `step` by step. One writes at a time; a second one does no harm."""

    def __init__(
        self,
        bus: Bus,
        blob: Blob,
        clock: Clock,
        *,
        env: str,
        topics: Sequence[str],
        limits: ArchiveLimits | None = None,
        specs: Mapping[str, Topic] | None = None,
    ):
        self._bus, self._blob, self._clock, self._env = bus, blob, clock, env
        self._specs = specs if specs is not None else catalogue()
        self.topics = tuple(topics)
        self._limits = limits or ArchiveLimits()
        self._marks: dict[str, dict[int, Mark]] = {}
        self._saved: dict[str, dict[int, Mark]] = {}
        self._unsure: set[tuple[str, int]] = set()  # nothing written since the start
        self._waiting: dict[tuple[str, int], tuple[int, int]] = {}  # first offset, its time
        self.stuck: dict[tuple[str, int], str] = {}  # partitions with a conflict, and which
        self._is_well = True

    def forget(self) -> None:
        """Asks anew where to go on: somebody else may have archived meanwhile."""
        self._marks.clear()

    async def run(self) -> None:
        """Archives for ever; goes on by itself when the bus or the blobs come back."""
        pause = self._limits.idle_s
        while True:
            try:
                wrote = await self.step()
                pause = 0.0 if wrote else self._limits.idle_s
                self._tell(None)
            except Unavailable as error:
                pause = min(max(pause * 2, self._limits.idle_s), MAX_PAUSE_S)
                self._marks.clear()  # what was written last may count or not: ask again
                self._tell(error)
            await asyncio.sleep(pause)

    def _tell(self, error: Unavailable | None) -> None:
        if error is not None and self._is_well:
            telemetry.log.warning("the archive waits", error=error.detail)
        elif error is None and not self._is_well:
            telemetry.log.info("the archive goes on")
        self._is_well = error is None

    async def step(self, *, flush: bool = False) -> int:
        """At most one stretch of each partition; gives the records that were dealt with. `flush`:
        does not wait for company. Raises Unavailable (having done what could be done, where one
        partition cannot be read). A partition with a conflict or with a damaged manifest is left
        alone from then on and stands in `stuck`.
        """
        dealt, unread = 0, None
        for topic in self.topics:
            if topic not in self._marks:
                await self._recover(topic)
            behind = 0
            for part, end in (await self._bus.ends(topic)).items():
                if (topic, part) in self.stuck:
                    continue
                try:
                    dealt += await self._part(topic, part, end, flush=flush)
                except _Unread as error:
                    unread = error
                behind += max(0, end - self._mark(topic, part).end)
            _BEHIND.labels(topic).set(behind)
            await self._save(topic)
        if unread is not None:
            raise unread
        return dealt

    async def _part(self, topic: str, part: int, end: int, *, flush: bool) -> int:
        mark = self._mark(topic, part)
        if end <= mark.end:
            self._caught_up(topic, part, mark)
            return 0
        try:
            if flush or await self._is_time(topic, part, mark, end):
                return await self._stretch(topic, part, mark)
        except (ArchiveConflict, ArchiveDamaged) as error:
            self._stop(topic, part, error)
        return 0

    def _stop(self, topic: str, part: int, error: Exception) -> None:
        self.stuck[topic, part] = str(error)
        _STUCK.inc()
        telemetry.log.error(
            "the archive of a partition stopped", topic=topic, part=part, error=str(error)
        )

    async def _read(self, topic: str, part: int, offset: int, limit: int) -> Sequence[Record]:
        try:
            return await self._bus.read(topic, part, offset, limit)
        except Unavailable as error:
            raise _Unread(error.detail) from error

    async def _is_time(self, topic: str, part: int, mark: Mark, end: int) -> bool:
        """A stretch is full, or its first record has waited long enough."""
        if end - mark.end >= self._limits.rows:
            return True
        offset, at = self._waiting.get((topic, part), (-1, 0))
        if offset != mark.end:
            found = await self._read(topic, part, mark.end, 1)
            at = found[0].at if found else self._clock.now()
            self._waiting[topic, part] = (mark.end, at)
        return at <= self._clock.now() - int(self._limits.wait_s * SECOND)

    def _mark(self, topic: str, part: int) -> Mark:
        return self._marks[topic].get(part, Mark())

    def _top(self, topic: str) -> str:
        return folder(self._env, self._specs[topic])

    # ---- where to go on

    async def _recover(self, topic: str) -> None:
        """The checkpoint, and the pages beyond it."""
        top = self._top(topic)
        try:
            saved = await self._blob.get(f"{top}/checkpoint.json")
            marks = dict(msgspec.json.decode(saved, type=Checkpoint).marks)
        except BlobMissing:
            marks = {}
        except msgspec.MsgspecError as error:
            telemetry.log.warning("a checkpoint cannot be read", topic=topic, error=str(error))
            marks = {}
        known = len(marks) == self._specs[topic].partitions
        since = min((m.since for m in marks.values()), default="") if known else ""
        pages = f"{top}/manifest"
        newest: dict[int, tuple[int, str]] = {}
        async for meta in everything(
            self._blob, pages, after=f"{pages}/date={since}/part" if since else ""
        ):
            name = read_page_name(meta.name)
            if name and name.first >= max(
                marks.get(name.part, Mark()).end, newest.get(name.part, (0, ""))[0]
            ):
                newest[name.part] = (name.first, meta.name)
        for part, (_, name) in newest.items():
            try:
                page, checksum = await read_page(self._blob, name)
                marks[part] = Mark(page.last + 1, checksum, page.date)
            except ArchiveDamaged as error:
                self._stop(topic, part, error)
        self._marks[topic] = marks
        self._unsure |= {(topic, p) for p in range(self._specs[topic].partitions)}

    async def _save(self, topic: str) -> None:
        """The checkpoint, when it has moved (or a day has gone by)."""
        marks = self._marks[topic]
        if marks and self._saved.get(topic) != marks:
            body = to_json(Checkpoint(dict(sorted(marks.items()))))
            await self._blob.put(f"{self._top(topic)}/checkpoint.json", body)
            self._saved[topic] = dict(marks)

    # ---- one stretch

    async def _stretch(self, topic: str, part: int, mark: Mark) -> int:
        records = await self._read(topic, part, mark.end, self._limits.batch)
        if not records:
            return 0
        pinned = None
        is_unsure = (topic, part) in self._unsure
        if is_unsure:
            pinned = await self._left_behind(topic, part, records[0], mark)
        taken = await self._take(topic, part, records, pinned)
        if taken[0].offset > mark.end:
            self._miss(topic, part, mark.end, taken[0].offset)
        await self._write(topic, part, taken, mark, is_unsure=is_unsure)
        self._unsure.discard((topic, part))
        return len(taken)

    def _caught_up(self, topic: str, part: int, mark: Mark) -> None:
        """Pages to come are of now: the next start need not look for older ones. A day is left for
        clocks that differ.
        """
        since = day(max(0, self._clock.now() - DAY))
        if since > mark.since:
            self._marks[topic][part] = Mark(mark.end, mark.page, since)

    def _miss(self, topic: str, part: int, end: int, first: int) -> None:
        _MISSED.labels(topic).inc(first - end)
        telemetry.log.warning(
            "the log has lost records before they were archived",
            topic=topic, part=part, first=end, last=first - 1,
        )  # fmt: skip

    async def _left_behind(self, topic: str, part: int, first: Record, mark: Mark) -> int | None:
        """Where the stretch has to end because files of it are there already. On the way it takes
        away what a slower writer left of earlier ones.
        """
        top, date = self._top(topic), day(first.at)
        ends: dict[int, set[int]] = {}
        async for meta in everything(self._blob, f"{top}/date={date}"):
            name = read_file_name(meta.name)
            if name and name.part == part:
                ends.setdefault(name.first, set()).add(name.last)
        for begin, several in ends.items():
            if begin < mark.end and len(several) > 1:
                page, _ = await read_page(self._blob, page_name(top, date, part, begin))
                await self._tidy(top, page)
        return min(ends.get(first.offset, ()), default=None)

    async def _take(
        self, topic: str, part: int, records: Sequence[Record], pinned: int | None
    ) -> list[Record]:
        """The records of the stretch: of one day, without a gap, within the limits."""
        limits, date = self._limits, day(records[0].at)
        taken: list[Record] = []
        size = 0
        while records:
            for record in records:
                is_gap = bool(taken) and record.offset != taken[-1].offset + 1
                if is_gap or day(record.at) != date:
                    return taken
                taken.append(record)
                size += len(record.body)
                if record.offset == pinned:
                    return taken
                if pinned is None and (len(taken) >= limits.rows or size >= limits.bytes):
                    return taken
            records = await self._read(topic, part, taken[-1].offset + 1, limits.batch)
        if pinned is not None:
            raise ArchiveConflict(f"{topic}/{part}: files end at {pinned}, the log before it")
        return taken

    async def _write(
        self, topic: str, part: int, records: list[Record], mark: Mark, *, is_unsure: bool
    ) -> None:
        top, date = self._top(topic), day(records[0].at)
        first, last = records[0].offset, records[-1].offset
        files = [
            await self._write_file(topic, file_name(top, date, t, part, first=first, last=last), r)
            for t, r in by_tenant(records).items()
        ]
        page = Page(SCHEMA, topic, date, part, first, last, len(records), mark.page, files)
        name, body = page_name(top, date, part, first), to_json(page)
        checksum = digest(body)
        try:
            await self._blob.put(name, body, create=True)
        except BlobExists:
            (page, checksum), is_unsure = await read_page(self._blob, name), True
        else:
            _ROWS.labels(topic).inc(len(records))
            _BYTES.labels(topic).inc(sum(f.bytes for f in files))
        if is_unsure:
            await self._tidy(top, page)
        self._marks[topic][part] = Mark(page.last + 1, checksum, date)

    async def _write_file(self, topic: str, name: str, records: list[Record]) -> File:
        body = await asyncio.to_thread(encode, topic, records)
        try:
            await self._blob.put(name, body, create=True)
        except BlobExists:
            there = await self._blob.get(name)
            if there != body and await asyncio.to_thread(decode, there) != records:
                raise ArchiveConflict(f"{name} does not hold what the log says") from None
            body = there
        return File(
            name, records[0].tenant, records[0].offset, records[-1].offset, len(records),
            len(body), digest(body),
        )  # fmt: skip

    async def _tidy(self, top: str, page: Page) -> None:
        """Takes away files that begin where this page does and that it does not name: nobody can
        make them count any more.
        """
        kept = {f.name for f in page.files}
        async for meta in everything(self._blob, f"{top}/date={page.date}"):
            name = read_file_name(meta.name)
            is_here = name and (name.part, name.first) == (page.part, page.first)
            if is_here and meta.name not in kept:
                await self._blob.delete(meta.name)
