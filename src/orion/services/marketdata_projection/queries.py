"""The projection's tables: snapshots and bars. The only SQL of this service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from orion.core.values import plain
from orion.platform.store.port import Database
from orion.services.marketdata_projection.book import DAY_US, Bar, Day, Message
from orion.wire.stubs import marketdata_pb2

SERVICE = "marketdata_projection"
SHARED = "shared"

_SAVE = """
insert into marketdata_projection.rm_market_snapshot (
  tenant, instrument_id, bid, ask, mid, timestamp_us, received_at_us, source, flags,
  source_timestamp_us, heartbeat_at_us, day, day_low, day_high, open)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
on conflict (tenant, instrument_id) do update set
  bid = excluded.bid, ask = excluded.ask, mid = excluded.mid,
  timestamp_us = excluded.timestamp_us, received_at_us = excluded.received_at_us,
  source = excluded.source, flags = excluded.flags,
  source_timestamp_us = excluded.source_timestamp_us,
  heartbeat_at_us = excluded.heartbeat_at_us, day = excluded.day,
  day_low = excluded.day_low, day_high = excluded.day_high, open = excluded.open
"""
_SAVE_BAR = """
insert into marketdata_projection.rm_market_bars (
  tenant, instrument_id, at_us, mid, low, high, spread, spread_max, ticks)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (tenant, instrument_id, at_us) do update set
  mid = excluded.mid, low = excluded.low, high = excluded.high,
  spread = excluded.spread, spread_max = excluded.spread_max, ticks = excluded.ticks
  where excluded.ticks >= rm_market_bars.ticks
"""
_STORED = """
select * from marketdata_projection.rm_market_snapshot
where tenant = $1 and ($2::text[] is null or instrument_id = any ($2)) order by instrument_id
"""
_BARS = """
select at_us, mid, low, high, spread, spread_max, ticks from marketdata_projection.rm_market_bars
where tenant = $1 and instrument_id = $2 and at_us >= $3 order by at_us limit 20000
"""


def _value(message: Message, name: str) -> object:
    return getattr(message, name) if message.HasField(name) else None


async def save(database: Database, messages: Iterable[Message], bars: Sequence[Bar]) -> None:
    """Writes snapshots and finished bars in one transaction."""
    rows = [
        (
            SHARED,
            m.instrument_id,
            _value(m, "bid"),
            _value(m, "ask"),
            _value(m, "mid"),
            m.timestamp_us,
            m.received_at_us,
            m.source,
            list(m.flags),
            _value(m, "source_timestamp_us"),
            _value(m, "heartbeat_at_us"),
            datetime.fromtimestamp(m.timestamp_us / 1e6, UTC).date(),
            _value(m, "day_low"),
            _value(m, "day_high"),
            _value(m, "open"),
        )
        for m in messages
    ]
    finished = [
        (
            SHARED,
            b.instrument_id,
            b.at,
            plain(b.mid),
            plain(b.low),
            plain(b.high),
            plain(b.spread),
            plain(b.spread_max),
            b.ticks,
        )
        for b in bars
    ]
    async with database.write(SERVICE, [SHARED]) as sql:
        if rows:
            await sql.executemany(_SAVE, rows)
        if finished:
            await sql.executemany(_SAVE_BAR, finished)


async def prune(database: Database, before: int, limit: int = 5_000) -> None:
    """Forgets bars older than an instant, a piece at a time."""
    async with database.write(SERVICE, [SHARED]) as sql:
        await sql.execute(
            "delete from marketdata_projection.rm_market_bars where ctid = any (array("
            "select ctid from marketdata_projection.rm_market_bars where at_us < $1 limit $2))",
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
