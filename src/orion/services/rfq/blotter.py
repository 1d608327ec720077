"""Read models of RFQs: the blotter, and the plain tables of RFQs and quotes. Pure: the same record
gives the same rows.

The two topics have no order between them. What quotes' events write (counts, best prices, a quote's
own columns) commutes with
what lifecycle events write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orion.core.rfq import events as e
from orion.core.rfq.words import Quote, QuoteStatus, Status, Terms
from orion.core.values import plain
from orion.platform.bus.port import Record
from orion.platform.errors import InvalidMessage
from orion.platform.project import RowOperation, Upsert
from orion.wire.envelope import InvalidEvent, decode

DISCARDED = "DISCARDED"  # a quote that was not used; kept for the record, shown nowhere else


def event_in(record: Record) -> Any:
    """The event of a record. Raises InvalidMessage for one that cannot be read."""
    try:
        return decode(record.body)[1]
    except InvalidEvent as problem:
        raise InvalidMessage(
            record.topic, record.part, record.offset, problem.reason, problem.diagnostics
        ) from problem


def terms_columns(terms: Terms) -> dict[str, Any]:
    """What was asked, as columns."""
    return {
        "display_id": terms.display_id,
        "correlation_id": terms.correlation_id,
        "subject": terms.subject,
        "requester": terms.requester,
        "desk": terms.desk,
        "instrument_id": terms.instrument_id,
        "side": terms.side.value,
        "size": plain(terms.size),
        "currency": terms.currency,
        "min_size": None if terms.min_size is None else plain(terms.min_size),
        "partial_allowed": terms.partial_allowed,
        "venue_id": terms.venue_id,
        "settlement_date": terms.settlement_date.isoformat() if terms.settlement_date else "",
        "expiry_seconds": terms.expiry_seconds,
        "created_at": terms.created_at,
        "expires_at": terms.expires_at,
        "mid_at_request": None if terms.mid_at_request is None else plain(terms.mid_at_request),
    }


def lifecycle_columns(event: Any) -> dict[str, Any]:
    """What a lifecycle event changes, in both tables of RFQs. The public version comes from the
    record's sequence."""
    match event:
        case e.RFQCreated(terms=terms):
            return {"status": Status.CREATED.value, **terms_columns(terms)}
        case e.RFQDenied() | e.RFQRejected():
            status = Status.DENIED if isinstance(event, e.RFQDenied) else Status.REJECTED
            return _ended(event, status, event.code, event.reason)
        case e.RFQSent():
            return {"status": Status.SENT.value}
        case e.RFQQuoting():
            return {"status": Status.QUOTING.value}
        case e.QuoteAccepted():
            accepted = {"accepted_quote_id": event.quote.quote_id, "trade_id": event.trade_id}
            cleared = {"reason_code": None, "reason": None}
            return {"status": Status.ACCEPTED.value, **accepted, **cleared}
        case e.QuoteAcceptanceRejected():
            undone = {"accepted_quote_id": None, "trade_id": None}
            why = {"reason_code": event.code, "reason": event.reason}
            return {"status": Status.QUOTING.value, **undone, **why}
        case e.RFQExpired():
            return {"status": Status.EXPIRED.value, "ended_at": event.at}
        case e.RFQCancelled():
            return _ended(event, Status.CANCELLED, None, event.reason)
        case e.RFQTraded():
            return {"status": Status.TRADED.value, "ended_at": event.at, "trade_id": event.trade_id}
        case _:
            return {}


def _ended(event: Any, status: Status, code: str | None, reason: str | None) -> dict[str, Any]:
    return {
        "status": status.value, "ended_at": event.at, "reason_code": code, "reason": reason
    }  # fmt: skip


