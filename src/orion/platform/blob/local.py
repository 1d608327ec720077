"""Blobs as files below one folder: for the embedded profile and for tests.

A file appears under its name whole and durable, or not at all: it is written as a draft beside the
tree, synced, and then moved (or, to create only, linked) to its place, whose folder is synced too.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from orion.platform.blob.port import (
    PAGE,
    BlobExists,
    BlobMissing,
    Meta,
    checked,
    checked_body,
    checked_folder,
    same,
)
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.errors import Unavailable

T = TypeVar("T")
DRAFTS = ".drafts"  # no name of a blob begins with a dot
DRAFT_LIVES_S = 3_600
PRIVATE = 0o700


class LocalBlob:
    """See the port. A page costs a walk over the folder: fine for thousands of files."""

    def __init__(self, root: Path):
        self._root = root.absolute()
        self._drafts = self._root / DRAFTS
        self._numbers = itertools.count()
        self._is_swept = False

    @classmethod
    def of(cls, config: PlatformConfig) -> LocalBlob:
        """The folder that is configured: file:///…, or `blobs` in the data folder. Raises
        ConfigError.
        """
        where = urlsplit(config.blob_url)
        if not config.blob_url:
            return cls(config.data_dir / "blobs")
        if where.scheme != "file" or where.netloc or not where.path.strip("/"):
            raise ConfigError(
                "ORION_BLOB_URL", f"{config.blob_url!r} is no folder", "Such as file:///srv/orion"
            )
        return cls(Path(unquote(where.path)))

    async def put(
        self, name: str, body: bytes, *, create: bool = False, sha256: str | None = None
    ) -> str:
        """See the port."""
        place = self._place(name)
        digest = await asyncio.to_thread(checked_body, name, body, sha256)
        await self._do(lambda: self._write(name, place, body, create=create))
        return digest

    async def get(self, name: str, *, sha256: str | None = None) -> bytes:
        """See the port."""
        place = self._place(name)

        def read() -> bytes:
            with self._opened(name, place) as file:
                body = file.read()
            same(name, body, sha256)
            return body

        return await self._do(read)

    async def read(self, name: str, start: int, length: int) -> bytes:
        """See the port."""
        place = self._place(name)

        def read() -> bytes:
            with self._opened(name, place) as file:
                file.seek(start)
                return file.read(length)

        return await self._do(read)

    async def head(self, name: str) -> Meta | None:
        """See the port."""
        place = self._place(name)

        def look() -> Meta | None:
            with suppress(FileNotFoundError, NotADirectoryError):
                if self._inside(place).is_file():
                    return Meta(name, place.stat().st_size)
            return None

        return await self._do(look)

    async def page(self, folder: str, *, after: str = "", limit: int = PAGE) -> list[Meta]:
        """See the port."""
        name = checked_folder(folder)
        top = self._root / name if name else self._root

        def walk() -> list[Meta]:
            found = self._files(self._inside(top), f"{name}/" if name else "", after)
            return list(itertools.islice(found, limit))

        return await self._do(walk)

    async def delete(self, name: str) -> None:
        """See the port."""
        place = self._place(name)

        def remove() -> None:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                self._inside(place).unlink()
                _sync(place.parent)

        await self._do(remove)

    # ---- in a thread

    async def _do(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise Unavailable(f"The blobs' folder cannot be used ({error})") from error

    def _place(self, name: str) -> Path:
        return self._root / checked(name)

    def _inside(self, place: Path) -> Path:
        """The place, unless links lead out of the folder."""
        if not place.resolve().is_relative_to(self._root.resolve()):
            raise Unavailable(f"{place.name} leads out of the blobs' folder")
        return place

    def _opened(self, name: str, place: Path) -> BinaryIO:
        try:
            return self._inside(place).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise BlobMissing(name) from None

    def _write(self, name: str, place: Path, body: bytes, *, create: bool) -> None:
        self._make(place.parent)
        self._make(self._drafts)
        self._sweep()
        draft = self._drafts / f"{os.getpid()}-{id(self):x}-{next(self._numbers)}"
        try:
            with draft.open("xb") as out:
                out.write(body)
                out.flush()
                os.fsync(out.fileno())
            if create:
                os.link(draft, place)
            else:
                draft.replace(place)
        except FileExistsError:
            raise BlobExists(name) from None
        finally:
            draft.unlink(missing_ok=True)
        _sync(place.parent)

    def _sweep(self) -> None:
        """Once: takes away what writers that died have left."""
        if self._is_swept:
            return
        self._is_swept = True
        for draft in self._drafts.iterdir():
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - DRAFT_LIVES_S:
                    draft.unlink()

    def _make(self, folder: Path) -> None:
        """The folder, with its parents, so that they outlast a loss of power."""
        if folder.is_dir():
            self._inside(folder)
            return
        if folder != self._root:
            self._make(folder.parent)
        folder.mkdir(mode=PRIVATE, parents=folder == self._root, exist_ok=True)
        _sync(folder.parent)

    def _files(self, folder: Path, prefix: str, after: str) -> Iterator[Meta]:
        """In the order of the whole names: a folder stands where its name with the slash does."""
        try:
            with os.scandir(folder) as found:
                rows = sorted(
                    (f"{e.name}/" if e.is_dir(follow_symlinks=False) else e.name, e)
                    for e in found
                    if not e.name.startswith(".")
                )
        except (FileNotFoundError, NotADirectoryError):
            return
        for shown, entry in rows:
            whole = prefix + shown
            if shown.endswith("/"):
                if whole > after or after.startswith(whole):
                    yield from self._files(folder / entry.name, whole, after)
            elif whole > after and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    yield Meta(whole, entry.stat().st_size)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
