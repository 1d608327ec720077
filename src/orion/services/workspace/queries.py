"""The workspace's SQL. Every statement names tenant and subject; row-level security stands behind
the tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from orion.platform.errors import Coded
from orion.platform.store.port import Sql


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose things."""

    tenant: str
    subject: str


@dataclass(frozen=True, slots=True)
class Watchlist:
    """A row of watchlists."""

    watchlist_id: str
    name: str
    instrument_ids: list[str]
    pinned: list[str]
    position: int
    version: int


_COLUMNS = "watchlist_id, name, instrument_ids, pinned, position, version"


async def preferences(sql: Sql, owner: Owner) -> tuple[int, bytes] | None:
    """(version, body), or None when nothing was saved."""
    query = "select version, body from workspace.ui_preferences where tenant = $1 and subject = $2"
    row = await sql.fetchrow(query, owner.tenant, owner.subject)
    return (row["version"], row["body"]) if row else None


async def save_preferences(sql: Sql, owner: Owner, version: int, body: bytes, at: int) -> int:
    """The new version. Raises API-111 when `version` is not the newest."""
    if version == 0:
        query = """insert into workspace.ui_preferences (tenant, subject, version, body, at)
                   values ($1, $2, 1, $3, $4) on conflict do nothing returning version"""
        made = await sql.fetchval(query, owner.tenant, owner.subject, body, at)
    else:
        query = """update workspace.ui_preferences set version = version + 1, body = $3, at = $4
                   where tenant = $1 and subject = $2 and version = $5 returning version"""
        made = await sql.fetchval(query, owner.tenant, owner.subject, body, at, version)
    if made is None:
        raise Coded("API-111")
    return made


async def watchlists(sql: Sql, owner: Owner) -> list[Watchlist]:
    """The user's lists by position."""
    query = f"""select {_COLUMNS} from workspace.watchlists where tenant = $1 and subject = $2
                order by position, name, watchlist_id"""  # noqa: S608
    return [Watchlist(**dict(r)) for r in await sql.fetch(query, owner.tenant, owner.subject)]


async def is_welcomed(sql: Sql, owner: Owner) -> bool:
    """True when the house's lists were given before."""
    query = "select true from workspace.welcomed where tenant = $1 and subject = $2"
    return bool(await sql.fetchval(query, owner.tenant, owner.subject))


async def welcome(sql: Sql, owner: Owner, lists: Sequence[Watchlist], at: int) -> None:
    """Gives the house's lists, once: of two first looks at the same time one does nothing."""
    query = """insert into workspace.welcomed (tenant, subject, at) values ($1, $2, $3)
               on conflict do nothing"""
    if await sql.execute(query, owner.tenant, owner.subject, at) != "INSERT 0 1":
        return
    for one in lists:
        await _insert(sql, owner, one, b"")


async def create(
    sql: Sql, owner: Owner, wanted: Watchlist, made_with: bytes, limit: int
) -> Watchlist:
    """The list of this id. The same request again gives the list it made; another one under its id
    is API-102.
    """
    # One user's creates go one after another, so that two at once cannot pass the limit together.
    await sql.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 7))", f"{owner.tenant}/{owner.subject}"
    )
    query = f"""select {_COLUMNS}, made_with from workspace.watchlists
                where tenant = $1 and watchlist_id = $2"""  # noqa: S608
    row = await sql.fetchrow(query, owner.tenant, wanted.watchlist_id)
    if row is not None:
        found = dict(row)
        if found.pop("made_with") != made_with:
            raise Coded("API-102")
        return Watchlist(**found)
    query = """select count(*), coalesce(max(position) + 1, 0) as last from workspace.watchlists
               where tenant = $1 and subject = $2"""
    row = await sql.fetchrow(query, owner.tenant, owner.subject)
    if row["count"] >= limit:
        raise Coded("API-100", f"You have {limit} lists already, the most there can be")
    if wanted.position < 0:
        wanted = Watchlist(
            wanted.watchlist_id, wanted.name, wanted.instrument_ids, wanted.pinned, row["last"], 1
        )
    await _insert(sql, owner, wanted, made_with)
    return wanted


async def _insert(sql: Sql, owner: Owner, one: Watchlist, made_with: bytes) -> None:
    query = """insert into workspace.watchlists
               (tenant, subject, watchlist_id, name, instrument_ids, pinned, position, version,
                made_with)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)"""
    await sql.execute(
        query,
        owner.tenant,
        owner.subject,
        one.watchlist_id,
        one.name,
        one.instrument_ids,
        one.pinned,
        one.position,
        one.version,
        made_with,
    )


async def replace(sql: Sql, owner: Owner, wanted: Watchlist) -> Watchlist:
    """The list as it is now. Raises API-104 (none of yours) or API-111 (changed meanwhile)."""
    query = f"""update workspace.watchlists
                set name = $4, instrument_ids = $5, pinned = $6, position = $7,
                    version = version + 1
                where tenant = $1 and subject = $2 and watchlist_id = $3 and version = $8
                returning {_COLUMNS}"""  # noqa: S608
    row = await sql.fetchrow(
        query,
        owner.tenant,
        owner.subject,
        wanted.watchlist_id,
        wanted.name,
        wanted.instrument_ids,
        wanted.pinned,
        wanted.position,
        wanted.version,
    )
    if row is None:
        await _why_not(sql, owner, wanted.watchlist_id)
    return Watchlist(**dict(row))


async def remove(sql: Sql, owner: Owner, watchlist_id: str, version: int) -> None:
    """Throws the list away; `version` 0: whatever it is. Raises API-104 or API-111."""
    query = """delete from workspace.watchlists
               where tenant = $1 and subject = $2 and watchlist_id = $3
                 and ($4 = 0 or version = $4)"""
    if await sql.execute(query, owner.tenant, owner.subject, watchlist_id, version) == "DELETE 0":
        await _why_not(sql, owner, watchlist_id)


async def _why_not(sql: Sql, owner: Owner, watchlist_id: str) -> NoReturn:
    query = """select true from workspace.watchlists
               where tenant = $1 and subject = $2 and watchlist_id = $3"""
    there = await sql.fetchval(query, owner.tenant, owner.subject, watchlist_id)
    raise Coded("API-111" if there else "API-104")
