"""SQL sessions for services: reading as one tenant under row-level security, or writing the rows of
named tenants.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from orion.platform.errors import Unavailable
from orion.platform.store.connection import PLAIN, Door, Pool


class PostgresDatabase:
    """Two small pools: orion_reader for queries, orion_writer for tables that are not
    event-sourced.
    """

    def __init__(self, reader: str, writer: str, *, readers: int = 4, writers: int = 2) -> None:
        self._readers = Pool(reader, PLAIN, size=readers, name="queries")
        self._writers = Pool(writer, PLAIN, size=writers, name="tables")

    @classmethod
    @asynccontextmanager
    async def open(cls, door: Door) -> AsyncIterator[PostgresDatabase]:
        """Opens as long as the block lasts."""
        database = cls(door.dsn("orion_reader"), door.dsn("orion_writer"))
        try:
            yield database
        finally:
            await database.close()

    @asynccontextmanager
    async def read(self, tenant: str) -> AsyncIterator[Any]:
        """See the port."""
        # The tenant is set in the round trip that begins the transaction; it ends with it.
        begin = f"begin read only; select set_config('orion.tenant', {_quoted(tenant)}, true)"
        async with self._readers.session() as sql:
            await sql.execute(begin)
            try:
                yield sql
            except asyncpg.QueryCanceledError as error:
                raise Unavailable("the query took too long") from error
            finally:
                if not sql.is_closed():
                    await sql.execute("rollback")

    @asynccontextmanager
    async def write(self, service: str, tenants: Sequence[str]) -> AsyncIterator[Any]:
        """See the port."""
        async with self._writers.session() as sql, sql.transaction():
            await sql.fetchval(
                "select set_config('orion.tenants', $1::text[]::text, true)", list(tenants)
            )
            yield sql

    async def close(self) -> None:
        """Closes the connections."""
        await self._readers.close()
        await self._writers.close()


def _quoted(text: str) -> str:
    # A literal for the one statement that cannot have parameters because it comes with `begin`.
    if "\0" in text:
        raise Unavailable("not a tenant")
    return "e'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
