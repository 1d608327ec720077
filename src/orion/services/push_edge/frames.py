"""Content as the stream's JSON: each item is encoded once, whoever gets it. Frames are joined from
these bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from orion.platform import telemetry
from orion.wire.stubs import (
    common_pb2,
    marketdata_pb2,
    notifications_pb2,
    rfq_pb2,
    trade_pb2,
)

_ENCODED = telemetry.counter(
    "edge_encodes",
    "Items encoded: grows with content, never with the number of sockets",
    ("channel",),
)
TICKS_ENCODED = _ENCODED.labels("ticks")
_encode = msgspec.json.Encoder().encode
_second = (0, "")


def time_of(at_us: int) -> str:
    """ISO 8601 UTC with milliseconds, cut, not rounded."""
    global _second
    seconds, micros = divmod(at_us, 1_000_000)
    if _second[0] != seconds:
        _second = (seconds, f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}")
    return f"{_second[1]}.{micros // 1000:03d}Z"


def head(kind: str, channel: str | None, seq: int) -> bytes:
    """A message to the client up to its items. What belongs to no channel says null."""
    name = f'"{channel}"' if channel else "null"
    return f'{{"type":"{kind}","channel":{name},"seq":{seq},"items":['.encode()


def frame(kind: str, channel: str | None, seq: int, items: Iterable[bytes]) -> bytes:
    """A whole message to the client."""
    return head(kind, channel, seq) + b",".join(items) + b"]}"


def error_frame(code: str, detail: str, op: str | None = None, channel: str | None = None) -> bytes:
    """A refusal of one message. Errors have no number of their own: `seq` is 0."""
    item = {"code": code, "detail": detail} | ({"op": op} if op else {})
    return frame("error", channel, 0, [_encode(item)])


def pong_frame(number: int | float | str | None, now_us: int) -> bytes:
    """The answer to a ping: tells the server's time."""
    return _encode({"type": "pong", "id": number, "serverTime": time_of(now_us)})


def heartbeat_frame(seq: int, now_us: int, item: dict[str, Any]) -> bytes:
    """How the edge does, the same for all sockets."""
    head = f'{{"type":"heartbeat","channel":null,"seq":{seq},"serverTime":"{time_of(now_us)}",'
    return head.encode() + b'"items":[' + _encode(item) + b"]}"


def tick(m: marketdata_pb2.MarketTick, heartbeat_us: int, is_stale: bool) -> bytes:
    """The newest price of an instrument."""
    TICKS_ENCODED.inc()
    item: dict[str, Any] = {
        "instrumentId": m.instrument_id,
        "bid": m.bid or None,
        "ask": m.ask or None,
        "mid": m.mid or None,
        "timestamp": time_of(m.timestamp_us),
        "receivedAt": time_of(m.received_at_us),
        "source": m.source,
        "flags": [f for f in m.flags if f != "STALE"] + (["STALE"] if is_stale else []),
    }
    if m.source_timestamp_us:
        item["sourceTimestamp"] = time_of(m.source_timestamp_us)
    if heartbeat_us:
        item["heartbeatAt"] = time_of(heartbeat_us)
    if m.day_low:
        item["dayLow"], item["dayHigh"] = m.day_low, m.day_high
    if m.open:
        item["open"] = m.open
    return _encode(item)


def stale(change: marketdata_pb2.StatusChange) -> bytes:
    """A feed of one instrument fell silent or came back."""
    return _encode(
        {
            "instrumentId": change.instrument_id,
            "state": "STALE" if change.stale else "RECOVERED",
            "since": time_of(change.since_us),
            "lastTickAt": time_of(change.last_tick_at_us) if change.last_tick_at_us else None,
        }
    )


def _opt(m: Any, *names: str) -> dict[str, Any]:
    return {_camel(n): getattr(m, n) for n in names if m.HasField(n)}


def _null(m: Any, name: str) -> Any:
    return getattr(m, name) if m.HasField(name) else None


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_SIDES = {common_pb2.BUY: "BUY", common_pb2.SELL: "SELL"}


