"""Only legal moves, and every story ends: checks of `orion verify` over the log and the state.

The legal moves are core's own; stories of the same events in the same order are judged together, so
a million RFQs are a few dozen stories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from orion.core import rfq, trade
from orion.platform.verify import Check

GRACE_US = 60_000_000
Moves = Mapping[tuple[Any, type], Enum]

_STORIES = """
    select l.types, l.first, s.status, s.live, count(*) as n,
           min(l.tenant || ' ' || l.entity) as example
      from (select tenant, entity, array_agg(type order by offs) as types, min(seq) as first
              from bus.log where topic = '{topic}' group by tenant, entity) l
      left join {service}.state s on s.tenant = l.tenant and s.id = l.entity
     group by l.types, l.first, s.status, s.live
"""
# An owner rings a deadline within a moment. One that it left alone for a minute of its own time,
# and wrote on for another, was forgotten. (A platform that stands still rings nothing.)
_FORGOTTEN = """
    select s.tenant, s.id, s.status
      from rfq.state s
      join bus.head h on h.topic = 'rfq.lifecycle' and h.part = s.part
     where s.live and s.deadline + 2 * $1 < h.at
       and exists (select from bus.log l
                    where l.topic = h.topic and l.part = h.part
                      and l.at between s.deadline + $1 and h.at - $1)
"""


async def moves_checks(sql: Any) -> list[Check]:
    """RFQs and trades, over one connection that may read every tenant (orion_owner)."""
    return [
        await _only_legal(sql, "RFQs", "rfq", "rfq.lifecycle", rfq.MOVES, rfq.TERMINAL),
        await _only_legal(
            sql, "trades", "execution", "execution.trades", trade.MOVES, trade.TERMINAL
        ),
        await _every_story_ends(sql),
    ]


async def _only_legal(
    sql: Any, name: str, service: str, topic: str, moves: Moves, terminal: frozenset[Any]
) -> Check:
    """Each event is a legal move from where the one before led, and the state stands there."""
    check = Check(f"only legal moves of {name}")
    for r in await sql.fetch(_STORIES.format(service=service, topic=topic)):
        if r["first"] != 1:  # its beginning is no longer kept (or lost: `sequences` tells that)
            continue
        check.counted += r["n"]
        status, wrong = _walked(r["types"], moves)
        if not wrong and r["status"] != status:
            wrong = f"the state says {r['status']}, its events lead to {status}"
        elif not wrong and r["live"] != (status not in {s.value for s in terminal}):
            wrong = f"{status} is kept as {'live' if r['live'] else 'over'}"
        if wrong:
            more = f" (and {r['n'] - 1} alike)" if r["n"] > 1 else ""
            check.violations.append(f"{r['example']}{more}: {wrong}")
    return check


def _walked(types: Sequence[str], moves: Moves) -> tuple[str | None, str]:
    """Where these events lead, and the first that leads nowhere."""
    by_name = {
        (status.value if status else None, event.__name__): target.value
        for (status, event), target in moves.items()
    }
    status: str | None = None
    for event in types:
        target = by_name.get((status, event))
        if target is None:
            return status, f"{event} is no move from {status or 'nothing'}"
        status = target
    return status, ""


async def _every_story_ends(sql: Any) -> Check:
    """No RFQ whose time is over lives on while its owner works."""
    check = Check("every RFQ ends")
    check.counted = await sql.fetchval("select count(*) from rfq.state")
    check.add(
        await sql.fetch(_FORGOTTEN, GRACE_US),
        lambda r: f"{r['tenant']} {r['id']}: still {r['status']} long after its deadline",
    )
    return check
