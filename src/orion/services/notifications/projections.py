"""The read models: notifications, and the parties of RFQs to know whose they are; and what those
who run the platform should know. Rows may come in any order across topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage
from orion.platform.project import Projection, RowOperation, Upsert
from orion.services.notifications.words import note_of, notice_of, party_of
from orion.wire.envelope import InvalidEvent, decode

TOPICS: tuple[str, ...] = ("rfq.lifecycle", "execution.trades")
LETTERS = "dlq.changes"
HEARD = {
    "RFQCreated", "RFQDenied", "RFQExpired", "QuoteAcceptanceRejected", "TradeExecuted",
    "DeadLetterParked", "DeadLetterReplayed",
}  # fmt: skip


class Notifications:
    """See orion.platform.project.Projection."""

    name = "rm_notifications"
    service = "notifications"
    topics: tuple[str, ...] = TOPICS
    tables: tuple[str, ...] = ("rm_notifications", "rm_notification_parties")

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """At most one row of each table."""
        event = opened(record)
        if event is None:
            return ()
        rows: list[RowOperation] = []
        if (party := party_of(event)) is not None:
            key = {"tenant": record.tenant, "rfq_id": party.rfq_id}
            rows.append(
                Upsert(
                    "rm_notification_parties",
                    key,
                    {
                        "subject": party.subject,
                        "requester": party.requester,
                        "display_id": party.display_id,
                        "correlation": party.correlation,
                        "instrument_id": party.instrument_id,
                        "side": party.side,
                        "size": party.size,
                        "currency": party.currency,
                    },
                )
            )
        if (note := note_of(event, record.tenant, record.event_id)) is not None:
            key = {"tenant": record.tenant, "notification_id": note.notification_id}
            rows.append(
                Upsert(
                    "rm_notifications",
                    key,
                    {
                        "rfq_id": note.rfq_id,
                        "kind": note.kind,
                        "severity": note.severity,
                        "at": note.at,
                        "text": note.text,
                        "trade_id": note.trade_id,
                    },
                )
            )
        return rows


class Notices:
    """What the people who run the platform should know, of their tenant's records and of those
    that all tenants share.
    """

    name = "rm_operator_notifications"
    service = "notifications"
    topics: tuple[str, ...] = (LETTERS,)
    tables: tuple[str, ...] = ("rm_operator_notifications",)

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """At most one row."""
        notice = notice_of(opened(record), record.tenant, record.event_id)
        if notice is None:
            return ()
        key = {"tenant": record.tenant, "notification_id": notice.notification_id}
        values = {
            "kind": notice.kind,
            "severity": notice.severity,
            "at": notice.at,
            "title": notice.title,
            "text": notice.text,
        }
        return (Upsert(self.name, key, values),)


def opened(record: Record) -> Any:
    """The core event of a record we care for, else None. Raises InvalidMessage."""
    if record.type not in HEARD:
        return None
    try:
        return decode(record.body)[1]
    except InvalidEvent as problem:
        raise InvalidMessage(
            record.topic, record.part, record.offset, problem.reason, problem.diagnostics
        ) from problem


PROJECTION = Notifications()
PROJECTIONS: tuple[Projection, ...] = (PROJECTION, Notices())
