"""One line for people per event. Says what the payload says; an event it does not know is named and
left at that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Payload = Mapping[str, Any]


def _terms(p: Payload) -> str:
    t = p.get("terms") or {}
    return " ".join(str(t.get(n, "")) for n in ("side", "size", "currency", "instrumentId")).strip()


def _names(p: Payload) -> str:
    return ", ".join(str(d.get("lpId", "")) for d in p.get("dealers") or () if isinstance(d, dict))


def _quote(p: Payload) -> str:
    q = p.get("quote") or {}
    return f"{q.get('lpId', '')} at {q.get('price', '')} for {q.get('size', '')}"


def _because(p: Payload) -> str:
    return f"{p.get('code', '')} {p.get('reason', '')}".strip()


def _trade(p: Payload) -> str:
    t = p.get("trade") or {}
    what = " ".join(str(t.get(n, "")) for n in ("side", "quantity", "instrumentId"))
    return f"{t.get('displayId', '')}: {what} at {t.get('price', '')} with {t.get('lpId', '')}"


_SENTENCES: dict[str, Callable[[Payload], str]] = {
    "RFQCreated": lambda p: f"Asked: {_terms(p)}",
    "RFQDenied": lambda p: f"Denied: {_because(p)}",
    "RFQSent": lambda p: f"Sent to {_names(p)}",
    "RFQQuoting": lambda p: f"First quote from {p.get('lpId', '')}",
    "QuoteReceived": lambda p: f"Quote from {_quote(p)}",
    "QuoteDeclined": lambda p: f"{p.get('lpId', '')} passed: {p.get('reason', '')}",
    "QuoteWithdrawn": lambda p: f"{p.get('lpId', '')} took its quote back",
    "QuoteDiscarded": lambda p: f"Quote of {p.get('lpId', '')} not used: {_because(p)}",
    "QuoteAccepted": lambda p: (
        f"Dealt on {_quote(p)}" + ("" if p.get("final") else ", last look open")
    ),
    "LastLookPassed": lambda p: f"{_quote(p)}: the dealer stands by its quote",
    "QuoteAcceptanceRejected": lambda p: (
        f"{p.get('lpId', '')} rejected at last look: {_because(p)}"
    ),
    "RFQRejected": lambda p: f"Rejected: {_because(p)}",
    "RFQExpired": lambda p: f"Expired with {p.get('quotes', 0)} quotes",
    "RFQCancelled": lambda p: f"Cancelled by {p.get('by', '')}",
    "RFQTraded": lambda p: (
        f"Traded with {p.get('lpId', '')} at {p.get('price', '')}: {p.get('tradeDisplayId', '')}"
    ),
    "TradeExecuted": lambda p: f"Trade {_trade(p)}",
    "UserLoggedIn": lambda p: f"{p.get('user', '')} signed in",
    "UserLoggedOut": lambda p: f"{p.get('user', '')} signed out: {p.get('reason', '')}",
    "LoginFailed": lambda p: f"Sign-in of {p.get('user', '')} failed: {p.get('reason', '')}",
    "UserDisabled": lambda p: f"{p.get('user', '')} disabled by {p.get('by', '')}",
}


def summary(event_type: str, payload: Payload) -> str:
    """The line. Never raises for a payload of another shape."""
    sentence = _SENTENCES.get(event_type)
    if sentence is None:
        return event_type
    try:
        return sentence(payload)[:300]
    except (AttributeError, TypeError):
        return event_type
