"""Cursors of lists: where the next page begins. Opaque to callers, sealed against change, good only
for the list that gave them out."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence

from orion.platform.config import Settings
from orion.platform.errors import Coded
from orion.platform.secret_files import SecretFiles

SEAL_BYTES = 12
MAX_LENGTH = 512


def cursor_key(settings: Settings) -> bytes:
    """The key all copies of a platform share, so that a cursor outlives the process that gave it
    out."""
    return SecretFiles(settings.secrets_dir, may_create=settings.is_embedded).read("cursor.key")


class Cursors:
    """Seals and opens cursors with one key. `scope` names the list and whose it is: another list's
    cursor does not open."""

    def __init__(self, key: bytes):
        self._key = hashlib.blake2b(key, digest_size=32, person=b"orion-cursor").digest()

    def seal(self, scope: Sequence[str], position: Sequence[str | int]) -> str:
        """The cursor of a position (the sort key of the last row that was given)."""
        body = json.dumps(list(position), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._seal(scope, body) + body).decode().rstrip("=")

    def open(self, scope: Sequence[str], cursor: str, kinds: Sequence[type]) -> list[str | int]:
        """The position. Raises Coded API-110 for anything that `seal` did not give out for this
        scope."""
        if len(cursor) > MAX_LENGTH:
            raise Coded("API-110")
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except ValueError:
            raise Coded("API-110") from None
        seal, body = raw[:SEAL_BYTES], raw[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(scope, body)):
            raise Coded("API-110")
        position = json.loads(body)
        if [type(value) for value in position] != list(kinds):
            raise Coded("API-110")
        return position

    def _seal(self, scope: Sequence[str], body: bytes) -> bytes:
        text = json.dumps(list(scope)).encode() + b"\x00" + body
        return hmac.digest(self._key, text, "sha256")[:SEAL_BYTES]
