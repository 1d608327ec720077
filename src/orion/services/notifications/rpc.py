"""NotificationService: a user's own list and read marks; for the edge everybody's as they
happen.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from orion.core.permissions import Permission, may
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.platform.store.port import Database
from orion.services.notifications import queries
from orion.services.notifications.config import Config
from orion.services.notifications.live import Live
from orion.services.notifications.words import title
from orion.wire.stubs import notifications_pb2
from orion.wire.stubs.notifications_pb2_grpc import NotificationServiceServicer

EDGE = "push_edge"
MAX_MARKED = 200


def _user() -> Caller:
    caller = current_caller()
    if caller.service is not None or not may(caller.roles, Permission.NOTIFICATION_READ):
        raise Coded("AUTH-103")
    return caller


def _runs_the_platform(caller: Caller) -> bool:
    return may(caller.roles, Permission.OPERATIONS_READ)


class NotificationRpc(NotificationServiceServicer):
    """Users see their own only; nobody reads another's, whatever the role. Those who run the
    platform hear of its dead letters too.
    """

    def __init__(self, database: Database, live: Live, clock: Clock, config: Config):
        self._database, self._live, self._clock, self._config = database, live, clock, config

    async def ListNotifications(
        self, request: Any, context: Any
    ) -> notifications_pb2.NotificationUpdate:
        """Newest first."""
        caller = _user()
        limit = min(request.limit or 50, self._config.max_listed)
        async with self._database.read(caller.tenant) as sql:
            rows = await queries.newest(sql, caller.tenant, caller.subject, limit)
            items = [_message(r) for r in rows]
            if _runs_the_platform(caller):
                found = await queries.newest_notices(sql, caller.tenant, caller.subject, limit)
                items += [_own(r) if r["reader"] else _notice(r) for r in found]
                items.sort(key=lambda m: (-m.at_us, m.notification_id))
        return notifications_pb2.NotificationUpdate(items=items[:limit], snapshot=True)

    async def MarkRead(self, request: Any, context: Any) -> notifications_pb2.MarkReadResponse:
        """Ids that are not the caller's do nothing. The user's other screens hear of it."""
        caller = _user()
        if len(request.notification_ids) > MAX_MARKED:
            raise Coded("API-100", f"At most {MAX_MARKED} at once")
        ids = [i for i in request.notification_ids if "\x00" not in i]
        async with self._database.write("notifications", [caller.tenant]) as sql:
            who = (caller.tenant, caller.subject)
            rows = await queries.mark(sql, *who, ids, self._clock.now())
            marked = [_message(r) for r in rows]
            if _runs_the_platform(caller):
                rows = await queries.mark_notices(sql, *who, ids, self._clock.now())
                marked += [_own(r) for r in rows]
        self._live.tell(marked)
        return notifications_pb2.MarkReadResponse(marked=len(marked))

    async def WatchNotifications(
        self, request: Any, context: Any
    ) -> AsyncIterator[notifications_pb2.NotificationUpdate]:
        """For the edge only: the last hour of all tenants, then each as it happens."""
        if current_caller().service != EDGE:
            raise Coded("AUTH-103")
        stream = self._live.stream()
        try:
            await anext(stream)
            from_us = self._clock.now() - self._config.snapshot_minutes * 60_000_000
            async with self._database.write("notifications", []) as sql:
                rows = await queries.since(sql, from_us, self._config.max_queue)
                found = await queries.notices_since(sql, from_us, self._config.max_queue)
            items = [*map(_message, rows), *_notices(found)]
            yield notifications_pb2.NotificationUpdate(items=items, snapshot=True)
            async for batch in stream:
                yield notifications_pb2.NotificationUpdate(items=batch)
        finally:
            await stream.aclose()  # type: ignore[attr-defined]


def _message(r: Any) -> notifications_pb2.Notification:
    return notifications_pb2.Notification(
        notification_id=r["notification_id"],
        tenant_id=r["tenant"],
        user=r["requester"],
        kind=r["kind"],
        severity=r["severity"],
        title=title(r["kind"], r["display_id"]),
        text=r["text"],
        at_us=r["at"],
        correlation_id=r["correlation"],
        rfq_id=r["rfq_id"],
        trade_id=r["trade_id"],
        read=r["is_read"],
    )


def _notice(r: Any) -> notifications_pb2.Notification:
    """For everybody who runs the platform of this tenant, unread."""
    return notifications_pb2.Notification(
        notification_id=r["notification_id"],
        tenant_id=r["tenant"],
        permission=Permission.OPERATIONS_READ.value,
        kind=r["kind"],
        severity=r["severity"],
        title=r["title"],
        text=r["text"],
        at_us=r["at"],
    )


def _own(r: Any) -> notifications_pb2.Notification:
    """The same for the one who has read it."""
    message = _notice(r)
    message.tenant_id, message.subject, message.read = r["reader_tenant"], r["reader"], True
    return message


def _notices(rows: Sequence[Any]) -> list[notifications_pb2.Notification]:
    """Each once for everybody, and once for each who has read it."""
    once = {r["notification_id"]: _notice(r) for r in rows}
    return [*once.values(), *(_own(r) for r in rows if r["reader"])]
