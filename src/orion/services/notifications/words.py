"""Which events a person should hear of, and in which words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orion.core.deadletter import DeadLetterParked, DeadLetterReplayed
from orion.core.ids import event_id
from orion.core.rfq.events import QuoteAcceptanceRejected, RFQCreated, RFQDenied, RFQExpired
from orion.core.rfq.words import Terms
from orion.core.trade import TradeExecuted
from orion.core.values import plain


@dataclass(frozen=True, slots=True)
class Note:
    """Something to know about an RFQ; whom it concerns follows from the RFQ."""

    notification_id: str
    rfq_id: str
    kind: str  # RFQ_EXPIRED RFQ_REJECTED RFQ_DENIED TRADE_DONE
    severity: str  # INFO WARN BAD
    at: int
    text: str
    trade_id: str | None = None


@dataclass(frozen=True, slots=True)
class Party:
    """Whom an RFQ concerns, and what it was about."""

    rfq_id: str
    subject: str
    requester: str
    display_id: str
    correlation: str
    instrument_id: str
    side: str
    size: str
    currency: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something for those who run the platform. It names the consumer and the place in the log,
    and nothing of what the record says: they see no trading data.
    """

    notification_id: str
    kind: str  # DEAD_LETTER_PARKED DEAD_LETTER_REPLAYED
    severity: str
    at: int
    title: str
    text: str


TITLES = {
    "RFQ_EXPIRED": "expired",
    "RFQ_REJECTED": "rejected at last look",
    "RFQ_DENIED": "denied",
    "TRADE_DONE": "traded",
}


def title(kind: str, display_id: str) -> str:
    """The headline."""
    return f"{display_id} {TITLES.get(kind, kind.lower())}"


def party_of(event: Any) -> Party | None:
    """Whom the RFQ of this event concerns, where the event says it."""
    match event:
        case RFQCreated(terms=t) | RFQDenied(terms=t):
            return _party(t)
        case _:
            return None


def _party(t: Terms) -> Party:
    return Party(
        t.rfq_id,
        t.subject,
        t.requester,
        t.display_id,
        t.correlation_id,
        t.instrument_id,
        t.side.value,
        plain(t.size),
        t.currency,
    )


def note_of(event: Any, tenant: str, source_event: str) -> Note | None:
    """The notification that this event is worth. Its id follows from the event's, so a repeat is
    the same one.
    """
    name = event_id(tenant, "Notification", source_event, 1)
    match event:
        case RFQDenied():
            return Note(
                name, event.rfq_id, "RFQ_DENIED", "BAD", event.at, f"{event.reason} ({event.code})"
            )
        case RFQExpired(quotes=0):
            return Note(
                name, event.rfq_id, "RFQ_EXPIRED", "INFO", event.at, "No dealer quoted in time"
            )
        case RFQExpired():
            best = (
                f"; the best was {plain(event.best_price)}" if event.best_price is not None else ""
            )
            text = f"{event.quotes} quote{'s' if event.quotes > 1 else ''} went unanswered{best}"
            return Note(name, event.rfq_id, "RFQ_EXPIRED", "WARN", event.at, text)
        case QuoteAcceptanceRejected():
            because = f"{event.reason} ({event.code})"
            text = f"{event.lp_id} did not stand by {plain(event.price)}: {because}"
            return Note(name, event.rfq_id, "RFQ_REJECTED", "BAD", event.at, text)
        case TradeExecuted(trade=t):
            text = (
                f"{t.display_id}: {t.side.value} {t.quantity:,f} {t.instrument_id} "
                f"at {plain(t.price)} "
                f"with {t.lp_name or t.lp_id}"
            )
            return Note(name, t.rfq_id, "TRADE_DONE", "INFO", event.at, text, t.trade_id)
        case _:
            return None


def notice_of(event: Any, tenant: str, source_event: str) -> Notice | None:
    """What the people who run the platform should hear of this event; its id follows from it."""
    name = event_id(tenant, "Notification", source_event, 1)
    match event:
        case DeadLetterParked(attempts=attempts):
            why = f"after {attempts} attempt{'' if attempts == 1 else 's'}"
            text = f"{_place(event)} was set aside {why}; what follows it of the same entity waits"
            if not attempts:
                text = f"{_place(event)} waits behind an earlier dead letter of the same entity"
            title = f"Dead letter of {event.consumer}"
            return Notice(name, "DEAD_LETTER_PARKED", "BAD", event.at, title, text)
        case DeadLetterReplayed(outcome=outcome):
            told, severity = _REPLAYED.get(outcome, (outcome.lower(), "WARN"))
            by = f", as {event.by} asked" if event.by else ""
            title = f"Replay for {event.consumer}"
            text = f"{_place(event)} {told}{by}"
            return Notice(name, "DEAD_LETTER_REPLAYED", severity, event.at, title, text)
        case _:
            return None


_REPLAYED = {
    "APPLIED": ("was applied", "INFO"),
    "DUPLICATE": ("had been applied before", "INFO"),
    "FAILED": ("failed again and waits", "WARN"),
}


def _place(event: DeadLetterParked | DeadLetterReplayed) -> str:
    """As `orion dlq show` takes it."""
    return f"{event.topic}/{event.partition}/{event.offset}"
