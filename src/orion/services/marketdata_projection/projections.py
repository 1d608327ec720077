# ruff: noqa: E501 (statements of SQL keep their lines)
"""The read models of market data, made anew from the log: newest prices and bars, folded by the
same book that keeps the live ones.

The log of ticks is cut by age and size. What it no longer tells stays as it is, and is named: bars
that began before the first tick kept, prices of instruments that had none since, a day's range that
began before. The feeds' signs of life are no events and are taken over too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from orion.core.ticks import MarketDataRecovered, MarketDataStaleDetected, Tick
from orion.platform.bus.port import Record, partition_of
from orion.platform.bus.topics import catalogue
from orion.services.marketdata_projection.book import DAY_US, Book
from orion.services.marketdata_projection.projector import NAME, TOPICS
from orion.services.marketdata_projection.queries import (
    BAR_COLUMNS,
    BARS_TABLE,
    SERVICE,
    SNAPSHOT_COLUMNS,
    SNAPSHOT_TABLE,
    bar_row,
    snapshot_row,
)
from orion.wire.envelope import InvalidEvent, decode

TICKS, STATUS = TOPICS
BATCH = 2_000
USUAL_BAR_US = 5_000_000


@dataclass
class MarketFold:
    """What a part of the log says, in memory until it is written."""

    book: Book = field(default_factory=lambda: Book(USUAL_BAR_US))
    begins: dict[tuple[str, int], int] = field(default_factory=dict)  # first offset taken
    written: set[tuple[str, int]] = field(default_factory=set)  # partitions that ever had records
    first: dict[int, Tick] = field(default_factory=dict)  # of each partition
    told: set[str] = field(default_factory=set)  # instruments whose status the log tells
    foreign_until: int = -1  # end of the last live bar of another length

    async def begin(self, sql: Any) -> None:
        """Bars are made as long as the live ones are."""
        table = f"{SERVICE}.{BARS_TABLE}"
        length = await sql.fetchval(
            f"select length_us from {table} order by at_us desc, length_us limit 1"  # noqa: S608
        )
        self.book.bar_us = length or USUAL_BAR_US
        until = await sql.fetchval(
            f"select max(at_us + length_us) from {table} where length_us <> $1",  # noqa: S608
            self.book.bar_us,
        )
        self.foreign_until = -1 if until is None else until
        heads = "select topic, part from bus.head where topic = any ($1) and next > 0"
        self.written = {(r[0], r[1]) for r in await sql.fetch(heads, list(TOPICS))}

    def take(self, records: Sequence[Record]) -> None:
        """Records in the order of their partition."""
        for record in records:
            self.begins.setdefault((record.topic, record.part), record.offset)
            try:
                _, event = decode(record.body)
            except InvalidEvent:
                continue
            match event:
                case Tick():
                    self.first.setdefault(record.part, event)
                    self.book.tick(event)
                case MarketDataStaleDetected() | MarketDataRecovered():
                    self.told.add(event.instrument_id)
                    self.book.status(event)

    async def write(self, sql: Any, tables: Mapping[str, str]) -> list[str]:
        """Fills empty tables; says what was taken over because the log no longer tells it."""
        live = f"{SERVICE}.{SNAPSHOT_TABLE}"
        # Nothing is pruned while both are compared.
        await sql.execute(f"lock table {live}, {SERVICE}.{BARS_TABLE} in share mode")
        old = {r["instrument_id"]: r for r in await sql.fetch(f"select * from {live}")}  # noqa: S608
        notes = await self._prices(sql, tables[SNAPSHOT_TABLE], old)
        return notes + await self._bars(sql, tables[BARS_TABLE])

    # ---- newest prices

    async def _prices(self, sql: Any, table: str, old: Mapping[str, Any]) -> list[str]:
        shown = self.book.snapshot(self.book.names)
        rows = {message.instrument_id: snapshot_row(message) for message in shown}
        kept = ranges = 0
        for name, live in old.items():
            row = rows.get(name)
            if row is None and self._is_cut(TICKS, name):
                rows[name] = {c: live[c] for c in SNAPSHOT_COLUMNS}
                kept += 1
                continue
            if row is None:
                continue  # no tick ever made it: the comparison is to find it
            row["heartbeat_at_us"] = live["heartbeat_at_us"]
            if self._is_range_cut(name, row):
                row.update({c: live[c] for c in ("day_low", "day_high", "open")})
                ranges += 1
            if name not in self.told and self._is_cut(STATUS, name):
                row["flags"] = live["flags"]
        await _insert(sql, table, list(rows.values()))
        notes = [f"{kept} prices kept as they are: no tick of theirs is in the log"] if kept else []
        if ranges:
            notes.append(f"{ranges} ranges of the day kept: the log begins later in that day")
        return notes

    def _is_cut(self, topic: str, name: str) -> bool:
        """The log does not reach back to the first record of the instrument's partition."""
        part = partition_of(name, catalogue()[topic].partitions)
        first = self.begins.get((topic, part))
        return first > 0 if first is not None else (topic, part) in self.written

    def _is_range_cut(self, name: str, row: Mapping[str, Any]) -> bool:
        first = self.first.get(partition_of(name, catalogue()[TICKS].partitions))
        if first is None or not self._is_cut(TICKS, name):
            return False
        return first.timestamp // DAY_US >= row["timestamp_us"] // DAY_US

    # ---- bars

    async def _bars(self, sql: Any, table: str) -> list[str]:
        live = f"{SERVICE}.{BARS_TABLE}"
        floors = await self._floors(sql, live)
        rows = [
            bar_row(bar, self.book.bar_us)
            for bar in self.book.unsaved_bars(self.book.names)
            if bar.at > floors[bar.instrument_id]
        ]
        await _insert(sql, table, rows)
        columns = ", ".join(BAR_COLUMNS)
        taken = await sql.execute(
            f"insert into {table} ({columns}) select {columns} from {live} b"  # noqa: S608
            " join unnest($1::text[], $2::bigint[]) as f(instrument_id, floor) using (instrument_id)"
            " where b.at_us <= f.floor",
            list(floors), list(floors.values()),
        )  # fmt: skip
        count = int(taken.rpartition(" ")[2])
        cut = [tick.received_at for part, tick in self.first.items() if self.begins[TICKS, part]]
        if not cut:
            return []
        since = datetime.fromtimestamp(max(cut) / 1e6, UTC)
        return [
            f"{count} bars kept as they are: bars can be made anew from {since:%Y-%m-%d %H:%M:%S}"
            " UTC on, where the log of ticks begins"
        ]

    async def _floors(self, sql: Any, live: str) -> dict[str, int]:
        """For each instrument: bars up to here are not the log's to tell (any more)."""
        # Old bars are removed by age, the oldest first: what lies before the oldest is gone.
        oldest = await sql.fetchval(f"select min(at_us) from {live}")  # noqa: S608
        pruned = -1 if oldest is None else oldest
        names = {r[0] for r in await sql.fetch(f"select distinct instrument_id from {live}")}  # noqa: S608
        floors = {}
        for name in names | {bar.instrument_id for bar in self.book.finished} | set(self.book.bars):
            floor = max(pruned, self.foreign_until)
            if self._is_cut(TICKS, name):
                first = self.first.get(partition_of(name, catalogue()[TICKS].partitions))
                floor = max(floor, first.received_at if first else 2**62)
            floors[name] = floor
        return floors


class MarketReadModels:
    """See orion.platform.project.Folded."""

    name = NAME
    service = SERVICE
    topics: tuple[str, ...] = TOPICS
    tables: tuple[str, ...] = (SNAPSHOT_TABLE, BARS_TABLE)

    def fold(self) -> MarketFold:
        """An empty one."""
        return MarketFold()


async def _insert(sql: Any, table: str, rows: Sequence[object]) -> None:
    for start in range(0, len(rows), BATCH):
        await sql.execute(
            f"insert into {table} select * from json_populate_recordset(null::{table}, $1::json)",  # noqa: S608
            msgspec.json.encode(rows[start : start + BATCH], enc_hook=str).decode(),
        )


PROJECTIONS = (MarketReadModels(),)
