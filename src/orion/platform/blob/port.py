"""Blobs: named, whole, unchanging pieces of bytes (archives, exports, recorded data sets).

Adapters: local.py (files below one folder), s3.py (any S3 endpoint).

Names look like paths: segments of letters, digits and `. _ = + -`, joined by `/`. A name is never
also a folder of another one. Lists have one order, in which the names in one folder stand by their
bytes; where folders stand among their siblings is the server's affair.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from orion.platform.errors import Coded, Unavailable

MAX_NAME_CHARS = 512
MAX_SEGMENT_CHARS = 200
MAX_BYTES = 256 * 1024 * 1024
PAGE = 1_000
_SEGMENT = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*")


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of a blob without reading it."""

    name: str
    size: int


class BlobMissing(Coded):
    """There is no blob of this name."""

    def __init__(self, name: str):
        super().__init__("API-104", f"There is no {name}")


class BlobExists(Coded):
    """There is one of this name already, and `create` was asked for. Nothing was changed."""

    def __init__(self, name: str):
        super().__init__("API-111", f"{name} is there already")


class BlobChanged(Unavailable):
    """The bytes are not those that the caller's checksum speaks of."""


class Blob(Protocol):
    """A store of blobs. All calls may block on a disk or a network for a bounded time and may raise
    Unavailable; one that has raised it may have taken effect. Names and sizes beyond the bounds
    raise API-100 and API-105.
    """

    async def put(
        self, name: str, body: bytes, *, create: bool = False, sha256: str | None = None
    ) -> str:
        """Stores the bytes, whole or not at all, durably; gives their SHA-256 (hex). `create`:
        only where there is none (BlobExists, which may mean this very call, when an answer was lost
        on the way and the request repeated). `sha256`: what the caller believes (BlobChanged).
        Without `create` idempotent.
        """
        ...

    async def get(self, name: str, *, sha256: str | None = None) -> bytes:
        """All of it. Raises BlobMissing, and BlobChanged when it is not what `sha256` says."""
        ...

    async def read(self, name: str, start: int, length: int) -> bytes:
        """A part of it; shorter at the end, empty beyond. Raises BlobMissing."""
        ...

    async def head(self, name: str) -> Meta | None:
        """None when there is no such blob."""
        ...

    async def page(self, folder: str, *, after: str = "", limit: int = PAGE) -> list[Meta]:
        """At most `limit` blobs below a folder (all segments of its name, "" for everything), in
        order, from the first one beyond `after`: a name, there or not, of which the folder is one.
        Fewer than `limit`: there are no more.
        """
        ...

    async def delete(self, name: str) -> None:
        """Idempotent."""
        ...


async def everything(blob: Blob, folder: str, *, after: str = "") -> AsyncIterator[Meta]:
    """All blobs below a folder, page by page."""
    while True:
        found = await blob.page(folder, after=after)
        for meta in found:
            yield meta
        if len(found) < PAGE:
            return
        after = found[-1].name


def checked(name: str) -> str:
    """The name. Raises API-100 when it is not one."""
    is_one = 0 < len(name) <= MAX_NAME_CHARS and all(
        len(part) <= MAX_SEGMENT_CHARS and _SEGMENT.fullmatch(part) for part in name.split("/")
    )
    if not is_one:
        raise Coded("API-100", f"{name[:80]!r} is not a name of a blob")
    return name


def checked_folder(folder: str) -> str:
    """The folder, without a slash at its end. Raises API-100."""
    return checked(folder.removesuffix("/")) if folder else ""


def checked_body(name: str, body: bytes, sha256: str | None) -> str:
    """The checksum of what is to be stored. Raises API-105, BlobChanged."""
    if len(body) > MAX_BYTES:
        raise Coded("API-105", f"A blob holds at most {MAX_BYTES} bytes")
    return same(name, body, sha256)


def same(name: str, body: bytes, sha256: str | None) -> str:
    """The checksum of the bytes. Raises BlobChanged when another one was expected."""
    found = hashlib.sha256(body).hexdigest()
    if sha256 is not None and found != sha256:
        raise BlobChanged(f"{name} has other bytes than were expected")
    return found
