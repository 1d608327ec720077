"""What the store knows, kept in the cache for a while: for reads that many make and few change.

Reading: `get`; what it does not know comes from the store and is handed to `fill`. Changing: inside
`change`, so that nobody is told the old value afterwards:

    async with lists.change(key), database.write(…) as sql: …

A change leaves a mark that keeps fills out until readers that may have seen the old rows have long
given up (a read of the store is bounded by far less). Where the mark could not be left, because the
cache was lost, an old value lives until its end: `seconds` is how long that may be.

Only a cache that all processes share can do this. With one that they do not, everything comes from
the store, as it does while the cache is lost.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from orion.platform import telemetry
from orion.platform.cache.port import MAX_VALUE_BYTES, Cache
from orion.platform.errors import Unavailable

MARK = b""
MARK_S = 10.0
_ANSWERS = telemetry.counter(
    "cache_aside_total", "Reads by where the answer came from", ("space", "origin")
)


class Aside:
    """One kind of values (`space`), each kept for at most `seconds`. Values are never empty."""

    def __init__(self, cache: Cache, space: str, seconds: float):
        self._cache, self._space, self._seconds = cache, space, seconds
        self._known = _ANSWERS.labels(space, "cache")
        self._unknown = _ANSWERS.labels(space, "store")
        self._lost = _ANSWERS.labels(space, "store, cache lost")

    async def get(self, key: str) -> bytes | None:
        """The value, or None: ask the store. Never raises Unavailable."""
        if not self._cache.is_shared:
            return None
        name = _name(key)
        try:
            found = (await self._cache.noted(self._space, [name])).get(name, MARK)
        except Unavailable:
            self._lost.inc()
            return None
        (self._unknown if found == MARK else self._known).inc()
        return found or None

    async def fill(self, key: str, value: bytes) -> None:
        """Keeps what the store has just said, unless it is being changed. Never raises
        Unavailable.
        """
        if self._cache.is_shared and 0 < len(value) <= MAX_VALUE_BYTES:
            with suppress(Unavailable):
                await self._cache.note(
                    self._space, {_name(key): value}, self._seconds, is_first=True
                )

    @asynccontextmanager
    async def change(self, key: str) -> AsyncIterator[None]:
        """Around a transaction that changes the value. Never raises Unavailable itself."""
        await self._mark(key)
        try:
            yield
        finally:
            # Once more: a long transaction may have outlasted the first mark.
            await self._mark(key)

    async def _mark(self, key: str) -> None:
        if self._cache.is_shared:
            with suppress(Unavailable):
                await self._cache.note(self._space, {_name(key): MARK}, MARK_S)


def _name(key: str) -> str:
    """Short whatever the key is, and no user's name in the cache."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
