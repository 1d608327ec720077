"""Connections to PostgreSQL: how they are set, kept few, and how their errors are named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg

from orion.platform.errors import Unavailable
from orion.platform.store.port import (
    CheckpointMoved,
    DiskFull,
    EntityExists,
    Fenced,
    KeyKnown,
    OutcomeUnknown,
    Refused,
    StateMoved,
)

PLAIN = {"jit": "off", "timezone": "UTC"}
# The arrays of a batch look like thousands of rows to the planner; with these the plan is always
# the nested loop over the primary key.
WRITER = {
    **PLAIN,
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
CONNECT_S = 5
GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
)
# Shutdown, crash, start-up, too many connections, a standby: another try later may succeed, and
# nothing was done.
_LATER = {"57P01", "57P02", "57P03", "53300", "25006", "40001", "40P01", "55P03", "55006", "3D000"}
_OWN = {
    "OR002": CheckpointMoved,
    "OR003": KeyKnown,
    "OR004": StateMoved,
    "OR005": EntityExists,
}


class Door(Protocol):
    """Knows how each role logs in (orion.platform.embedded.Access)."""

    def dsn(self, role: str) -> str: ...


def sqlstate(error: asyncpg.PostgresError) -> str:
    """The five characters that name the error, or nothing."""
    return getattr(error, "sqlstate", None) or ""


def named(error: Exception) -> Exception:
    """The error as the port names it. For one that came back while a write was on its way."""
    if isinstance(error, asyncpg.PostgresError):
        state = sqlstate(error)
        if state == "OR001":
            topic, _, part = (getattr(error, "detail", "") or "").rpartition("/")
            return Fenced([(topic, int(part))] if part else [])
        if state in _OWN:
            return _OWN[state](str(error))
        if state == "53100":
            return DiskFull(str(error))
        if state in ("57P01", "57P02") or state.startswith("08"):
            return OutcomeUnknown(str(error))
        if state in _LATER:
            return Unavailable(str(error))
        return Refused(f"{state} {error}")
    if isinstance(error, GONE):
        return OutcomeUnknown(str(error))
    if isinstance(error, (UnicodeError, ValueError, TypeError, OverflowError)):
        return Refused(f"{type(error).__name__}: {error}")
    return error


async def connect(dsn: str, settings: dict[str, str], name: str) -> asyncpg.Connection:
    """A connection. Raises Unavailable."""
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_S,
            server_settings={**settings, "application_name": f"orion {name}"},
        )
    except (*GONE, TimeoutError, asyncpg.PostgresError) as error:
        raise Unavailable(f"the database does not answer: {error}") from error


async def _keep(_connection: Any) -> None:
    """Sessions carry no state between uses: settings are made with set_config(…, true) only. So
    nothing needs a reset.
    """


def raise_if_cancelled(error: Exception) -> None:
    """A transaction whose connection breaks while its task is cancelled ends with the connection's
    error, which must not hide the cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


class Pool:
    """A few connections, opened when first needed. Errors of the connection come out as
    Unavailable.
    """

    def __init__(self, dsn: str, settings: dict[str, str], *, size: int, name: str) -> None:
        self._dsn = dsn
        self._settings = {**settings, "application_name": f"orion {name}"}
        self._size = size
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Any]:
        """A connection for a while."""
        try:
            pool = self._pool or await self._open()
            async with pool.acquire(timeout=CONNECT_S) as connection:
                yield connection
        except TimeoutError as error:
            raise Unavailable("no database connection is free") from error
        except GONE as error:
            raise_if_cancelled(error)
            raise Unavailable(f"the database does not answer: {error}") from error
        except asyncpg.PostgresError as error:
            if sqlstate(error) == "53100":
                raise Unavailable(f"the disk is full: {error}", code="SYS-903") from error
            if sqlstate(error) in _LATER:
                raise Unavailable(f"the database is not ready: {error}") from error
            raise

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=self._size, reset=_keep, timeout=CONNECT_S,
                    max_inactive_connection_lifetime=300, server_settings=self._settings,
                )  # fmt: skip
            return self._pool

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        """One query. Raises Unavailable."""
        async with self.session() as sql:
            return await sql.fetch(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """One statement. Raises Unavailable."""
        async with self.session() as sql:
            return await sql.execute(query, *args)

    async def close(self) -> None:
        """Closes all connections; bounded."""
        if self._pool is not None:
            try:
                async with asyncio.timeout(2):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None
