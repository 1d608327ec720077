"""The cache in a Redis (or Valkey) that all processes of a cluster share.

A board is one hash, a note is a string of its own that ends by itself. Writes go in one pipeline.

The server may be lost at any moment. The first call that finds out waits no longer than the
time-out; from then on every call is refused at once, while one task of this object alone asks
whether the server is back. So a dead Redis costs nobody more than a moment, and nothing has to be
restarted. Owns: its connections and that task. Does not own: the server, its memory limit, what
callers do without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import redis.asyncio as client  # pyright: ignore[reportMissingImports]
from redis.asyncio.retry import Retry  # pyright: ignore[reportMissingImports]
from redis.backoff import NoBackoff  # pyright: ignore[reportMissingImports]
from redis.exceptions import RedisError  # pyright: ignore[reportMissingImports]

from orion.platform import telemetry
from orion.platform.cache.port import MAX_KEYS, checked
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.errors import Unavailable

T = TypeVar("T")
CONNECTIONS = 16  # of a process; who finds none free waits within the time-out
FIELDS = 1_000  # of a hash in one command: longer ones keep the server from everyone else
FIRST_LOOK_S, MAX_LOOK_S = 0.05, 1.0
SCHEMES = ("redis://", "rediss://", "unix://")
BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1)
_CONNECTED = telemetry.gauge("cache_connected", "1 while the cache answers")
_LOST = telemetry.counter("cache_lost_total", "Times that the cache was lost")
_REFUSED = telemetry.counter("cache_refused_total", "Calls refused because the cache is lost")
_SECONDS = telemetry.histogram("cache_seconds", "Calls to the cache", ("call",), buckets=BUCKETS)


class RedisCache:
    """`async with RedisCache.open(settings.platform) as cache`. See the port."""

    is_shared = True

    def __init__(
        self,
        url: str,
        *,
        prefix: str,
        timeout_s: float = 0.25,
        max_keys: int = MAX_KEYS,
        username: str | None = None,
        password: str | None = None,
        tls: Mapping[str, Any] | None = None,
    ):
        pool: Any = client.BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **({"username": username} if username else {}),
            **({"password": password} if password else {}),
            **(tls or {}),
        )
        self._redis: Any = client.Redis.from_pool(pool)
        self._prefix, self._timeout_s, self._max_keys = prefix, timeout_s, max_keys
        self._is_lost = False
        self._looking: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, config: PlatformConfig) -> AsyncIterator[RedisCache]:
        """A cache as it is configured. Starts whether the server answers or not. Raises ConfigError
        for settings that cannot be used.
        """
        cache = cls(
            _address(config),
            prefix=f"orion:{config.env}",
            timeout_s=config.redis_timeout_ms / 1000,
            username=config.redis_user or None,
            password=_secret(config.redis_password_file) or None,
            tls=_tls(config),
        )
        try:
            with suppress(Unavailable):
                await cache.ping()
            yield cache
        finally:
            await cache.close()

    async def close(self) -> None:
        """Ends the connections. Idempotent."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            self._looking = None
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    @property
    def is_lost(self) -> bool:
        """True from the first call without an answer until the server is back."""
        return self._is_lost

    async def ping(self) -> None:
        """Asks the server whether it is there. Raises Unavailable."""
        await self._call("ping", self._redis.ping)
        _CONNECTED.set(1)

    # ---- boards

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        """See the port. The bound is looked at after the write: a board can pass it once."""
        checked(space, values)
        if not values:
            return
        name, items = f"{self._prefix}:board:{space}", list(values.items())

        async def write() -> int:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hlen(name)
                for at in range(0, len(items), FIELDS):
                    pipe.hset(name, mapping=dict(items[at : at + FIELDS]))
                pipe.hlen(name)
                answers = await pipe.execute()
                before, after = int(answers[0]), int(answers[-1])
                return after if after > before else 0  # only changed values: no matter how many

        if await self._call("put", write) > self._max_keys:
            raise Unavailable(f"The cache space {space} is full")

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """See the port."""
        name = f"{self._prefix}:board:{space}"
        if not keys:
            return {}
        found = await self._call("get", lambda: self._redis.hmget(name, list(keys)))
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    async def all(self, space: str) -> dict[str, bytes]:
        """See the port."""
        name = f"{self._prefix}:board:{space}"
        found = await self._call("all", lambda: self._redis.hgetall(name))
        return {key.decode(): value for key, value in found.items()}

    async def remove(self, space: str, keys: Sequence[str]) -> None:
        """See the port."""
        name = f"{self._prefix}:board:{space}"
        if keys:
            await self._call("remove", lambda: self._redis.hdel(name, *keys))

    async def clear(self, space: str) -> None:
        """See the port."""
        await self._call("clear", lambda: self._redis.unlink(f"{self._prefix}:board:{space}"))

    # ---- notes

    async def note(
        self, space: str, values: Mapping[str, bytes], seconds: float, *, is_first: bool = False
    ) -> None:
        """See the port."""
        checked(space, values)
        millis = max(1, round(seconds * 1000))

        async def write() -> None:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, value in values.items():
                    pipe.set(self._note(space, key), value, px=millis, nx=is_first)
                await pipe.execute()

        if values:
            await self._call("note", write)

    async def noted(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """See the port."""
        if not keys:
            return {}
        names = [self._note(space, key) for key in keys]
        found = await self._call("noted", lambda: self._redis.mget(names))
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    async def forget(self, space: str, keys: Sequence[str]) -> None:
        """See the port."""
        if keys:
            names = [self._note(space, key) for key in keys]
            await self._call("forget", lambda: self._redis.unlink(*names))

    def _note(self, space: str, key: str) -> str:
        return f"{self._prefix}:note:{space}:{key}"

    # ---- lost and found

    async def _call(self, name: str, do: Callable[[], Awaitable[T]]) -> T:
        """One bounded call. While the server is lost nobody waits for it."""
        if self._is_lost:
            _REFUSED.inc()
            raise Unavailable("The cache does not answer")
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await do()
        except (RedisError, OSError, TimeoutError) as error:
            self._lose(error)
            raise Unavailable("The cache does not answer") from error
        finally:
            _SECONDS.labels(name).observe(time.perf_counter() - began)

    def _lose(self, error: BaseException) -> None:
        if self._is_lost:
            return  # another call has found out already
        self._is_lost = True
        _CONNECTED.set(0)
        _LOST.inc()
        telemetry.log.warning(
            "the cache is lost; everything goes on from the database",
            error=str(error) or type(error).__name__,
        )
        self._looking = asyncio.create_task(self._look(), name="cache-look")

    async def _look(self) -> None:
        """Until the server takes a write again: one that is still loading, or full, is not back."""
        began, pause = time.monotonic(), FIRST_LOOK_S
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_LOOK_S)
            with suppress(RedisError, OSError, TimeoutError):
                # What a paused server still owes on old connections must not be taken for answers.
                await self._redis.connection_pool.disconnect(inuse_connections=False)
                async with asyncio.timeout(self._timeout_s):
                    await self._redis.set(f"{self._prefix}:look", b"1", px=1000)
                break
        self._is_lost = False
        _CONNECTED.set(1)
        lost_s = round(time.monotonic() - began, 3)
        telemetry.log.info("the cache is back", lost_seconds=lost_s)


def _address(config: PlatformConfig) -> str:
    url = config.redis_url
    if not url.startswith(SCHEMES):
        raise ConfigError(
            "ORION_REDIS_URL", f"{url!r} is no address of a Redis", "Such as redis://host:6379/0"
        )
    if "@" in url or "?" in url:  # nor may an address switch the check of certificates off
        raise ConfigError(
            "ORION_REDIS_URL",
            "it carries a name, a password or options",
            "Set ORION_REDIS_USER, and ORION_REDIS_PASSWORD_FILE to a file that holds the password",
        )
    return url


def _secret(file: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text().strip()
    except OSError as error:
        raise ConfigError(
            "ORION_REDIS_PASSWORD_FILE", f"it cannot be read ({error})", "Name a readable file"
        ) from None


def _tls(config: PlatformConfig) -> dict[str, Any]:
    """For rediss://. The server's name is checked against its certificate always."""
    if not config.redis_url.startswith("rediss://"):
        return {}
    given = {
        "ssl_ca_certs": config.redis_ca_file,
        "ssl_certfile": config.redis_cert_file,
        "ssl_keyfile": config.redis_key_file,
    }
    return {"ssl_check_hostname": True, **{k: v for k, v in given.items() if v}}
