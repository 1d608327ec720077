"""What is revoked, on a board in the cache: for a process that cannot hear it from identity.

Identity writes: each copy, what it finds in its table. Everyone else reads, and only while the
stream from identity is not there. The board can take away and never give: what it says is revoked
is; that somebody is let in again only identity itself can say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from orion.platform import telemetry
from orion.platform.cache.port import Cache
from orion.platform.errors import Unavailable
from orion.platform.revocations import Revoked

T = TypeVar("T")
SPACE = "identity.revoked"
HEAD = "head"
MAX_ITEMS = 20_000  # of the board; the newest stay
_ITEMS = telemetry.gauge("revocation_board_items", "Revocations on the board in the cache")


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """`as_of`: everything that was revoked until then is on the board."""

    as_of: int
    newest: int
    count: int


class BoardWriter:
    """Identity's side. Each call may raise Unavailable; then the next one writes everything."""

    def __init__(self, cache: Cache):
        self._cache = cache
        self._written: set[str] | None = None  # None: the board is not known
        self._newest = 0

    @property
    def is_whole(self) -> bool:
        """False when everything has to be written (again)."""
        return self._written is not None

    async def write(self, items: Mapping[int, Revoked], as_of: int) -> None:
        """All that is in force; what is on the board besides goes."""
        newest = sorted(items)[-MAX_ITEMS:]
        wanted = {str(number): msgspec.msgpack.encode(items[number]) for number in newest}
        before, self._written = self._written, None
        if before is None:
            before = {key for key in await self._cache.all(SPACE) if key != HEAD}
        await self._cache.put(SPACE, wanted)
        self._newest = newest[-1] if newest else 0
        # What another copy has just written is newer than what was read here.
        gone = [key for key in before - wanted.keys() if int(key) <= self._newest]
        await self._cache.remove(SPACE, gone)
        await self._head(set(wanted), as_of)

    async def add(self, items: Mapping[int, Revoked], as_of: int) -> None:
        """New ones; none: only that it is so until now."""
        written, self._written = self._written, None
        if written is None:
            raise Unavailable("The board is not whole")
        values = {str(number): msgspec.msgpack.encode(item) for number, item in items.items()}
        await self._cache.put(SPACE, values)
        self._newest = max((self._newest, *items))
        await self._head(written | values.keys(), as_of)

    async def _head(self, written: set[str], as_of: int) -> None:
        head = _Head(as_of, self._newest, len(written))
        await self._cache.put(SPACE, {HEAD: msgspec.msgpack.encode(head)})
        self._written = written
        _ITEMS.set(len(written))


class BoardReader:
    """Everyone else's side."""

    def __init__(self, cache: Cache):
        self._cache = cache
        self._seen: tuple[int, int] | None = None

    async def read(self) -> tuple[int, Sequence[Revoked]] | None:
        """(as of when, what is new since the last call); None where nothing is to be had."""
        try:
            head = _decoded((await self._cache.get(SPACE, [HEAD])).get(HEAD), _Head)
            if head is None:
                return None
            if self._seen == (head.newest, head.count):
                return head.as_of, []
            everything = await self._cache.all(SPACE)
        except Unavailable:
            return None
        found = [_decoded(value, Revoked) for key, value in everything.items() if key != HEAD]
        if len(found) < head.count:
            return None  # lost in part
        self._seen = (head.newest, head.count)
        return head.as_of, [replace(item, is_lifted=False) for item in found if item is not None]


def _decoded(value: bytes | None, kind: type[T]) -> T | None:
    if value is None:
        return None
    try:
        return msgspec.msgpack.decode(value, type=kind)
    except (msgspec.MsgspecError, ValueError):
        return None
