"""The sign-in form's ticket: what was asked for, until when, bound to this browser by a cookie.
Nobody else can make one."""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec

from orion.platform.clock import Clock

SECOND = 1_000_000


class _Body(msgspec.Struct):
    query: str
    until: int


class Tickets:
    """Makes and reads tickets. Stateless: the key is the only thing kept."""

    def __init__(self, key: bytes, clock: Clock, life_s: int):
        self._key = hashlib.blake2b(b"sign-in form", key=key[:64]).digest()
        self._clock, self._life = clock, life_s * SECOND

    def make(self, query: str, browser: str) -> str:
        """A ticket for this request (its query string) in the browser that holds this cookie."""
        body = msgspec.json.encode(_Body(query, self._clock.now() + self._life))
        return f"{_text(body)}.{_text(self._seal(body, browser))}"

    def read(self, ticket: str, browser: str) -> str | None:
        """The query string of a good ticket; None when it is forged, another browser's, or too
        old."""
        body, _, seal = ticket.partition(".")
        try:
            raw, given = _bytes(body), _bytes(seal)
        except ValueError:
            return None
        if not browser or not hmac.compare_digest(self._seal(raw, browser), given):
            return None
        content = msgspec.json.decode(raw, type=_Body)
        return content.query if self._clock.now() < content.until else None

    def _seal(self, body: bytes, browser: str) -> bytes:
        return hmac.new(self._key, browser.encode() + b"\0" + body, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text.encode(), b"-_", validate=True)
