"""What the database says happened: the log, the kept replies, the trades. Read past every cache and
service, as the tables' owner, after the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from orion.services.rfq.aggregate import Answer

_EVENTS = """
    select tenant, entity, seq, offs, part, type, body ->> 'causationId' as cause,
           body -> 'payload' ->> 'tradeId' as trade_id,
           body -> 'payload' -> 'quote' ->> 'quoteId' as quote_id,
           (body -> 'payload' ->> 'final')::boolean as final
      from (select tenant, entity, seq, offs, part, type, convert_from(body, 'UTF8')::jsonb as body
              from bus.log where topic = 'rfq.lifecycle' and tenant = any($1)) said
     order by tenant, entity, offs
"""
_TRADES = """
    select tenant, body -> 'payload' -> 'trade' ->> 'rfqId' as rfq_id,
           body -> 'payload' -> 'trade' ->> 'tradeId' as trade_id,
           body -> 'payload' -> 'trade' ->> 'quoteId' as quote_id
      from (select tenant, convert_from(body, 'UTF8')::jsonb as body
              from bus.log where topic = 'execution.trades' and type = 'TradeExecuted'
               and tenant = any($1)) said
"""
_REPLIES = "select tenant, command, key, reply from rfq.inbox where tenant = any($1)"
_STATES = "select tenant, id, status from rfq.state where tenant = any($1)"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of an RFQ; `cause` is the key of the command that brought it about."""

    type: str
    seq: int
    cause: str = ""
    trade_id: str = ""
    quote_id: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply as it is kept under its key; `code` of a refusal."""

    command: str  # create, accept <rfqId>, cancel <rfqId>
    code: str = ""
    rfq_id: str = ""
    version: int = 0
    status: str = ""


Name = tuple[str, str]  # (tenant, RFQ) or (tenant, key)


@dataclass
class Facts:
    """Everything the comparison needs to know."""

    events: dict[Name, list[Event]] = field(default_factory=dict)  # in the log's order
    trades: dict[Name, list[tuple[str, str]]] = field(default_factory=dict)  # (trade, quote)
    replies: dict[Name, list[Kept]] = field(default_factory=dict)  # by key
    states: dict[Name, str] = field(default_factory=dict)


async def read_facts(dsn: str, tenants: list[str]) -> Facts:
    """In one snapshot, of these tenants; `dsn` of a role that may read every tenant."""
    facts = Facts()
    sql = await asyncpg.connect(dsn, server_settings={"jit": "off"})
    try:
        async with sql.transaction(isolation="repeatable_read", readonly=True):
            for row in await sql.fetch(_EVENTS, tenants):
                facts.events.setdefault((row["tenant"], row["entity"]), []).append(_event(row))
            for row in await sql.fetch(_TRADES, tenants):
                name = (row["tenant"], row["rfq_id"])
                facts.trades.setdefault(name, []).append((row["trade_id"], row["quote_id"]))
            for row in await sql.fetch(_REPLIES, tenants):
                facts.replies.setdefault((row["tenant"], row["key"]), []).append(_kept(row))
            for row in await sql.fetch(_STATES, tenants):
                facts.states[row["tenant"], row["id"]] = row["status"]
    finally:
        await sql.close()
    return facts


async def is_quiet(dsn: str) -> bool:
    """Whether nothing waits: no accept without its end."""
    sql = await asyncpg.connect(dsn)
    try:
        return not await sql.fetchval("select count(*) from rfq.state where status = 'ACCEPTED'")
    finally:
        await sql.close()


def _event(row: Any) -> Event:
    return Event(
        row["type"], row["seq"], row["cause"] or "", row["trade_id"] or "", row["quote_id"] or "",
        bool(row["final"]),
    )  # fmt: skip


def _kept(row: Any) -> Kept:
    answer = Answer.unpack(bytes(row["reply"]))
    code = answer.reject.code if answer.reject else ""
    details = answer.details
    if details is None:
        return Kept(row["command"], code)
    return Kept(row["command"], code, details.rfq_id, details.version, details.status)
