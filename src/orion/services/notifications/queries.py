"""The notification service's SQL. Always by tenant and subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.platform.store.port import Sql

_SELECT = """
    select n.notification_id, n.rfq_id, n.kind, n.severity, n.at, n.text, n.trade_id, n.tenant,
           p.requester, p.display_id, p.correlation, p.subject, m.at is not null as is_read
      from notifications.rm_notification_parties p
      join notifications.rm_notifications n on n.tenant = p.tenant and n.rfq_id = p.rfq_id
      left join notifications.read_marks m
        on m.tenant = n.tenant and m.subject = p.subject and m.notification_id = n.notification_id
"""


# For those who run the platform: of their tenant, or of what all tenants share.
_NOTICES = """
    select n.notification_id, n.tenant, n.kind, n.severity, n.at, n.title, n.text,
           m.tenant as reader_tenant, m.subject as reader
      from notifications.rm_operator_notifications n
      left join notifications.read_marks m on m.notification_id = n.notification_id
"""
_OURS = "n.tenant in ($1, 'shared')"


async def newest(sql: Sql, tenant: str, subject: str, limit: int) -> list[Any]:
    """The user's own, newest first."""
    query = (
        _SELECT
        + "where p.tenant = $1 and p.subject = $2 order by n.at desc, n.notification_id limit $3"
    )
    return await sql.fetch(query, tenant, subject, limit)


async def newest_notices(sql: Sql, tenant: str, subject: str, limit: int) -> list[Any]:
    """What one who runs the platform should know, newest first."""
    query = (
        _NOTICES + f"and m.tenant = $1 and m.subject = $2 where {_OURS}"
        " order by n.at desc, n.notification_id limit $3"
    )
    return await sql.fetch(query, tenant, subject, limit)


async def notices_since(sql: Sql, at: int, limit: int) -> list[Any]:
    """Those of all tenants since a moment, oldest first: one row for each who has read it."""
    query = _NOTICES + "where n.at >= $1 order by n.at desc limit $2"
    return list(reversed(await sql.fetch(query, at, limit)))


async def mark_notices(
    sql: Sql, tenant: str, subject: str, ids: Sequence[str], at: int
) -> list[Any]:
    """Marks those as read by one who runs the platform. Gives those that were not before."""
    query = f"""
        insert into notifications.read_marks (tenant, subject, notification_id, at)
        select $1, $2, n.notification_id, $4
          from notifications.rm_operator_notifications n
         where {_OURS} and n.notification_id = any($3::text[])
        on conflict do nothing
        returning notification_id
    """  # noqa: S608 - ours
    marked = await sql.fetch(query, tenant, subject, list(ids), at)
    fresh = [r["notification_id"] for r in marked]
    again = _NOTICES + "where m.tenant = $1 and m.subject = $2 and n.notification_id = any($3)"
    return await sql.fetch(again, tenant, subject, fresh) if fresh else []


async def since(sql: Sql, at: int, limit: int) -> list[Any]:
    """Everybody's since a moment, for the edge, oldest first."""
    query = _SELECT + "where n.at >= $1 order by n.at desc limit $2"
    return list(reversed(await sql.fetch(query, at, limit)))


async def mark(sql: Sql, tenant: str, subject: str, ids: Sequence[str], at: int) -> list[Any]:
    """Marks those that are the user's own. Gives those that were not read before, as they are
    now.
    """
    query = """
        insert into notifications.read_marks (tenant, subject, notification_id, at)
        select n.tenant, p.subject, n.notification_id, $4
          from notifications.rm_notifications n
          join notifications.rm_notification_parties p
            on p.tenant = n.tenant and p.rfq_id = n.rfq_id
         where n.tenant = $1 and p.subject = $2 and n.notification_id = any($3::text[])
        on conflict do nothing
        returning notification_id
    """
    marked = await sql.fetch(query, tenant, subject, list(ids), at)
    fresh = [r["notification_id"] for r in marked]
    again = _SELECT + "where p.tenant = $1 and p.subject = $2 and n.notification_id = any($3)"
    return await sql.fetch(again, tenant, subject, fresh) if fresh else []
