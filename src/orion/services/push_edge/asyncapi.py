"""The stream's contract as AsyncAPI 3.0. `python -m orion.services.push_edge.asyncapi` writes
contracts/asyncapi.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[4] / "contracts" / "asyncapi.json"
PATH = "/api/v1/stream"

_TEXT = {"type": "string"}
_PING_ID = {"type": ["number", "string", "null"]}
_TIME = {"type": "string", "format": "date-time"}
_DECIMAL = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _schemas() -> dict[str, Any]:
    return {
        **_from_client(),
        **_items(),
        **_from_server(),
        **{f"{name}Frame": _frame(kinds, channel, name) for name, channel, kinds in _FRAMES},
    }


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "additionalProperties": False}


def _from_client() -> dict[str, Any]:
    one = {"type": "string", "maxLength": 64}
    ids = {"type": "array", "minItems": 1, "maxItems": 200, "items": one}
    channel = {"type": "string", "enum": ["rfqs", "trades", "notifications"]}
    op = {"type": "string", "enum": ["subscribe", "unsubscribe"]}
    return {
        "TickSubscription": _closed(
            _object({"op": op, "channel": {"const": "ticks"}, "instrumentIds": ids})
        ),
        "Subscription": _closed(_object({"op": op, "channel": channel})),
        "Ping": _closed(_object({"op": {"const": "ping"}}, {"id": _PING_ID})),
    }


def _items() -> dict[str, Any]:
    return {**_market_items(), **_trading_items()}


def _market_items() -> dict[str, Any]:
    return {
        "Tick": _object(
            {
                "instrumentId": _TEXT,
                "bid": _or_null(_DECIMAL),
                "ask": _or_null(_DECIMAL),
                "mid": _or_null(_DECIMAL),
                "timestamp": _TIME,
                "receivedAt": _TIME,
                "source": _TEXT,
                "flags": {"type": "array", "items": _TEXT},
            },
            {
                "sourceTimestamp": _TIME,
                "heartbeatAt": _TIME,
                "dayLow": _DECIMAL,
                "dayHigh": _DECIMAL,
                "open": _DECIMAL,
            },
        ),
        "StaleChange": _object(
            {
                "instrumentId": _TEXT,
                "state": {"enum": ["STALE", "RECOVERED"]},
                "since": _TIME,
                "lastTickAt": _or_null(_TIME),
            }
        ),
    }


def _trading_items() -> dict[str, Any]:
    number = {"type": "integer"}
    return {
        "Rfq": {
            **_object(
                {
                    "rfqId": _TEXT,
                    "displayId": _TEXT,
                    "status": _TEXT,
                    "version": number,
                    "quotes": {"type": "array"},
                    "dealers": {"type": "array"},
                    "revision": number,
                }
            ),
            "description": "The answer of GET /api/v1/rfqs/{rfqId}",
        },
        "Trade": {
            **_object({"tradeId": _TEXT, "rfqId": _TEXT, "quoteId": _TEXT, "instrumentId": _TEXT}),
            "description": "The answer of GET /api/v1/trades/{tradeId}",
        },
        "Notification": _object(
            {
                "notificationId": _TEXT,
                "kind": _TEXT,
                "title": _TEXT,
                "text": _TEXT,
                "severity": {"enum": ["INFO", "WARN", "BAD"]},
                "at": _TIME,
                "read": {"type": "boolean"},
            },
            {"correlationId": _TEXT, "rfqId": _TEXT, "tradeId": _TEXT},
        ),
    }


def _from_server() -> dict[str, Any]:
    health = _object(
        {
            "sessions": {"type": "integer"},
            "ticksInPerSecond": {"type": "number"},
            "flushHz": {"type": "number"},
            "degraded": {"type": "array", "items": _TEXT},
        }
    )
    refusal = _object({"code": _TEXT, "detail": _TEXT}, {"op": _TEXT})
    return {
        "Pong": _object({"type": {"const": "pong"}, "id": _PING_ID, "serverTime": _TIME}),
        "Heartbeat": _object(
            {
                "type": {"const": "heartbeat"},
                "channel": {"type": "null"},
                "seq": {"type": "integer"},
                "serverTime": _TIME,
                "items": {"type": "array", "items": health},
            }
        ),
        "Error": _object(
            {
                "type": {"const": "error"},
                "channel": {"type": ["string", "null"]},
                "seq": {"type": "integer"},
                "items": {"type": "array", "items": refusal},
            }
        ),
    }


_FRAMES = (
    ("Tick", "ticks", ("snapshot", "update")),
    ("StaleChange", "ticks", ("stale",)),
    ("Rfq", "rfqs", ("snapshot", "update")),
    ("Trade", "trades", ("snapshot", "update")),
    ("Notification", "notifications", ("snapshot", "update")),
)


def _frame(kinds: tuple[str, ...], channel: str, item: str) -> dict[str, Any]:
    return _object(
        {
            "type": {"enum": list(kinds)},
            "channel": {"const": channel},
            "seq": {"type": "integer", "minimum": 0},
            "items": {"type": "array", "items": {"$ref": f"#/components/schemas/{item}"}},
        }
    )


_FROM_CLIENT = ("TickSubscription", "Subscription", "Ping")
_FROM_SERVER = (
    "TickFrame",
    "StaleChangeFrame",
    "RfqFrame",
    "TradeFrame",
    "NotificationFrame",
    "Heartbeat",
    "Error",
    "Pong",
)

DESCRIPTION = (
    "One WebSocket carries everything. A subscription is answered with a snapshot, then updates "
    "follow. Prices are conflated to at most ten updates a second; their `seq` is the edge's "
    "flush number, the same for all clients. RFQs, trades and notifications are complete; their "
    "`seq` has no gap within a connection and channel, and after a gap unsubscribing and "
    "subscribing gives a new snapshot. Sign in with the session cookie from an allowed page, or "
    "with a bearer token in the handshake. Close codes: 1009 message too large, 1012 restarting, "
    "4400 bad message, 4401 not signed in or session ended, 4403 forbidden, 4408 reads too "
    "slowly, 4409 replaced by a newer connection. The reason begins with an error code."
)


def document() -> dict[str, Any]:
    """The whole document."""
    names = (*_FROM_CLIENT, *_FROM_SERVER)
    refs = lambda group: [{"$ref": f"#/channels/stream/messages/{n}"} for n in group]  # noqa: E731
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Orion stream", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": "application/json",
        "channels": {
            "stream": {
                "address": PATH,
                "messages": {n: {"$ref": f"#/components/messages/{n}"} for n in names},
            }
        },
        "operations": {
            "ask": {
                "action": "receive",
                "channel": {"$ref": "#/channels/stream"},
                "messages": refs(_FROM_CLIENT),
            },
            "tell": {
                "action": "send",
                "channel": {"$ref": "#/channels/stream"},
                "messages": refs(_FROM_SERVER),
            },
        },
        "components": {
            "messages": {
                n: {"name": n, "payload": {"$ref": f"#/components/schemas/{n}"}} for n in names
            },
            "schemas": _schemas(),
        },
    }


def main() -> None:
    """Writes the file."""
    FILE.write_text(json.dumps(document(), indent=2) + "\n")


if __name__ == "__main__":
    main()
