"""From the services' messages to the public shapes. No decisions here: names, times and units
only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from orion.platform.bus.topics import catalogue
from orion.services.bff_workstation import shapes
from orion.wire.stubs import (
    audit_pb2,
    common_pb2,
    marketdata_pb2,
    notifications_pb2,
    reference_pb2,
    rfq_pb2,
    trade_pb2,
    workspace_pb2,
)

T = TypeVar("T")
SIDES: dict[int, shapes.Side] = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}
SIDE_NUMBERS = {"BUY": common_pb2.BUY, "SELL": common_pb2.SELL}


def time_of(at_us: int) -> str:
    """ISO 8601 UTC with milliseconds (cut, not rounded: a moment never lies in the future)."""
    seconds, micros = divmod(at_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros // 1000:03d}Z"


def micros_of(text: str) -> int:
    """Microseconds since the epoch of an ISO 8601 UTC text ending in Z. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000 + moment.microsecond


def _or_none(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else None


def _or_unset(message: Any, name: str) -> Any:
    return getattr(message, name) if message.HasField(name) else UNSET


def _time_or_none(message: Any, name: str) -> str | None:
    return time_of(getattr(message, name)) if message.HasField(name) else None


def _time_or_unset(message: Any, name: str) -> str | UnsetType:
    return time_of(getattr(message, name)) if message.HasField(name) else UNSET


def _literal(value: str, kind: Any) -> Any:
    # An enum word travels as text; a word this release does not know must not leave as if it were
    # described.
    return msgspec.convert(value, kind)


def instrument(m: reference_pb2.Instrument) -> shapes.Instrument:
    """An instrument of the reference service."""
    d = m.display
    optional = {n: _or_none(m, n) for n in ("isin", "issuer", "coupon", "maturity", "curve")}
    return shapes.Instrument(
        instrument_id=m.instrument_id,
        symbol=m.symbol,
        display_name=m.display_name,
        asset_class=_literal(m.asset_class, shapes.AssetClass),
        group=m.group,
        currency=m.currency,
        quote_currency=m.quote_currency,
        tenor=m.tenor,
        settlement_cycle=f"T+{m.settlement_days}",
        settlement_date=m.settlement_date,
        calendar=m.calendar,
        trading_hours=m.trading_hours,
        tick_size=m.tick_size,
        lot_size=m.lot_size,
        min_size=m.min_size,
        max_size=m.max_size,
        pip=m.pip,
        display=shapes.Display(
            kind=d.kind,  # type: ignore[arg-type]
            decimals=d.decimals,
            pip_from=d.pip_from,
            pip_digits=d.pip_digits,
            fraction_digits=d.fraction_digits,
        ),
        spread_unit=m.spread_unit,  # type: ignore[arg-type]
        size_unit=m.size_unit,
        venue_ids=list(m.venue_ids),
        stale_amber_ms=m.stale_amber_ms,
        stale_red_ms=m.stale_red_ms,
        dealable=m.enabled,
        source=m.source or "SIM",
        version=m.version,
        **optional,
    )


def tick(m: marketdata_pb2.MarketTick) -> shapes.Tick:
    """The newest price of an instrument."""
    return shapes.Tick(
        instrument_id=m.instrument_id,
        bid=_or_none(m, "bid"),
        ask=_or_none(m, "ask"),
        mid=_or_none(m, "mid"),
        timestamp=time_of(m.timestamp_us),
        received_at=time_of(m.received_at_us),
        source=m.source,
        flags=list(m.flags),
        source_timestamp=_time_or_unset(m, "source_timestamp_us"),
        heartbeat_at=_time_or_unset(m, "heartbeat_at_us"),
        day_low=_or_unset(m, "day_low"),
        day_high=_or_unset(m, "day_high"),
        open=_or_unset(m, "open"),
    )


def bar(m: marketdata_pb2.Bar) -> shapes.Bar:
    """One bar of history."""
    return shapes.Bar(
        at=time_of(m.at_us),
        mid=m.mid,
        low=m.low,
        high=m.high,
        spread=m.spread,
        spread_max=m.spread_max,
        ticks=m.ticks,
    )


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def dealer(m: reference_pb2.Dealer, score: rfq_pb2.DealerScore | None) -> shapes.Dealer:
    """A dealer with its scorecard; a dealer nobody asked yet has an empty one."""
    s = score or rfq_pb2.DealerScore()
    card = shapes.Scorecard(
        requests=s.requests,
        quoted=s.quoted,
        won=s.won,
        hit_ratio=_ratio(s.won, s.quoted),
        response_p50_ms=_or_none(s, "response_p50_ms"),
        response_p95_ms=_or_none(s, "response_p95_ms"),
        last_look_reject_ratio=_ratio(s.last_look_rejected, s.last_look_asked),
    )
    return shapes.Dealer(
        lp_id=m.lp_id,
        name=m.name,
        enabled=m.enabled,
        reason=_or_none(m, "reason"),
        instrument_ids=list(m.instrument_ids),
        last_look=m.last_look,
        scorecard=card,
    )


def _rfq_head(m: rfq_pb2.RFQDetails) -> dict[str, Any]:
    look = None
    if m.HasField("last_look"):
        k = m.last_look
        look = shapes.LastLook(quote_id=k.quote_id, lp_id=k.lp_id, deadline=time_of(k.deadline_us))
    return {
        "rfq_id": m.rfq_id,
        "display_id": m.display_id,
        "status": _literal(m.status, shapes.RfqStatus),
        "version": m.version,
        "correlation_id": m.correlation_id,
        "tenant_id": m.tenant_id,
        "requester": m.requester,
        "desk": m.desk,
        "instrument_id": m.instrument_id,
        "side": SIDES[m.side],
        "size": m.size,
        "currency": m.currency,
        "min_size": _or_none(m, "min_size"),
        "partial_allowed": m.partial_allowed,
        "venue_id": m.venue_id,
        "settlement_date": m.settlement_date,
        "expiry_seconds": m.expiry_seconds,
        "created_at": time_of(m.created_at_us),
        "expires_at": time_of(m.expires_at_us),
        "ended_at": _time_or_none(m, "ended_at_us"),
        "server_time": time_of(m.server_time_us),
        "mid_at_request": _or_none(m, "mid_at_request"),
        "best_quote_id": _or_none(m, "best_quote_id"),
        "accepted_quote_id": _or_unset(m, "accepted_quote_id"),
        "trade_id": _or_unset(m, "trade_id"),
        "trade_display_id": _or_unset(m, "trade_display_id"),
        "last_look": look,
        "reason_code": _or_none(m, "reason_code"),
        "reason": _or_none(m, "reason"),
    }


def rfq(m: rfq_pb2.RFQDetails) -> shapes.Rfq:
    """A whole RFQ as its owner knows it."""
    dealers = [
        shapes.RoutedDealer(
            lp_id=d.lp_id,
            name=d.name,
            status=d.status,  # type: ignore[arg-type]
            reason=_or_none(d, "reason"),
            response_ms=_or_none(d, "response_ms"),
        )
        for d in m.dealers
    ]
    quotes = [quote(q) for q in m.quotes]
    checks = [check(c) for c in m.checks]
    return shapes.Rfq(
        **_rfq_head(m), dealers=dealers, quotes=quotes, checks=checks, revision=m.revision
    )


def quote(q: rfq_pb2.Quote) -> shapes.Quote:
    """A dealer's answer."""
    return shapes.Quote(
        quote_id=q.quote_id,
        lp_id=q.lp_id,
        lp_name=q.lp_name,
        price=q.price,
        size=q.size,
        status=q.status,  # type: ignore[arg-type]
        rank=_or_none(q, "rank"),
        received_at=time_of(q.received_at_us),
        response_ms=q.response_ms,
        expires_at=time_of(q.expires_at_us),
        spread_to_mid=_or_none(q, "spread_to_mid"),
        reason=_or_none(q, "reason"),
    )


def check(c: common_pb2.Check) -> shapes.Check:
    """One check before anything was sent."""
    return shapes.Check(
        check=c.check,
        outcome="PASSED" if c.passed else "FAILED",
        actual=c.actual,
        limit=c.limit,
        code=_or_none(c, "code"),
    )


def rfq_row(m: rfq_pb2.RFQRow) -> shapes.RfqRow:
    """A row of the RFQ blotter."""
    return shapes.RfqRow(
        **_rfq_head(m.rfq),
        quote_count=m.quote_count,
        dealer_count=m.dealer_count,
        best_price=_or_none(m, "best_price"),
        price=_or_none(m, "price"),
        lp_id=_or_none(m, "lp_id"),
    )


def trade(m: trade_pb2.TradeDetails) -> shapes.Trade:
    """An agreed deal."""
    return shapes.Trade(
        trade_id=m.trade_id,
        display_id=m.display_id,
        rfq_id=m.rfq_id,
        quote_id=m.quote_id,
        instrument_id=m.instrument_id,
        side=SIDES[m.side],
        quantity=m.quantity,
        price=m.price,
        notional=m.notional,
        currency=m.currency,
        buyer=m.buyer,
        seller=m.seller,
        lp_id=m.lp_id,
        venue_id=m.venue_id,
        traded_at=time_of(m.traded_at_us),
        settlement_date=m.settlement_date,
        tenant_id=m.tenant_id,
        correlation_id=m.correlation_id,
        requester=m.requester,
        desk=m.desk,
        status=m.status,
    )


def listed(shape: Callable[..., T], row: Callable[[Any], Any], found: Any) -> T:
    """A page of any list, as the service found it."""
    return shape(
        items=[row(one) for one in found.items],
        next_cursor=found.next_cursor or None,
        as_of=time_of(found.as_of_us),
    )


def timeline(entries: list[audit_pb2.AuditEntry], environment: str) -> shapes.Timeline:
    """A time line; offsets count from its first event, to the microsecond of the log. Topics under
    their full names, as on the bus of that environment.
    """
    first = entries[0].occurred_at_us if entries else 0
    return shapes.Timeline(items=[_audit_item(e, first, environment) for e in entries])


def _audit_item(e: audit_pb2.AuditEntry, first: int, environment: str) -> shapes.AuditItem:
    topic = catalogue().get(e.topic)
    payload = msgspec.json.decode(e.payload or b"{}")
    return shapes.AuditItem(
        occurred_at=time_of(e.occurred_at_us),
        offset_ms=(e.occurred_at_us - first) / 1000,
        service=e.service,
        event_type=e.event_type,
        event_id=e.event_id,
        entity=shapes.Entity(entity_type=e.entity_type, entity_id=e.entity_id, sequence=e.sequence),
        topic=topic.name(environment) if topic else e.topic,
        partition=e.partition,
        offset=e.offset,
        payload=payload if isinstance(payload, dict) else {"value": payload},
        summary=e.summary,
    )


def notification(m: notifications_pb2.Notification) -> shapes.Notification:
    """Something the user should know."""
    return shapes.Notification(
        notification_id=m.notification_id,
        kind=m.kind,
        severity=m.severity,  # type: ignore[arg-type]
        title=m.title,
        text=m.text,
        at=time_of(m.at_us),
        correlation_id=_or_unset(m, "correlation_id"),
        rfq_id=_or_unset(m, "rfq_id"),
        trade_id=_or_unset(m, "trade_id"),
        read=m.read,
    )


def watchlist(m: workspace_pb2.Watchlist) -> shapes.Watchlist:
    """One of the user's lists."""
    return shapes.Watchlist(
        watchlist_id=m.watchlist_id,
        name=m.name,
        instrument_ids=list(m.instrument_ids),
        pinned=list(m.pinned),
        position=m.position,
        version=m.version,
    )
