"""What the hall would hand to a service, and a way to put events on the log as their owners would
have.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from orion.core.ids import event_id
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from tests.postgres import TestDatabase

START = 1_770_000_000_000_000


@dataclass
class Machine:
    """The adapters over one database."""

    db: TestDatabase
    ring: Ring
    store: PostgresStore
    bus: PostgresBus
    database: PostgresDatabase


@dataclass(frozen=True)
class Said:
    """An event to be put on the log."""

    topic: str
    part: int
    tenant: str
    entity: str
    type: str
    payload: dict[str, Any] = field(default_factory=dict)
    correlation: str = "c1"
    entity_type: str = "RFQ"
    at: int = START
    body: bytes | None = None


async def say(machine: Machine, *said: Said) -> None:
    """Appends events to bus.log and moves the heads, in one transaction, then tells the bus."""
    sql = await asyncpg.connect(machine.db.admin)
    heads: Counter[tuple[str, int]] = Counter()
    try:
        async with sql.transaction():
            for one in said:
                await _append(sql, one)
                heads[one.topic, one.part] += 1
            ends = {
                head: await sql.fetchval(
                    "select next from bus.head where topic = $1 and part = $2", *head
                )
                for head in heads
            }
    finally:
        await sql.close()
    for (topic, part), end in ends.items():
        machine.ring.hint(topic, part, end)


async def _append(sql: asyncpg.Connection, one: Said) -> None:
    offset = await sql.fetchval(
        """insert into bus.head (topic, part, next, at) values ($1, $2, 1, $3)
           on conflict (topic, part) do update set next = bus.head.next + 1 returning next - 1""",
        one.topic,
        one.part,
        one.at,
    )
    sequence = 1 + await sql.fetchval(
        "select count(*) from bus.log where tenant = $1 and entity = $2 and topic = $3",
        one.tenant,
        one.entity,
        one.topic,
    )
    name = event_id(one.tenant, one.entity_type, one.entity, sequence)
    body = (
        one.body
        or json.dumps(
            {
                "eventId": name,
                "eventType": one.type,
                "eventVersion": 1,
                "occurredAt": "2026-02-09T12:34:56.789Z",
                "producer": one.topic.split(".")[0],
                "tenantId": one.tenant,
                "correlationId": one.correlation,
                "causationId": "k1",
                "payload": one.payload,
                "entity": {
                    "entityType": one.entity_type,
                    "entityId": one.entity,
                    "sequence": sequence,
                },
            }
        ).encode()
    )
    await sql.execute(
        """insert into bus.log
             (topic, part, offs, period, at, tenant, entity, seq, type, event_id, body)
           values ($1, $2, $3, date_trunc('day', now() at time zone 'UTC') at time zone 'UTC',
             $4, $5, $6, $7, $8, $9, $10)""",
        one.topic,
        one.part,
        offset,
        one.at,
        one.tenant,
        one.entity,
        sequence,
        one.type,
        name,
        body,
    )
