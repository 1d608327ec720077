"""One line for people per event, to be read behind the event's name. Says what the payload says; an
event it does not know is named and left at that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Payload = Mapping[str, Any]


def _number(value: object) -> str:
    """A decimal text with its thousands apart; anything else as it is."""
    text = str(value or "")
    whole, point, rest = text.partition(".")
    return f"{int(whole):,}{point}{rest}" if whole.isdigit() and len(whole) < 20 else text


def _terms(p: Payload) -> str:
    t = p.get("terms") or {}
    return f"{t.get('side', '')} {_number(t.get('size'))} {t.get('instrumentId', '')}".strip()


def _names(p: Payload) -> str:
    return ", ".join(str(d.get("lpId", "")) for d in p.get("dealers") or () if isinstance(d, dict))


def _quote(p: Payload) -> str:
    q = p.get("quote") or {}
    return f"{q.get('lpId', '')} {q.get('price', '')} for {_number(q.get('size'))}"


def _words(reason: object) -> str:
    """A reason's code as words: NO_INTEREST is "no interest"."""
    return str(reason or "").replace("_", " ").lower()


def _counted(count: object, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _because(p: Payload) -> str:
    return f"{p.get('code', '')} {p.get('reason', '')}".strip()


def _trade(p: Payload) -> str:
    t = p.get("trade") or {}
    return f"{t.get('displayId', '')} at {t.get('price', '')} with {t.get('lpId', '')}"


_SENTENCES: dict[str, Callable[[Payload], str]] = {
    "RFQCreated": lambda p: f"{_terms(p)}, by {(p.get('terms') or {}).get('requester', '')}",
    "RFQDenied": lambda p: _because(p),
    "RFQSent": lambda p: _names(p),
    "RFQQuoting": lambda p: f"first from {p.get('lpId', '')}",
    "QuoteReceived": lambda p: _quote(p),
    "QuoteDeclined": lambda p: f"{p.get('lpId', '')}: {_words(p.get('reason'))}",
    "QuoteWithdrawn": lambda p: f"{p.get('lpId', '')} took its quote back",
    "QuoteDiscarded": lambda p: f"Quote of {p.get('lpId', '')} not used: {_because(p)}",
    "QuoteAccepted": lambda p: _quote(p) + ("" if p.get("final") else ", last look open"),
    "LastLookPassed": lambda p: f"{_quote(p)}, the dealer stands by it",
    "QuoteAcceptanceRejected": lambda p: f"{p.get('lpId', '')}: {_because(p)}",
    "RFQRejected": lambda p: _because(p),
    "RFQExpired": lambda p: f"after {_counted(p.get('quotes', 0), 'quote')}",
    "RFQCancelled": lambda p: f"by {p.get('by', '')}",
    "RFQTraded": lambda p: (
        f"{p.get('tradeDisplayId', '')} with {p.get('lpId', '')} at {p.get('price', '')}"
    ),
    "TradeExecuted": lambda p: _trade(p),
    "UserLoggedIn": lambda p: f"{p.get('user', '')} signed in",
    "UserLoggedOut": lambda p: f"{p.get('user', '')} signed out: {p.get('reason', '')}",
    "LoginFailed": lambda p: f"Sign-in of {p.get('user', '')} failed: {p.get('reason', '')}",
    "UserDisabled": lambda p: f"{p.get('user', '')} disabled by {p.get('by', '')}",
    "DeadLetterParked": lambda p: (
        f"{p.get('consumer', '')} set {p.get('eventType', '')} aside: {p.get('reason', '')}"
    ),
    "ReplayStarted": lambda p: (
        f"{p.get('by', '')} replays {p.get('records', 0)} records of {p.get('topic', '')}"
        f" into the sandbox {p.get('sandbox', '')}"
    ),
    "ReplayEnded": lambda p: (
        f"{p.get('by', '')}: {p.get('records', 0)} records of {p.get('topic', '')} in the sandbox"
        f" {p.get('sandbox', '')}: {p.get('outcome', '')}"
    ),
    "DeadLetterReplayed": lambda p: (
        f"{p.get('consumer', '')} took it again for {p.get('by', '')}: {p.get('outcome', '')}"
    ),
}


def summary(event_type: str, payload: Payload) -> str:
    """The line. Never raises for a payload of another shape."""
    sentence = _SENTENCES.get(event_type)
    if sentence is None:
        return event_type
    try:
        return sentence(payload)[:300].strip(" ,:") or event_type
    except (AttributeError, TypeError):
        return event_type
