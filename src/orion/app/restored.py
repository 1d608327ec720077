"""`orion restored`: what Kafka, the archive and the audit's anchors know beyond the log of a
database that was put back to before, and the step that lets the log go on above it
(orion.platform.restored).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from orion.app.blobs import cluster_part, open_blobs
from orion.app.operate import operator
from orion.app.running import database_of
from orion.platform.archive_read import ArchiveDamaged, ArchiveReader
from orion.platform.bus.abandoned import Abandoned, Range
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import catalogue
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.datadir import DataFolder, InUse, StartError
from orion.platform.restored import Diverged, Gap, Restored, StillRunning
from orion.services.audit import restored as anchors
from orion.services.audit.outside import AnchorFile, read_key

LOCAL = ("PostgreSQL", "Kafka", "S3")  # what is needed of the servers of `orion cluster`
PAGE = 1_000


@dataclass(frozen=True)
class Told:
    """What was found, and done."""

    gaps: Sequence[Gap]
    declared: Sequence[Range]  # by earlier restores, and now
    types: Counter[str]  # of the records that Kafka holds beyond the log, ticks not counted
    written: int  # records into the file of evidence
    is_done: bool


async def restored(settings: Settings, *, apply: bool, evidence: Path | None) -> Told:
    """Compares; with `apply` declares. Raises StartError, Unavailable, ConfigError."""
    async with _ground(settings) as where, AsyncExitStack() as stack:
        door = await stack.enter_async_context(database_of(where))
        topics = catalogue()
        work = await stack.enter_async_context(Restored.open(door.dsn("orion_owner"), topics))
        if running := await work.running():
            raise StartError(
                f"Services still run: {', '.join(running)}. Stop all of them first; one that was"
                " killed counts for two seconds more."
            )
        trail = _Trail(where)
        await anchors.settle(work.sql, trail.file)
        try:
            past = await _past(where, stack)
            gaps = work.compare(await _witnesses(where, work, past, trail))
            types, written = await _look(past, [*work.declared.ranges, *_ranges(gaps)], evidence)
            if apply and gaps:
                await work.declare(gaps, operator(), trail.declare)
                await anchors.settle(work.sql, trail.file)
        except (Diverged, anchors.AnchorsDiffer, ArchiveDamaged) as error:
            raise StartError(
                f"{error}. Nothing was changed: docs/runbooks/restore.md says what to do."
            ) from error
        except StillRunning as error:
            raise StartError(f"Services run: {error}. Stop all of them first.") from error
        return Told(gaps, work.declared.ranges, types, written, apply and bool(gaps))


def _ranges(gaps: Sequence[Gap]) -> list[Range]:
    return [gap.range for gap in gaps]


@asynccontextmanager
async def _ground(settings: Settings) -> AsyncIterator[Settings]:
    """The settings; of a platform that `orion cluster` ran, with its servers started meanwhile."""
    folder = settings.data_dir / "servers"
    if settings.platform.postgres_dsn or not folder.exists():
        yield settings
        return
    from orion.app.cluster import servers
    from orion.app.up import Screen

    flags = {
        "data_dir": settings.data_dir, "port": settings.platform.port, "profile": "cluster",
    }  # fmt: skip
    try:
        with DataFolder(folder):
            screen = Screen(Console(stderr=True))
            async with servers(Settings(flags=flags), screen, only=LOCAL) as told:
                yield Settings(flags={**flags, **told})
    except InUse:
        raise StartError(
            "The platform runs. Stop it first: `orion restored` starts the servers that it needs."
        ) from None


async def _past(settings: Settings, stack: AsyncExitStack) -> Any:
    if not settings.platform.kafka_bootstrap:
        return None
    kafka = cluster_part("orion.platform.bus.kafka_past")
    past = kafka.Past(kafka_settings(settings.platform), catalogue(), readers=2)
    stack.push_async_callback(past.close)
    return past


async def _witnesses(
    settings: Settings, work: Restored, past: Any, trail: _Trail
) -> dict[str, Any]:
    found: dict[str, Any] = {"the audit trail": trail.ends()}
    if past is not None:
        found["Kafka"] = await work.published(past)
    if settings.platform.blob_url:
        cluster_part("pyarrow")
        ends: dict[tuple[str, int], int] = {}
        async with open_blobs(settings) as blobs:
            reader = ArchiveReader(blobs, env=settings.platform.env)
            for topic in catalogue():
                ends |= {(topic, p): end for p, end in (await reader.ends(topic)).items()}
        found["the archive"] = ends
    return found


class _Trail:
    """The audit trail's anchors, where this machine has them."""

    def __init__(self, settings: Settings) -> None:
        self.file = AnchorFile(settings.data_dir / "audit-anchors")
        self._lines = self.file.lines()
        key = read_key(settings.secrets_dir) if self._lines else b""
        if key is None:
            raise StartError("The audit key is gone: its anchors cannot be read without it.")
        self._key = key

    def ends(self) -> dict[tuple[str, int], int]:
        return anchors.anchored(self._lines, self._key)

    async def declare(self, sql: Any, ranges: Sequence[Range]) -> None:
        if self._lines:
            said = [(r.topic, r.part, r.first, r.until) for r in ranges]
            await anchors.declare(sql, self._lines, self._key, at=SystemClock().now(), ranges=said)


async def _look(
    past: Any, ranges: Sequence[Range], evidence: Path | None
) -> tuple[Counter[str], int]:
    """Which records Kafka holds in these ranges, as they were said; into a file too."""
    types: Counter[str] = Counter()
    written = 0
    if past is None:
        return types, written
    declared, past.abandoned = past.abandoned, Abandoned()
    out = evidence.open("wb") if evidence else None
    try:
        for one in ranges:
            if catalogue()[one.topic].hourly:
                continue
            async for record in _said(past, one):
                types[record.type] += 1
                if out is not None:
                    written += 1
                    out.write(_line(record))
    finally:
        past.abandoned = declared
        if out is not None:
            out.close()
    return types, written


async def _said(past: Any, one: Range) -> AsyncIterator[Record]:
    last, _ = await past.last(one.topic, one.part)
    end, at = min(one.until, last.offset + 1 if last else 0), one.first
    while at < end:
        records = await past.read(one.topic, one.part, at, PAGE, end)
        for record in records:
            yield record
        at = records[-1].offset + 1


def _line(record: Record) -> bytes:
    place = {"topic": record.topic, "part": record.part, "offset": record.offset}
    return json.dumps({**place, "record": json.loads(record.body)}).encode() + b"\n"
