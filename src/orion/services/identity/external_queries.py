"""The SQL for accounts of an external issuer. Each function takes an open session of the writer
role, whose transaction is the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orion.platform.caller import Caller


@dataclass(frozen=True, slots=True)
class Account:
    """An account that has signed in here."""

    tenant: str
    subject: str
    user_name: str
    disabled: bool


async def seen(sql: Any, caller: Caller, at: int) -> bool:
    """Notes that this account signed in; True when it is kept out."""
    return await sql.fetchval(
        "insert into identity.external_users as e"
        " (tenant, subject, user_name, display_name, desk, first_seen, last_seen)"
        " values ($1, $2, $3, $4, $5, $6, $6) on conflict (tenant, subject) do update set"
        " user_name = excluded.user_name, display_name = excluded.display_name,"
        " desk = excluded.desk, last_seen = greatest(e.last_seen, excluded.last_seen)"
        " returning disabled",
        caller.tenant,
        caller.subject,
        caller.user,
        caller.display_name,
        caller.desk,
        at,
    )


async def accounts(sql: Any, login: str, tenant: str | None) -> list[Account]:
    """Those who are called so, or have this subject."""
    rows = await sql.fetch(
        "select tenant, subject, user_name, disabled from identity.external_users"
        " where (lower(user_name) = lower($1) or subject = $1)"
        " and ($2::text is null or tenant = $2) limit 2",
        login,
        tenant,
    )
    return [Account(**dict(r)) for r in rows]


async def set_disabled(sql: Any, account: Account, disabled: bool) -> bool:
    """False when it was so already."""
    rows = await sql.fetch(
        "update identity.external_users set disabled = $3"
        " where tenant = $1 and subject = $2 and disabled <> $3 returning 1",
        account.tenant,
        account.subject,
        disabled,
    )
    return bool(rows)


async def revoke_session(sql: Any, tenant: str, session_id: str, at: int, until: int) -> None:
    """Tokens of this session issued up to `until` are dead; later ones are good."""
    await sql.execute(
        "insert into identity.revocations (tenant, session_id, at, until) values ($1, $2, $3, $4)",
        tenant,
        session_id,
        at,
        until,
    )


async def revoke_subject(sql: Any, account: Account, at: int) -> None:
    """Tokens of this account issued up to `at` are dead."""
    await sql.execute(
        "insert into identity.revocations (tenant, user_id, at) values ($1, $2, $3)",
        account.tenant,
        account.subject,
        at,
    )


async def lift(sql: Any, account: Account, at: int) -> None:
    """Forgets that this account is kept out for ever."""
    await sql.execute(
        "delete from identity.revocations where tenant = $1 and user_id = $2 and at > $3",
        account.tenant,
        account.subject,
        at,
    )


async def let_in(sql: Any, account: Account, at: int) -> None:
    """Only tokens issued up to `at` stay dead."""
    await sql.execute(
        "insert into identity.revocations (tenant, user_id, at, lifted) values ($1, $2, $3, true)",
        account.tenant,
        account.subject,
        at,
    )