class RfqBlotter:
    """rm_rfq_blotter: a line per RFQ with how many dealers' quotes stood, the best price seen and
    the price dealt. A quote that its dealer replaced, took back or did not stand by does not count.
    """

    name = "rm_rfq_blotter"
    service = "rfq"
    topics: tuple[str, ...] = ("rfq.lifecycle", "rfq.quotes")
    tables: tuple[str, ...] = ("rm_rfq_blotter",)

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """The line's changes."""
        event = event_in(record)
        key = {"tenant": record.tenant, "rfq_id": event.rfq_id}
        if isinstance(event, e.QuoteReceived):
            price = event.quote.price
            seen = {"least": {"lowest": price}, "greatest": {"highest": price}}
            return (Upsert(self.name, key, add={"quote_count": 1}, **seen),)
        if isinstance(event, e.QuoteWithdrawn):
            return (Upsert(self.name, key, add={"quote_count": -1}),)
        if isinstance(event, e.QUOTES):
            return ()
        values = {**lifecycle_columns(event), "version": record.seq}
        if isinstance(event, e.RFQSent):
            values["dealer_count"] = len(event.dealers)
        if isinstance(event, e.RFQTraded):
            values |= {"price": plain(event.price), "lp_id": event.lp_id}
        gone = {"quote_count": -1} if isinstance(event, e.QuoteAcceptanceRejected) else {}
        return (Upsert(self.name, key, values, add=gone),)


class RfqTables:
    """rfqs and quotes as plain tables, for reports and for people who know SQL."""

    name = "rfqs"
    service = "rfq"
    topics: tuple[str, ...] = ("rfq.lifecycle", "rfq.quotes")
    tables: tuple[str, ...] = ("rfqs", "quotes")

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """Changes of the RFQ's row and of the quotes it is about."""
        event = event_in(record)
        if isinstance(event, e.QUOTES):
            return (self._quote_row(record.tenant, event),)
        key = {"tenant": record.tenant, "rfq_id": event.rfq_id}
        own = Upsert("rfqs", key, {**lifecycle_columns(event), "version": record.seq})
        settled = self._settled(record.tenant, event)
        return (own, settled) if settled else (own,)

    @staticmethod
    def _settled(tenant: str, event: Any) -> Upsert | None:
        match event:
            case e.QuoteAccepted(final=True) | e.LastLookPassed():
                status, quote_id = QuoteStatus.WON, event.quote.quote_id
            case e.QuoteAcceptanceRejected():
                status, quote_id = QuoteStatus.LAST_LOOK_REJECTED, event.quote_id
            case _:
                return None
        return Upsert("quotes", {"tenant": tenant, "quote_id": quote_id}, {"status": status.value})

    @staticmethod
    def _quote_row(tenant: str, event: Any) -> Upsert:
        match event:
            case e.QuoteReceived(quote=quote):
                # The status is set only if nothing was known: a WON of the other topic may already
                # be there.
                key = {"tenant": tenant, "quote_id": quote.quote_id}
                once = {"status": QuoteStatus.QUOTED.value}
                return Upsert("quotes", key, quote_columns(event.rfq_id, quote), once=once)
            case e.QuoteWithdrawn():
                values = {"status": QuoteStatus.WITHDRAWN.value, "reason": event.reason}
            case e.QuoteDeclined():
                values = {
                    "rfq_id": event.rfq_id, "lp_id": event.lp_id, "received_at": event.at,
                    "status": QuoteStatus.PASSED.value, "reason": event.reason,
                    "response_ms": event.response_us / 1000,
                }  # fmt: skip
            case _:
                values = {
                    "rfq_id": event.rfq_id, "lp_id": event.lp_id, "received_at": event.at,
                    "price": plain(event.price), "size": plain(event.size),
                    "status": DISCARDED, "reason": f"{event.code}: {event.reason}",
                }  # fmt: skip
        return Upsert("quotes", {"tenant": tenant, "quote_id": event.quote_id}, values)


def quote_columns(rfq_id: str, quote: Quote) -> dict[str, Any]:
    """A dealer's quote as columns."""
    return {
        "rfq_id": rfq_id,
        "lp_id": quote.lp_id,
        "price": plain(quote.price),
        "size": plain(quote.size),
        "received_at": quote.received_at,
        "expires_at": quote.expires_at,
        "response_ms": quote.response_us / 1000,
        "spread_to_mid": None if quote.spread_to_mid is None else plain(quote.spread_to_mid),
    }
