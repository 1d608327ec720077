# ruff: noqa: E501 (statements of SQL keep their lines)
"""Keeps the log in partitions: made two days ahead, removed when their time is over and every
consumer has passed them.

Works as orion_owner. A partition that a consumer still needs stays, with an alert. Not so beyond
the cap: that bounds the disk, and who falls behind there goes on with newer records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from orion.platform import telemetry
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.clock import Clock

EVERY_S = 600.0
_SIZE = telemetry.gauge("log_bytes", "Size of the log on disk", ("tree",))
_HELD = telemetry.gauge(
    "log_held_partitions", "Partitions kept because a consumer is behind", ("tree",)
)


@dataclass
class Swept:
    """What one round did."""

    made: int = 0
    dropped: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)


class Retention:
    """Makes and removes partitions. Run one per platform."""

    def __init__(
        self, owner_dsn: str, clock: Clock, specs: Mapping[str, Topic] | None = None
    ) -> None:
        self._dsn = owner_dsn
        self._clock = clock
        self._specs = specs if specs is not None else catalogue()

    async def run(self) -> None:
        """A round every ten minutes until cancelled."""
        while True:
            try:
                await self.sweep()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                telemetry.log.warning("retention.failed", error=str(error))
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> Swept:
        """One round."""
        swept = Swept()
        sql = await asyncpg.connect(self._dsn, timeout=5)
        try:
            swept.made = await sql.fetchval("select bus.make_partitions()")
            for tree, is_hourly in (("log", False), ("log_hourly", True)):
                await self._sweep_tree(sql, tree, is_hourly=is_hourly, swept=swept)
        finally:
            await sql.close()
        return swept

    async def _sweep_tree(self, sql: Any, tree: str, *, is_hourly: bool, swept: Swept) -> None:
        topics = [t for t in self._specs.values() if t.hourly == is_hourly]
        if not topics:
            return
        partitions = await sql.fetch(
            """
            select c.relname as name, i.inhdetachpending as pending, pg_total_relation_size(c.oid) as size,
                   (regexp_match(pg_get_expr(c.relpartbound, c.oid), $$FROM \\('([^']+)'\\)$$))[1]::timestamptz as lower,
                   (regexp_match(pg_get_expr(c.relpartbound, c.oid), $$TO \\('([^']+)'\\)$$))[1]::timestamptz as upper
              from pg_inherits i join pg_class c on c.oid = i.inhrelid
             where i.inhparent = $1::text::regclass order by upper
            """,
            f"bus.{tree}",
        )
        now = self._clock.now() / 1e6
        keep_s = max(t.retention_hours for t in topics) * 3600
        cap = sum(t.cap_mb or 0 for t in topics) * 2**20 if is_hourly else 0
        size = sum(p["size"] for p in partitions)
        held = 0
        for partition in partitions:
            upper = partition["upper"].timestamp()
            is_over_cap = bool(cap) and size > cap and upper < now
            if not partition["pending"] and upper > now - keep_s and not is_over_cap:
                continue
            behind = await self._behind(sql, tree, partition)
            if behind and is_over_cap:
                telemetry.log.error(
                    "retention.cap", partition=partition["name"], consumers=behind, bytes=size
                )
            elif behind:
                held += 1
                swept.held.append(partition["name"])
                telemetry.log.error("retention.held", partition=partition["name"], consumers=behind)
                continue
            await self._drop(sql, tree, partition)
            size -= partition["size"]
            swept.dropped.append(partition["name"])
        _SIZE.labels(tree).set(size)
        _HELD.labels(tree).set(held)

    async def _behind(self, sql: Any, tree: str, partition: Any) -> list[str]:
        """Consumers that have not passed the partition's last record."""
        if partition["pending"]:
            return []
        rows = await sql.fetch(
            "select distinct k.consumer from"  # noqa: S608 - constants of this file
            " (select consumer, topic, part, offs from bus.ckpt"
            " union all select 'relay', topic, part, offs from bus.relayed) k"
            f" join {_lasts(tree)}"
            " on p.topic = k.topic and p.part = k.part where k.offs <= p.last order by 1",
            partition["lower"], partition["upper"],
        )  # fmt: skip
        return [r[0] for r in rows]

    async def _drop(self, sql: Any, tree: str, partition: Any) -> None:
        # CONCURRENTLY, so that neither readers nor the writer wait; one that was interrupted is
        # finished first.
        # What is kept is noted first: a log that begins later than that has lost something.
        if not partition["pending"]:
            await sql.execute(
                f"update bus.head h set kept = greatest(h.kept, p.last + 1) from {_lasts(tree)}"  # noqa: S608
                " where p.topic = h.topic and p.part = h.part",
                partition["lower"], partition["upper"],
            )  # fmt: skip
        how = "finalize" if partition["pending"] else "concurrently"
        await sql.execute(f"alter table bus.{tree} detach partition bus.{partition['name']} {how}")
        await sql.execute(f"drop table bus.{partition['name']}")
        telemetry.log.info("retention.dropped", partition=partition["name"])


def _lasts(tree: str) -> str:
    # Through the parent: a partition by itself shows its rows to nobody.
    return (
        f"(select topic, part, max(offs) as last from bus.{tree}"  # noqa: S608
        " where period >= $1 and period < $2 group by topic, part) p"
    )
