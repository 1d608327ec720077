"""Whether the tables are those of this version: asked without the migration tool, whose import
takes longer than the rest of a start.
"""

from __future__ import annotations

import asyncpg

from orion.platform.config import CHECKOUT
from orion.platform.datadir import StartError


def newest() -> str:
    """The last migration of this version."""
    return max(file.name[:4] for file in (CHECKOUT / "migrations" / "versions").glob("0*.py"))


async def found(dsn: str) -> str:
    """The last migration that was applied; empty when there was none."""
    sql = await asyncpg.connect(dsn)
    try:
        return await sql.fetchval("select version_num from platform.alembic_version") or ""
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return ""
    finally:
        await sql.close()


async def demand_newest(dsn: str, where: object) -> None:
    """Raises StartError where another version made the tables: a verb would misread them."""
    there, here = await found(dsn), newest()
    if there < here:
        raise StartError(
            f"{where} has the tables of an older version. `./orion migrate` or `./orion up` brings "
            "them up to date."
        )
    if there > here:
        raise StartError(
            f"{where} has the tables of a newer version of Orion. Use the newer version."
        )
