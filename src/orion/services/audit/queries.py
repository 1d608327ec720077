"""The audit service's SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.platform.store.port import Sql
from orion.services.audit.chain import FIELDS, Head, Row

_COLUMNS = ", ".join(FIELDS)
_APPEND = f"select audit.append({', '.join(f'${i}' for i in range(1, len(FIELDS) + 8))})"


async def heads(sql: Sql) -> dict[tuple[str, int], Head]:
    """All chain heads."""
    rows = await sql.fetch("select topic, part, next, hash, signature from audit.chain_head")
    return {(r["topic"], r["part"]): Head(**dict(r)) for r in rows}


async def append(
    sql: Sql, rows: Sequence[Row], hashes: Sequence[bytes], moved: Sequence[tuple[int, Head]]
) -> None:
    """Adds rows and moves the heads behind them, each from where we left it, in one call. Raises
    the database's error for a moved checkpoint when a head is elsewhere.
    """
    columns = [[getattr(r, n) for r in rows] for n in FIELDS]
    await sql.execute(
        _APPEND, *columns, list(hashes),
        [h.topic for _, h in moved], [h.part for _, h in moved], [start for start, _ in moved],
        [h.next for _, h in moved], [h.hash for _, h in moved], [h.signature for _, h in moved],
    )  # fmt: skip


async def rows_of(
    sql: Sql, topic: str, part: int, offset: int, upto: int, limit: int
) -> list[tuple[Row, bytes]]:
    """Rows of a chain from `offset` on and below `upto`, with their hashes."""
    query = f"""select {_COLUMNS}, hash from audit.audit_log
                where topic = $1 and part = $2 and offs >= $3 and offs < $4
                order by offs limit $5"""  # noqa: S608
    found = [dict(r) for r in await sql.fetch(query, topic, part, offset, upto, limit)]
    return [(Row(**{n: r[n] for n in FIELDS}), r["hash"]) for r in found]


async def extents(sql: Sql) -> dict[tuple[str, int], tuple[Head | None, int]]:
    """Each chain's head and where its rows end, from one snapshot."""
    query = """
        with ends as (select topic, part, max(offs) + 1 as upto
                        from audit.audit_log group by topic, part)
        select topic, part, h.next, h.hash, h.signature, e.upto
          from audit.chain_head h full join ends e using (topic, part)
    """
    found: dict[tuple[str, int], tuple[Head | None, int]] = {}
    for r in await sql.fetch(query):
        head = (
            None
            if r["next"] is None
            else Head(*(r[n] for n in ("topic", "part", "next", "hash", "signature")))
        )
        found[r["topic"], r["part"]] = (head, r["upto"] or 0)
    return found


async def story(sql: Sql, tenant: str, correlation: str, limit: int) -> list[Any]:
    """The events of one correlation id, oldest first."""
    query = f"""select {_COLUMNS} from audit.audit_log where tenant = $1 and correlation = $2
                order by at, topic, offs limit $3"""  # noqa: S608
    return await sql.fetch(query, tenant, correlation, limit)


async def anchors(sql: Sql) -> list[tuple[int, str, bool]]:
    """(seq, line, confirmed) of all anchors."""
    rows = await sql.fetch("select seq, line, confirmed from audit.anchors order by seq")
    return [(r["seq"], r["line"], r["confirmed"]) for r in rows]


async def last_anchor(sql: Sql) -> tuple[int, str, bool] | None:
    """The newest anchor."""
    row = await sql.fetchrow(
        "select seq, line, confirmed from audit.anchors order by seq desc limit 1"
    )
    return (row["seq"], row["line"], row["confirmed"]) if row else None


async def add_anchor(sql: Sql, seq: int, line: str) -> bool:
    """Notes a line before it is written outside. False: somebody else was first."""
    insert = "insert into audit.anchors (seq, line) values ($1, $2) on conflict do nothing"
    return str(await sql.execute(insert, seq, line)).endswith(" 1")


async def confirm_anchor(sql: Sql, seq: int) -> None:
    """The file has it."""
    await sql.execute("update audit.anchors set confirmed = true where seq = $1", seq)


async def log_slice(
    sql: Sql, topic: str, part: int, offset: int, upto: int, limit: int
) -> list[Any]:
    """The bus's own record of the same events."""
    query = """select offs, at, tenant, entity, seq, type, event_id, body from bus.log
               where topic = $1 and part = $2 and offs >= $3 and offs < $4 order by offs limit $5"""
    return await sql.fetch(query, topic, part, offset, upto, limit)


async def log_span(sql: Sql, topic: str, part: int) -> tuple[int | None, int]:
    """(first offset that the log still has, the offset its owner gives out next)."""
    first = await sql.fetchval(
        "select min(offs) from bus.log where topic = $1 and part = $2", topic, part
    )
    upto = await sql.fetchval(
        "select next from bus.head where topic = $1 and part = $2", topic, part
    )
    return first, upto or 0
