"""Blobs in a bucket of any S3 endpoint (AWS, SeaweedFS, MinIO …).

Creating is a conditional write (`If-None-Match: *`): of two writers one wins, on the server. Every
write carries a SHA-256 that the server checks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import obstore  # pyright: ignore[reportMissingImports]
from obstore.exceptions import (  # pyright: ignore[reportMissingImports]
    AlreadyExistsError,
    BaseError,
    PreconditionError,
)
from obstore.store import S3Store  # pyright: ignore[reportMissingImports]

from orion.platform import telemetry
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
CONNECT_S = 2.0
RETRIES = 2
_FAILED = telemetry.counter("blob_failed_total", "Requests to S3 without an answer", ("call",))
_SECONDS = telemetry.histogram("blob_seconds", "Requests to S3", ("call",))


class S3Blob:
    """`async with S3Blob.open(settings.platform) as blob`. See the port."""

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        endpoint: str = "",
        region: str = "us-east-1",
        credentials: tuple[str, str] | None = None,
        ca: str = "",
        timeout_s: float = 10.0,
    ):
        key, secret = credentials or ("", "")
        config = {
            "region": region,
            "checksum_algorithm": "SHA256",
            "conditional_put": "etag",
            **({"endpoint": endpoint} if endpoint else {}),
            **({"access_key_id": key, "secret_access_key": secret} if credentials else {}),
        }
        options = {
            "connect_timeout": timedelta(seconds=min(CONNECT_S, timeout_s)),
            "timeout": timedelta(seconds=timeout_s),
            "allow_http": endpoint.startswith("http://"),
            **({"root_certificate": ca} if ca else {}),
        }
        retries = {
            "max_retries": RETRIES,
            "retry_timeout": timedelta(seconds=timeout_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=50),
                "max_backoff": timedelta(seconds=1),
                "base": 2,
            },
        }
        self._prefix = prefix
        self._timeout_s = timeout_s
        self._store: Any = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,  # pyright: ignore
            client_options=options,  # pyright: ignore
            retry_config=retries,  # pyright: ignore
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, config: PlatformConfig) -> AsyncIterator[S3Blob]:
        """Blobs as they are configured. Asks nothing of the server yet. Raises ConfigError."""
        where = urlsplit(config.blob_url)
        if where.scheme != "s3" or not where.hostname:
            raise ConfigError(
                "ORION_BLOB_URL",
                f"{config.blob_url!r} names no bucket",
                "Such as s3://bucket/orion",
            )
        yield cls(
            where.netloc,
            prefix=checked_folder(where.path.strip("/")),
            endpoint=config.blob_endpoint,
            region=config.blob_region,
            credentials=_credentials(config.blob_credentials_file),
            ca=_text("ORION_BLOB_CA_FILE", config.blob_ca_file),
            timeout_s=config.blob_timeout_ms / 1000,
        )

    async def put(
        self, name: str, body: bytes, *, create: bool = False, sha256: str | None = None
    ) -> str:
        """See the port."""
        checked(name)
        digest = await asyncio.to_thread(checked_body, name, body, sha256)
        mode: Any = "create" if create else "overwrite"

        async def write() -> None:
            try:
                await obstore.put_async(self._store, name, body, mode=mode, use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                raise BlobExists(name) from None

        await self._do("put", write)
        return digest

    async def get(self, name: str, *, sha256: str | None = None) -> bytes:
        """See the port."""
        checked(name)

        async def read() -> bytes:
            try:
                answer = await obstore.get_async(self._store, name)
                return bytes(await answer.bytes_async())
            except FileNotFoundError:
                raise BlobMissing(name) from None

        body = await self._do("get", read)
        if sha256 is not None:
            await asyncio.to_thread(same, name, body, sha256)
        return body

    async def read(self, name: str, start: int, length: int) -> bytes:
        """See the port. The server refuses what begins beyond the end, hence the look."""
        meta = await self.head(name)
        if meta is None:
            raise BlobMissing(name)
        end = min(start + length, meta.size)
        if start >= end:
            return b""

        async def read() -> bytes:
            try:
                found = await obstore.get_range_async(self._store, name, start=start, end=end)
                return bytes(found)
            except FileNotFoundError:
                raise BlobMissing(name) from None

        return await self._do("read", read)

    async def head(self, name: str) -> Meta | None:
        """See the port."""
        checked(name)

        async def look() -> Meta | None:
            try:
                return Meta(name, (await obstore.head_async(self._store, name))["size"])
            except FileNotFoundError:
                return None

        return await self._do("head", look)

    async def page(self, folder: str, *, after: str = "", limit: int = PAGE) -> list[Meta]:
        """See the port."""
        name = checked_folder(folder)

        async def ask() -> list[Meta]:
            found: list[Meta] = []
            stream: Any = obstore.list(
                self._store, name or None, offset=after or None, chunk_size=limit
            )
            async for rows in stream:
                found += [Meta(row["path"], row["size"]) for row in rows]
                if len(found) >= limit:
                    break
            return found[:limit]

        return await self._do("page", ask)

    async def delete(self, name: str) -> None:
        """See the port."""
        checked(name)

        async def remove() -> None:
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                return

        await self._do("delete", remove)

    async def _do(self, call: str, work: Callable[[], Awaitable[T]]) -> T:
        try:
            with _SECONDS.labels(call).time():
                async with asyncio.timeout(self._timeout_s * (RETRIES + 1)):
                    return await work()
        except (BaseError, OSError, TimeoutError, ValueError) as error:
            _FAILED.labels(call).inc()
            raise Unavailable(f"S3 does not answer as it should ({_short(error)})") from error


def _short(error: BaseException) -> str:
    """What the library says, without the request and its signature."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _text(key: str, file: str) -> str:
    try:
        return Path(file).read_text() if file else ""
    except OSError as error:
        raise ConfigError(key, f"it cannot be read ({error})", "Name a readable file") from None


def _credentials(file: str) -> tuple[str, str] | None:
    words = _text("ORION_BLOB_CREDENTIALS_FILE", file).split()
    if not words:
        return None
    if len(words) != 2:
        raise ConfigError(
            "ORION_BLOB_CREDENTIALS_FILE",
            "it does not hold two words",
            "Write the access key and the secret key, a line each",
        )
    return words[0], words[1]
