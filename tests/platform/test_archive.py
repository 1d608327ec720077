"""The archive: what goes in comes back byte for byte, once, whatever happens on the way; and what
was changed or taken away is found.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orion.platform.archive import Archiver
from orion.platform.archive_files import decode, file_name, read_file_name
from orion.platform.archive_read import ArchiveDamaged, ArchiveReader, verify
from orion.platform.blob.local import LocalBlob
from orion.platform.blob.port import everything
from orion.platform.bus.port import Record
from orion.platform.clock import ManualClock
from orion.platform.errors import Unavailable
from tests.platform.archive_case import (
    DAY,
    ENV,
    EVENTS,
    NOON,
    NOTES,
    TOPICS,
    Crash,
    FrailBlob,
    Log,
    archiver,
    as_json,
    finish,
    key,
    lying_about,
    pages_of,
    problems,
    read_back,
    record,
)

pytest.importorskip("pyarrow")


@pytest.fixture(autouse=True)
def processes_die_here_and_not_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of small files need not be waited for until they are on the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def blob(tmp_path: Path) -> LocalBlob:
    return LocalBlob(tmp_path / "blobs")


def some(count: int, part: int = 0, start: int = 0) -> list[Record]:
    """Two tenants, a new day every 40 records."""
    return [
        record(part, i, NOON + i // 40 * DAY, ("alpha", "beta")[i % 3 == 0], b'{"n": %d}' % i)
        for i in range(start, start + count)
    ]


async def names_in(blob: LocalBlob) -> list[str]:
    return [m.name async for m in everything(blob, "")]


async def test_names_and_manifest_say_what_is_there(blob: LocalBlob) -> None:
    log = Log(some(100))
    await finish(archiver(log, blob, rows=30))
    names = await names_in(blob)
    top = f"{ENV}/{EVENTS}.v1"
    begun = "2026-02-02"
    assert f"{top}/date={begun}/tenant=alpha/part-0000-{0:016}-{29:016}.parquet" in names
    pages = [as_json(await blob.get(n)) for n in pages_of(names)]
    assert [(p["first"], p["last"]) for p in pages] == [
        (0, 29),
        (30, 39),
        (40, 69),
        (70, 79),
        (80, 99),
    ]
    assert [p["date"] for p in pages] == [begun, begun, "2026-02-03", "2026-02-03", "2026-02-04"]
    assert sum(p["rows"] for p in pages) == 100 and {p["schema"] for p in pages} == {1}
    for page in pages:
        assert sum(f["rows"] for f in page["files"]) == page["rows"]
        for file in page["files"]:
            found = decode(await blob.get(file["name"], sha256=file["sha256"]))
            assert {r.tenant for r in found} == {file["tenant"]}
            assert (found[0].offset, found[-1].offset) == (file["first"], file["last"])
    assert await read_back(blob) == log.records


async def test_records_wait_for_company_but_not_for_ever(blob: LocalBlob) -> None:
    clock, log = ManualClock(NOON + 10_000_000), Log([record(0, i) for i in range(5)])
    one = archiver(log, blob, clock, rows=10, wait_s=60)
    assert await one.step() == 0
    reads = log.reads
    assert await one.step() == 0 and log.reads == reads  # not read again while they wait
    clock.advance(50_000_000)
    assert await one.step() == 5
    log.add(record(0, i, clock.now()) for i in range(5, 16))
    assert await one.step() == 10  # full
    assert await one.step() == 0
    clock.advance(60_000_000)
    assert await one.step() == 1
    assert await read_back(blob) == log.records


async def test_a_stretch_is_bounded_by_bytes(blob: LocalBlob) -> None:
    log = Log([record(0, i, body=b"x" * 100) for i in range(25)])
    await finish(archiver(log, blob, bytes=1_000))
    pages = [as_json(await blob.get(n)) for n in pages_of(await names_in(blob))]
    assert [p["rows"] for p in pages] == [10, 10, 5]


async def test_it_goes_on_where_it_ended_without_its_checkpoint(blob: LocalBlob) -> None:
    log = Log([*some(50), *some(7, part=1)])
    await finish(archiver(log, blob, rows=20))
    for topic in TOPICS:
        await blob.delete(f"{ENV}/{topic}.v1/checkpoint.json")
    log.add(some(30, start=50))
    before = pages_of(await names_in(blob))
    await finish(archiver(log, blob, rows=20))
    after = pages_of(await names_in(blob))
    assert set(before) < set(after)
    assert Counter(key(r) for r in log.records) == await lying_about(blob)
    assert await problems(blob) == []


async def test_two_writers_at_once_double_nothing(blob: LocalBlob) -> None:
    log = Log([*some(90), *some(60, part=1)])
    first, second = archiver(log, blob, rows=7), archiver(log, blob, rows=11)
    for one in (first, second):
        assert await one.step(flush=True)
    log.add(some(40, start=90))
    await asyncio.gather(finish(first), finish(second))
    assert await read_back(blob) == sorted(log.records, key=key)
    assert await problems(blob) == []
    assert Counter(key(r) for r in log.records) == await lying_about(blob)


async def test_a_late_writer_takes_its_files_back(blob: LocalBlob) -> None:
    log = Log(some(20))
    late = archiver(log, blob, rows=15)
    await late._recover(EVENTS)  # it knows where to begin, then sleeps
    await finish(archiver(log, blob, rows=10))
    await finish(late)
    assert await read_back(blob) == log.records
    assert Counter(key(r) for r in log.records) == await lying_about(blob)


async def test_a_file_that_says_something_else_stops_its_partition(blob: LocalBlob) -> None:
    top = f"{ENV}/{EVENTS}.v1"
    foreign = file_name(top, "2026-02-02", "alpha", 0, first=0, last=1)
    donor = Log([record(0, 0), record(0, 1, body=b'"other"')])
    await finish(archiver(donor, blob))
    body = await blob.get(foreign)
    for name in await names_in(blob):
        await blob.delete(name)
    await blob.put(foreign, body)
    log = Log([*(record(0, i) for i in range(4)), *some(3, part=1)])
    one = archiver(log, blob)
    while await one.step(flush=True):
        pass
    assert list(one.stuck) == [(EVENTS, 0)] and "does not hold" in one.stuck[EVENTS, 0]
    assert [r.part for r in await read_back(blob)] == [1, 1, 1]


async def test_a_damaged_manifest_stops_its_partition_and_a_damaged_checkpoint_nothing(
    blob: LocalBlob,
) -> None:
    log = Log([*some(20), *some(20, part=1)])
    await finish(archiver(log, blob, rows=15))
    top = f"{ENV}/{EVENTS}.v1"
    await blob.put(f"{top}/checkpoint.json", b"{")
    last = [n for n in pages_of(await names_in(blob)) if "/part-0000-" in n][-1]
    whole = await blob.get(last)
    await blob.put(last, whole[:-20])
    log.add([*some(5, start=20), *some(5, part=1, start=20)])
    one = archiver(log, blob)
    while await one.step(flush=True):
        pass
    assert list(one.stuck) == [(EVENTS, 0)] and last in one.stuck[EVENTS, 0]
    await blob.put(last, whole)
    await finish(archiver(log, blob))
    assert await read_back(blob) == log.records and await problems(blob) == []


async def test_a_partition_that_cannot_be_read_does_not_keep_the_others(blob: LocalBlob) -> None:
    class Torn(Log):
        async def read(
            self, topic: str, part: int, offset: int, limit: int = 500
        ) -> Sequence[Record]:
            if (topic, part) == (EVENTS, 0) and offset >= 7:
                raise Unavailable("a gap")
            return await super().read(topic, part, offset, limit)

    log = Torn([*some(20), *some(20, part=1), record(0, 0, topic=NOTES)])
    one = archiver(log, blob)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await one.step(flush=True)
    found = Counter((r.topic, r.part) for r in await read_back(blob))
    assert found == {(EVENTS, 1): 20, (NOTES, 0): 1}


async def test_what_the_log_lost_is_a_gap_and_is_told(blob: LocalBlob) -> None:
    log = Log(some(30))
    await finish(archiver(log, blob))
    log.add(some(30, start=30))
    log.cut[EVENTS, 0] = 50
    await finish(archiver(log, blob))
    seen = await verify(blob, EVENTS, env=ENV, specs=TOPICS)
    assert seen.gaps == [f"{EVENTS}/0: 30-49"] and seen.problems == [] and seen.rows == 40
    reader = ArchiveReader(blob, env=ENV, specs=TOPICS)
    assert [r.offset for r in await reader.read(EVENTS, 0, 50, 3)] == [50, 51, 52]
    with pytest.raises(ArchiveDamaged):
        await reader.read(EVENTS, 0, 35)


async def test_the_reader_is_a_bus(blob: LocalBlob) -> None:
    log = Log([*some(100), *some(33, part=1)])
    await finish(archiver(log, blob, rows=9))
    reader = ArchiveReader(blob, env=ENV, specs=TOPICS)
    assert await reader.ends(EVENTS) == await log.ends(EVENTS)
    assert await reader.ends(NOTES) == {0: 0}
    for part, end in (await log.ends(EVENTS)).items():
        found: list[Record] = []
        while batch := await reader.read(EVENTS, part, len(found), 7):
            assert len(batch) <= 7
            found += batch
        assert found == list(await log.read(EVENTS, part, 0, 1_000))
        for at in (0, NOON, NOON + 1, NOON + DAY, NOON + 2 * DAY, 2**60):
            assert await reader.offset_at(EVENTS, part, at) == await log.offset_at(EVENTS, part, at)
        assert list(await reader.read(EVENTS, part, end)) == []


@pytest.mark.parametrize("lost", [(6, 10), (7, 11), (8, 12), (9, 13)])
async def test_unavailable_blobs_are_waited_for(blob: LocalBlob, lost: tuple[int, int]) -> None:
    log = Log(some(10))

    class Lossy(FrailBlob):
        calls = 0

        async def put(self, name: str, body: bytes, **options: Any) -> str:
            answer = await self._blob.put(name, body, **options)
            self.calls += 1
            if self.calls in (4, *lost):  # the log has grown until it is tried again
                log.add(some(10, start=len(log.records)))
            if self.calls in lost:
                raise Unavailable("no answer, though it was done")
            return answer

    one = archiver(log, Lossy(blob, iter(())), wait_s=0, idle_s=0.001)
    task = asyncio.create_task(one.run())
    async with asyncio.timeout(20):
        while sum((await ArchiveReader(blob, env=ENV, specs=TOPICS).ends(EVENTS)).values()) < 40:
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await read_back(blob) == log.records and await problems(blob) == []
    assert Counter(key(r) for r in log.records) == await lying_about(blob)


async def test_a_lost_checkpoint_doubles_nothing_though_the_log_was_cut(blob: LocalBlob) -> None:
    log = Log(some(36))
    await finish(archiver(log, blob, rows=20))
    await blob.delete(f"{ENV}/{EVENTS}.v1/checkpoint.json")
    log.add(some(4, start=36))
    log.cut[EVENTS, 0] = 27  # in the middle of what is archived
    await finish(archiver(log, blob, rows=20))
    assert await read_back(blob) == log.records and await problems(blob) == []
    assert Counter(key(r) for r in log.records) == await lying_about(blob)


# ---- what was changed is found


@pytest.mark.parametrize("kind", [".parquet", "/manifest/"])
@pytest.mark.parametrize("how", ["missing", "changed", "another's"])
async def test_every_missing_and_every_changed_file_is_found(
    blob: LocalBlob, kind: str, how: str
) -> None:
    log = Log([*some(60), *some(20, part=1)])
    await finish(archiver(log, blob, rows=15))
    assert await problems(blob) == []
    names = [n for n in await names_in(blob) if kind in n]
    assert len(names) > 4
    for i, name in enumerate(names):
        body = await blob.get(name)
        if how == "missing":
            await blob.delete(name)
        elif how == "changed":
            middle = len(body) // 2
            await blob.put(name, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :])
        else:
            await blob.put(name, await blob.get(names[i - 1]))
        assert await problems(blob) != [], name
        if kind == ".parquet":
            with pytest.raises(ArchiveDamaged):
                await read_back(blob)
        await blob.put(name, body)
        assert await problems(blob) == []


async def test_a_stray_file_is_named_and_never_read(blob: LocalBlob) -> None:
    log = Log(some(10))
    await finish(archiver(log, blob))
    stray = file_name(f"{ENV}/{EVENTS}.v1", "2026-02-02", "beta", 0, first=0, last=3)
    await blob.put(stray, b"half a file")
    seen = await verify(blob, EVENTS, env=ENV, specs=TOPICS)
    assert seen.strays == [stray] and seen.problems == []
    assert await read_back(blob) == log.records


# ---- properties

tenants = st.sampled_from(["alpha", "beta", "shared", "O'Brien & Söhne/..", ""])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rows = st.lists(
    st.tuples(
        st.sampled_from([(EVENTS, 0), (EVENTS, 1), (NOTES, 0)]),
        tenants,
        texts,
        st.binary(max_size=40),
        st.integers(0, DAY // 3),
    ),
    max_size=40,
)
crashes = st.lists(st.sampled_from(["", "", "before", "after"]), max_size=40)


def made_of(given_rows: Sequence[tuple[tuple[str, int], str, str, bytes, int]]) -> list[Record]:
    """Records with offsets and times that only grow."""
    ends: Counter[tuple[str, int]] = Counter()
    times: dict[tuple[str, int], int] = {}
    found = []
    for where, tenant, entity, body, later in given_rows:
        times[where] = times.get(where, NOON) + later
        found.append(
            record(where[1], ends[where], times[where], tenant, body, topic=where[0], entity=entity)
        )
        ends[where] += 1
    return found


@settings(max_examples=20, deadline=None)
@given(rows, crashes, st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(0, 40))
async def test_whenever_it_dies_everything_is_there_once(
    made: list[tuple[tuple[str, int], str, str, bytes, int]],
    plan: list[str],
    sizes: list[int],
    later: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blob = LocalBlob(Path(folder))
        records = made_of(made)
        log, frail = Log(records[: len(records) - later]), FrailBlob(blob, iter(plan))
        starts = 0
        while True:
            # Each life cuts its stretches otherwise, and sees more of the log than the one before.
            one: Archiver = archiver(log, frail, rows=sizes[starts % len(sizes)])
            starts += 1
            try:
                await finish(one)
            except Crash:
                known = {key(r) for r in log.records}
                log.add(r for r in records if key(r) not in known)
                continue
            if len(log.records) == len(records):
                break
            known = {key(r) for r in log.records}
            log.add(r for r in records if key(r) not in known)
        assert await read_back(blob) == sorted(records, key=key)
        assert Counter(map(key, records)) == await lying_about(blob)
        assert await problems(blob) == []


async def test_each_edge_is_crashed_at(blob: LocalBlob) -> None:
    """The same, edge by edge, so that none is left to chance."""
    met: Counter[str] = Counter()
    for edge in range(18):
        for when in ("before", "after"):
            place = LocalBlob(blob._root / f"{edge}-{when}")
            log = Log([*some(14), *some(5, part=1)])
            frail = FrailBlob(place, iter([""] * edge + [when]))
            try:
                await finish(archiver(log, frail, rows=5))
            except Crash:
                met += frail.crashes
                log.add(some(4, start=14))
                await finish(archiver(log, place, rows=6))
            assert await read_back(place) == sorted(log.records, key=key)
            assert Counter(map(key, log.records)) == await lying_about(place)
            assert await problems(place) == []
    for kind in ("parquet", "manifest", "checkpoint"):
        assert met[f"before {kind}"] > 2 and met[f"after {kind}"] > 2, met


def test_names_say_the_same_both_ways() -> None:
    for tenant in ("alpha", "O'Brien/..", "ä b", ""):
        name = file_name("t/x.v1", "2026-02-02", tenant, 3, first=5, last=17)
        said = read_file_name(name)
        assert said is not None
        assert (said.date, said.part, said.first, said.last) == ("2026-02-02", 3, 5, 17)
    assert read_file_name("t/x.v1/manifest/date=2026-02-02/part-0003-0000000000000005.json") is None
