"""AuditService: the time line of a correlation id, as far as the caller may see."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from orion.core.permissions import may_read, read_scope
from orion.platform.caller import Caller
from orion.platform.errors import Coded
from orion.platform.rpc import current_caller
from orion.platform.store.port import Database
from orion.services.audit import queries
from orion.services.audit.config import Config
from orion.services.audit.order import causal
from orion.services.audit.summaries import summary
from orion.wire.stubs import audit_pb2
from orion.wire.stubs.audit_pb2_grpc import AuditServiceServicer

MAX_ID = 128
# What happened just now is recorded a moment later: who asks at once should not hear that it is
# not there.
LOOKS = 3


class _Sealed(msgspec.Struct):
    payload: msgspec.Raw = msgspec.Raw(b"{}")


_DECODER = msgspec.json.Decoder(_Sealed)


class AuditRpc(AuditServiceServicer):
    """Reads only; row-level security stands behind the tenant."""

    def __init__(self, database: Database, config: Config):
        self._database, self._config = database, config

    async def GetTimeline(self, request: Any, context: Any) -> audit_pb2.TimelineResponse:
        """Foreign, missing and not yours answer alike: API-104."""
        caller = current_caller()
        if caller.service is not None or read_scope(caller.roles, "audit") is None:
            raise Coded("AUTH-103")
        wanted = request.correlation_id
        if not 0 < len(wanted) <= MAX_ID or "\x00" in wanted:
            raise Coded("API-104")
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(1.5 * self._config.gather_ms / 1000)
            async with self._database.read(caller.tenant) as sql:
                rows = await queries.story(sql, caller.tenant, wanted, self._config.max_timeline)
            if rows and _may_see(caller, rows):
                return audit_pb2.TimelineResponse(items=[_entry(r) for r in causal(rows)])
        raise Coded("API-104")


def _may_see(caller: Caller, rows: Sequence[Any]) -> bool:
    """By whom the story is about: the requester of its RFQ, or the user of a session."""
    owner, desk = "", ""
    for row in rows:
        payload = msgspec.json.decode(_payload(row["body"]))
        about = (
            payload.get("terms") or payload.get("trade") or payload
            if isinstance(payload, dict)
            else {}
        )
        owner = str(about.get("requester") or about.get("user") or "")
        desk = str(about.get("desk") or "")
        if owner:
            break
    return may_read(
        caller.roles, "audit", user=caller.user, desk=caller.desk, owner=owner, owner_desk=desk
    )


def _payload(body: bytes) -> bytes:
    try:
        return bytes(_DECODER.decode(body).payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return b"{}"


def _entry(row: Any) -> audit_pb2.AuditEntry:
    payload = _payload(row["body"])
    return audit_pb2.AuditEntry(
        occurred_at_us=row["at"],
        service=row["service"],
        event_type=row["type"],
        event_id=row["event_id"],
        entity_type=row["entity_type"],
        entity_id=row["entity"],
        sequence=row["seq"],
        topic=row["topic"],
        partition=row["part"],
        offset=row["offs"],
        payload=payload,
        summary=summary(row["type"], msgspec.json.decode(payload)),
    )
