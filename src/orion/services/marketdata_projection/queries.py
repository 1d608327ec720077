"""The projection's tables: snapshots and bars. The only SQL of this service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from orion.core.values import plain
from orion.platform.store.port import Database, Sql
from orion.services.marketdata_projection.book import DAY_US, Bar, Day, Message
from orion.wire.stubs import marketdata_pb2

SERVICE = "marketdata_projection"
SHARED = "shared"

SNAPSHOT_TABLE, BARS_TABLE = "rm_market_snapshot", "rm_market_bars"
SNAPSHOT_COLUMNS = (
    "tenant", "instrument_id", "bid", "ask", "mid", "timestamp_us", "received_at_us", "source",
    "flags", "source_timestamp_us", "heartbeat_at_us", "day", "day_low", "day_high", "open",
)  # fmt: skip
BAR_COLUMNS = (
    "tenant", "instrument_id", "at_us", "mid", "low", "high", "spread", "spread_max", "ticks",
    "spread_sum", "length_us",
)  # fmt: skip


def _statement(table: str, columns: Sequence[str], key: int) -> str:
    names = ", ".join(columns)
    sets = ", ".join(f"{c} = excluded.{c}" for c in columns[key:])
    return (
        f"insert into {SERVICE}.{table} ({names}) select {names}"  # noqa: S608
        f" from json_populate_recordset(null::{SERVICE}.{table}, $1::json)"
        f" on conflict ({', '.join(columns[:key])}) do update set {sets}"
    )


SAVE = _statement(SNAPSHOT_TABLE, SNAPSHOT_COLUMNS, 2)
SAVE_BARS = _statement(BARS_TABLE, BAR_COLUMNS, 3)
_STORED = """
select * from marketdata_projection.rm_market_snapshot
where tenant = $1 and ($2::text[] is null or instrument_id = any ($2)) order by instrument_id
"""
# From instrument to instrument along the primary key.
_LAST_BARS = """
select b.* from marketdata_projection.rm_market_snapshot s cross join lateral (
  select * from marketdata_projection.rm_market_bars b
   where b.tenant = s.tenant and b.instrument_id = s.instrument_id order by b.at_us desc limit 1) b
where s.tenant = $1
"""
_BARS = """
select at_us, mid, low, high, spread, spread_max, ticks from marketdata_projection.rm_market_bars
where tenant = $1 and instrument_id = $2 and at_us >= $3 order by at_us limit 20000
"""


def _value(message: Message, name: str) -> object:
    return getattr(message, name) if message.HasField(name) else None


def snapshot_row(m: Message) -> dict[str, object]:
    """The row of a newest price."""
    day = datetime.fromtimestamp(m.timestamp_us / 1e6, UTC).date().isoformat()
    values = (
        SHARED, m.instrument_id, _value(m, "bid"), _value(m, "ask"), _value(m, "mid"),
        m.timestamp_us, m.received_at_us, m.source, list(m.flags), _value(m, "source_timestamp_us"),
        _value(m, "heartbeat_at_us"), day, _value(m, "day_low"), _value(m, "day_high"),
        _value(m, "open"),
    )  # fmt: skip
    return dict(zip(SNAPSHOT_COLUMNS, values, strict=True))


def bar_row(b: Bar, length_us: int) -> dict[str, object]:
    """The row of a bar as far as it is made."""
    values = (
        SHARED, b.instrument_id, b.at, plain(b.mid), plain(b.low), plain(b.high), plain(b.spread),
        plain(b.spread_max), b.ticks, plain(b.spread_sum), length_us,
    )  # fmt: skip
    return dict(zip(BAR_COLUMNS, values, strict=True))


async def save(sql: Sql, prices: Sequence[object], bars: Sequence[object]) -> None:
    """Writes rows of newest prices and of bars."""
    if prices:
        await sql.execute(SAVE, _json(prices))
    if bars:
        await sql.execute(SAVE_BARS, _json(bars))


def _json(rows: Sequence[object]) -> str:
    return msgspec.json.encode(rows).decode()


async def prune(database: Database, before: int, limit: int = 5_000) -> None:
    """Forgets bars older than an instant, the oldest first, a piece at a time."""
    async with database.write(SERVICE, [SHARED]) as sql:
        await sql.execute(
            "delete from marketdata_projection.rm_market_bars where ctid = any (array("
            "select ctid from marketdata_projection.rm_market_bars where at_us < $1 order by at_us"
            " limit $2))",
            before,
            limit,
        )


async def snapshot(database: Database, names: Sequence[str] | None = None) -> list[Message]:
    """The stored prices of these instruments, or of all."""
    async with database.read(SHARED) as sql:
        rows = await sql.fetch(
            _STORED,
            SHARED,
            None if names is None else list(names),
        )
    return [
        Message(
            instrument_id=r["instrument_id"],
            bid=r["bid"],
            ask=r["ask"],
            mid=r["mid"],
            timestamp_us=r["timestamp_us"],
            received_at_us=r["received_at_us"],
            source=r["source"],
            flags=r["flags"],
            source_timestamp_us=r["source_timestamp_us"],
            heartbeat_at_us=r["heartbeat_at_us"],
            day_low=r["day_low"],
            day_high=r["day_high"],
            open=r["open"],
        )
        for r in rows
    ]


def days_of(messages: Iterable[Message]) -> dict[str, Day]:
    """The days' ranges that stored prices tell."""
    return {
        m.instrument_id: Day(
            m.timestamp_us // DAY_US, Decimal(m.open), Decimal(m.day_low), Decimal(m.day_high)
        )
        for m in messages
        if m.HasField("open") and m.HasField("day_low") and m.HasField("day_high")
    }


async def last_bars(database: Database, length_us: int) -> list[Bar]:
    """The newest bar of each instrument, to be gone on with. One of another length stays as it
    is.
    """
    async with database.read(SHARED) as sql:
        rows = await sql.fetch(_LAST_BARS, SHARED)
    return [
        Bar(
            r["instrument_id"], r["at_us"], Decimal(r["mid"]), Decimal(r["low"]),
            Decimal(r["high"]), Decimal(r["spread_sum"]), Decimal(r["spread_max"]), r["ticks"],
        )
        for r in rows
        if r["length_us"] == length_us
    ]  # fmt: skip


async def bars(database: Database, name: str, since: int) -> list[marketdata_pb2.Bar]:
    """The stored bars of an instrument from an instant on, oldest first."""
    async with database.read(SHARED) as sql:
        rows = await sql.fetch(
            _BARS,
            SHARED,
            name,
            since,
        )
    return [marketdata_pb2.Bar(**dict(r)) for r in rows]