def rfq(m: rfq_pb2.RFQDetails) -> bytes:
    """A whole RFQ, in the shape of GET /rfqs/{id}."""
    _ENCODED.labels("rfqs").inc()
    look = m.last_look if m.HasField("last_look") else None
    item = {
        "rfqId": m.rfq_id,
        "displayId": m.display_id,
        "status": m.status,
        "version": m.version,
        "correlationId": m.correlation_id,
        "tenantId": m.tenant_id,
        "requester": m.requester,
        "desk": m.desk,
        "instrumentId": m.instrument_id,
        "side": _SIDES.get(m.side),
        "size": m.size,
        "currency": m.currency,
        "minSize": _null(m, "min_size"),
        "partialAllowed": m.partial_allowed,
        "venueId": m.venue_id,
        "settlementDate": m.settlement_date,
        "expirySeconds": m.expiry_seconds,
        "createdAt": time_of(m.created_at_us),
        "expiresAt": time_of(m.expires_at_us),
        "endedAt": time_of(m.ended_at_us) if m.HasField("ended_at_us") else None,
        "serverTime": time_of(m.server_time_us),
        "midAtRequest": _null(m, "mid_at_request"),
        "bestQuoteId": _null(m, "best_quote_id"),
        **_opt(m, "accepted_quote_id", "trade_id", "trade_display_id"),
        "lastLook": None
        if look is None
        else {
            "quoteId": look.quote_id,
            "lpId": look.lp_id,
            "deadline": time_of(look.deadline_us),
        },
        "reasonCode": _null(m, "reason_code"),
        "reason": _null(m, "reason"),
        "dealers": [_dealer(d) for d in m.dealers],
        "quotes": [_quote(q) for q in m.quotes],
        "checks": [_check(c) for c in m.checks],
        "revision": m.revision,
    }
    return _encode(item)


def _dealer(d: rfq_pb2.RoutedDealer) -> dict[str, Any]:
    return {
        "lpId": d.lp_id,
        "name": d.name,
        "status": d.status,
        "reason": _null(d, "reason"),
        "responseMs": _null(d, "response_ms"),
    }


def _quote(q: rfq_pb2.Quote) -> dict[str, Any]:
    return {
        "quoteId": q.quote_id,
        "lpId": q.lp_id,
        "lpName": q.lp_name,
        "price": q.price,
        "size": q.size,
        "status": q.status,
        "rank": _null(q, "rank"),
        "receivedAt": time_of(q.received_at_us),
        "responseMs": q.response_ms,
        "expiresAt": time_of(q.expires_at_us),
        "spreadToMid": _null(q, "spread_to_mid"),
        "reason": _null(q, "reason"),
    }


def _check(c: common_pb2.Check) -> dict[str, Any]:
    return {
        "check": c.check,
        "outcome": "PASSED" if c.passed else "FAILED",
        "actual": c.actual,
        "limit": c.limit,
        "code": _null(c, "code"),
    }


def trade(m: trade_pb2.TradeDetails) -> bytes:
    """An agreed deal, in the shape of GET /trades/{id}."""
    _ENCODED.labels("trades").inc()
    return _encode(
        {
            "tradeId": m.trade_id,
            "displayId": m.display_id,
            "rfqId": m.rfq_id,
            "quoteId": m.quote_id,
            "instrumentId": m.instrument_id,
            "side": _SIDES.get(m.side),
            "quantity": m.quantity,
            "price": m.price,
            "notional": m.notional,
            "currency": m.currency,
            "buyer": m.buyer,
            "seller": m.seller,
            "lpId": m.lp_id,
            "venueId": m.venue_id,
            "tradedAt": time_of(m.traded_at_us),
            "settlementDate": m.settlement_date,
            "tenantId": m.tenant_id,
            "correlationId": m.correlation_id,
            "requester": m.requester,
            "desk": m.desk,
            "status": m.status,
        }
    )


def notification(m: notifications_pb2.Notification) -> bytes:
    """Something a user should know."""
    _ENCODED.labels("notifications").inc()
    return _encode(
        {
            "notificationId": m.notification_id,
            "kind": m.kind,
            "severity": m.severity,
            "title": m.title,
            "text": m.text,
            "at": time_of(m.at_us),
            **_opt(m, "correlation_id", "rfq_id", "trade_id"),
            "read": m.read,
        }
    )


def batches(items: Sequence[bytes], most: int) -> Iterable[Sequence[bytes]]:
    """Items in pieces of at most `most`."""
    return (items[i : i + most] for i in range(0, len(items), most))
