"""Identity's only SQL. Each function takes an open session of the writer role, whose transaction
is the caller's."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from orion.platform.revocations import Revoked
from orion.services.identity.records import Code, Note, Refresh, SignIn, User

COUNTERS = "identity"  # the tenant under which failed sign-ins are counted

_USER = """
    select u.tenant, u.user_id, u.name, u.display_name, u.desk, u.password_hash,
           u.disabled or not t.active as disabled, u.not_before,
           coalesce((select array_agg(r.role order by r.role) from identity.user_roles r
                      where r.tenant = u.tenant and r.user_id = u.user_id), '{}') as roles,
           coalesce(e.asset_classes, '{}') as asset_classes, e.instrument_ids,
           coalesce(e.venue_ids, '{}') as venue_ids,
           coalesce(e.max_notional, 0) as max_notional,
           coalesce(e.rfq_per_minute, 0) as rfq_per_minute,
           e.user_id is not null as entitled
      from identity.users u
      join identity.tenants t on t.tenant = u.tenant
      left join identity.user_entitlements e on e.tenant = u.tenant and e.user_id = u.user_id
"""
_SIGN_IN = (
    "tenant, session_id, user_id, client_id, scope, auth_time, expires_at, ended_at, end_reason"
)


async def user_by_name(sql: Any, tenant: str, name: str) -> User | None:
    """The user `name` of `tenant`."""
    rows = await sql.fetch(f"{_USER} where u.tenant = $1 and u.name = $2", tenant, name)
    return _user(rows[0]) if rows else None


async def user_by_id(sql: Any, tenant: str, user_id: str) -> User | None:
    """The user with this id."""
    rows = await sql.fetch(f"{_USER} where u.tenant = $1 and u.user_id = $2", tenant, user_id)
    return _user(rows[0]) if rows else None


async def known_users(sql: Any) -> set[tuple[str, str]]:
    """(tenant, id) of all users."""
    rows = await sql.fetch("select tenant, user_id from identity.users")
    return {(r["tenant"], r["user_id"]) for r in rows}


def _user(row: Any) -> User:
    # No row of entitlements means nothing is allowed, not everything.
    instruments = row["instrument_ids"] if row["entitled"] else []
    return User(
        tenant=row["tenant"],
        user_id=row["user_id"],
        name=row["name"],
        display_name=row["display_name"],
        desk=row["desk"],
        password_hash=row["password_hash"],
        disabled=row["disabled"],
        not_before=row["not_before"],
        roles=tuple(row["roles"]),
        asset_classes=tuple(row["asset_classes"]),
        instrument_ids=None if instruments is None else tuple(instruments),
        venue_ids=tuple(row["venue_ids"]),
        max_notional=row["max_notional"],
        rfq_per_minute=row["rfq_per_minute"],
    )


async def tenants(sql: Any) -> dict[str, str]:
    """All tenants with their names."""
    rows = await sql.fetch("select tenant, name from identity.tenants where active")
    return {r["tenant"]: r["name"] for r in rows}


async def add_tenant(sql: Any, tenant: str, name: str) -> None:
    """Adds a tenant; one that is there stays as it is."""
    await sql.execute(
        "insert into identity.tenants (tenant, name) values ($1, $2) on conflict do nothing",
        tenant,
        name,
    )


async def add_user(sql: Any, user: User, at: int) -> None:
    """Adds a user with roles and entitlements; one that is there keeps its password and state."""
    await sql.execute(
        "insert into identity.users (tenant, user_id, name, display_name, desk, password_hash,"
        " created_at)"
        " values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant, user_id) do update"
        " set display_name = excluded.display_name, desk = excluded.desk",
        user.tenant,
        user.user_id,
        user.name,
        user.display_name,
        user.desk,
        user.password_hash,
        at,
    )
    await sql.execute(
        "delete from identity.user_roles where tenant = $1 and user_id = $2",
        user.tenant,
        user.user_id,
    )
    for role in user.roles:
        await sql.execute(
            "insert into identity.user_roles (tenant, user_id, role) values ($1, $2, $3)",
            user.tenant,
            user.user_id,
            role,
        )
    await sql.execute(
        "insert into identity.user_entitlements (tenant, user_id, asset_classes, instrument_ids,"
        " venue_ids, max_notional, rfq_per_minute) values ($1, $2, $3, $4, $5, $6, $7)"
        " on conflict (tenant, user_id) do update set asset_classes = excluded.asset_classes,"
        " instrument_ids = excluded.instrument_ids, venue_ids = excluded.venue_ids,"
        " max_notional = excluded.max_notional, rfq_per_minute = excluded.rfq_per_minute",
        user.tenant,
        user.user_id,
        list(user.asset_classes),
        None if user.instrument_ids is None else list(user.instrument_ids),
        list(user.venue_ids),
        user.max_notional,
        user.rfq_per_minute,
    )


async def set_password_hash(sql: Any, tenant: str, user_id: str, password_hash: str) -> None:
    """Stores a new password."""
    await sql.execute(
        "update identity.users set password_hash = $3 where tenant = $1 and user_id = $2",
        tenant,
        user_id,
        password_hash,
    )


async def set_disabled(sql: Any, user: User, disabled: bool, at: int) -> None:
    """Disables or enables. Disabling kills every token issued so far."""
    await sql.execute(
        "update identity.users set disabled = $3,"
        " not_before = case when $3 then greatest(not_before, $4) else not_before end"
        " where tenant = $1 and user_id = $2",
        user.tenant,
        user.user_id,
        disabled,
        at,
    )


async def add_code(sql: Any, code: Code) -> None:
    """Stores a code that was given out."""
    await sql.execute(
        "insert into identity.codes (tenant, code_hash, user_id, client_id, redirect_uri, scope,"
        " nonce,"
        " challenge, auth_time, expires_at, session_id)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        *astuple(code),
    )


async def lock_code(sql: Any, tenant: str, code_hash: bytes) -> Code | None:
    """The code, locked: of two exchanges at once one waits and then sees it used."""
    rows = await sql.fetch(
        "select tenant, code_hash, user_id, client_id, redirect_uri, scope, nonce, challenge,"
        " auth_time, expires_at, session_id from identity.codes"
        " where tenant = $1 and code_hash = $2 for update",
        tenant,
        code_hash,
    )
    return Code(**dict(rows[0])) if rows else None


async def use_code(sql: Any, code: Code, session_id: str) -> None:
    """Marks the code as used by this session."""
    await sql.execute(
        "update identity.codes set session_id = $3 where tenant = $1 and code_hash = $2",
        code.tenant,
        code.code_hash,
        session_id,
    )


async def add_sign_in(sql: Any, sign_in: SignIn) -> None:
    """Stores a new sign-in."""
    await sql.execute(
        f"insert into identity.sign_ins ({_SIGN_IN}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",  # noqa: S608
        *astuple(sign_in),
    )


async def sign_in_of(sql: Any, tenant: str, session_id: str) -> SignIn | None:
    """The sign-in with this id."""
    rows = await sql.fetch(
        f"select {_SIGN_IN} from identity.sign_ins where tenant = $1 and session_id = $2",  # noqa: S608
        tenant,
        session_id,
    )
    return SignIn(**dict(rows[0])) if rows else None


async def end_sign_in(sql: Any, tenant: str, session_id: str, reason: str, at: int) -> bool:
    """Ends a sign-in and revokes its tokens. False when it had ended already."""
    rows = await sql.fetch(
        "update identity.sign_ins set ended_at = $3, end_reason = $4"
        " where tenant = $1 and session_id = $2 and ended_at is null returning 1",
        tenant,
        session_id,
        at,
        reason,
    )
    if rows:
        await sql.execute(
            "insert into identity.revocations (tenant, session_id, at) values ($1, $2, $3)",
            tenant,
            session_id,
            at,
        )
    return bool(rows)


async def end_all_sign_ins(sql: Any, user: User, reason: str, at: int) -> list[str]:
    """Ends every sign-in of a user and revokes all tokens issued so far; gives the sessions."""
    rows = await sql.fetch(
        "update identity.sign_ins set ended_at = $3, end_reason = $4"
        " where tenant = $1 and user_id = $2 and ended_at is null returning session_id",
        user.tenant,
        user.user_id,
        at,
        reason,
    )
    await sql.execute(
        "insert into identity.revocations (tenant, user_id, at) values ($1, $2, $3)",
        user.tenant,
        user.user_id,
        at,
    )
    return [r["session_id"] for r in rows]


async def add_refresh(
    sql: Any, tenant: str, token_hash: bytes, session_id: str, issued_at: int
) -> None:
    """Stores a refresh token that was given out."""
    await sql.execute(
        "insert into identity.refresh_tokens (tenant, token_hash, session_id, issued_at)"
        " values ($1, $2, $3, $4)",
        tenant,
        token_hash,
        session_id,
        issued_at,
    )


async def lock_refresh(sql: Any, tenant: str, token_hash: bytes) -> Refresh | None:
    """The refresh token and its sign-in, locked."""
    rows = await sql.fetch(
        "select r.token_hash, r.used_at, s.tenant, s.session_id, s.user_id, s.client_id, s.scope,"
        " s.auth_time, s.expires_at, s.ended_at, s.end_reason"
        " from identity.refresh_tokens r join identity.sign_ins s"
        " on s.tenant = r.tenant and s.session_id = r.session_id"
        " where r.tenant = $1 and r.token_hash = $2 for update",
        tenant,
        token_hash,
    )
    if not rows:
        return None
    values = dict(rows[0])
    token, used = values.pop("token_hash"), values.pop("used_at")
    return Refresh(token, used, SignIn(**values))


async def use_refresh(sql: Any, tenant: str, token_hash: bytes, at: int) -> None:
    """Marks a refresh token as used; it is kept, so that a second use is noticed."""
    await sql.execute(
        "update identity.refresh_tokens set used_at = $3 where tenant = $1 and token_hash = $2",
        tenant,
        token_hash,
        at,
    )


async def revocations_since(sql: Any, at: int) -> list[tuple[int, int, Revoked]]:
    """(number, instant, revocation) of those not older than `at`, oldest first."""
    rows = await sql.fetch(
        "select revocation_id, session_id, user_id, at, until, lifted from identity.revocations"
        " where at >= $1 order by at, revocation_id",
        at,
    )
    return [(r["revocation_id"], r["at"], _revoked(r)) for r in rows]


async def revocations_told(sql: Any, seconds: float) -> list[tuple[int, Revoked]]:
    """(number, revocation) of those written in the last `seconds` by the database's clock, which
    is the same for all copies."""
    rows = await sql.fetch(
        "select revocation_id, session_id, user_id, at, until, lifted from identity.revocations"
        " where told_at > clock_timestamp() - make_interval(secs => $1) order by revocation_id",
        seconds,
    )
    return [(r["revocation_id"], _revoked(r)) for r in rows]


def _revoked(row: Any) -> Revoked:
    until = row["until"]
    return Revoked(
        at=row["at"] if until is None else until,
        session_id=row["session_id"],
        subject=row["user_id"],
        is_bounded=until is not None,
        is_lifted=row["lifted"],
    )


async def count_failure(sql: Any, counter: bytes, at: int, window: int) -> tuple[int, int]:
    """Counts one more try before it is made; gives (tries in the window, paused until)."""
    rows = await sql.fetch(
        "insert into identity.login_failures as f (tenant, counter, failures, first_at)"
        " values ($1, $2, 1, $3) on conflict (tenant, counter) do update set"
        " failures = case when f.first_at < $3 - $4::bigint then 1 else f.failures + 1 end,"
        " first_at = case when f.first_at < $3 - $4::bigint then $3 else f.first_at end"
        " returning failures, paused_until",
        COUNTERS,
        counter,
        at,
        window,
    )
    return rows[0]["failures"], rows[0]["paused_until"]


async def pause(sql: Any, counter: bytes, until: int) -> None:
    """Nothing more is tried for this counter until then; it starts from nought afterwards."""
    await sql.execute(
        "update identity.login_failures set paused_until = $3, first_at = 0"
        " where tenant = $1 and counter = $2",
        COUNTERS,
        counter,
        until,
    )


async def take_back(sql: Any, counters: list[bytes], forget: list[bytes]) -> None:
    """After a success: the try did not fail (`counters`), and earlier failures count no more
    (`forget`)."""
    await sql.execute(
        "update identity.login_failures set failures = greatest(failures - 1, 0)"
        " where tenant = $1 and counter = any($2::bytea[])",
        COUNTERS,
        counters,
    )
    await sql.execute(
        "delete from identity.login_failures where tenant = $1 and counter = any($2::bytea[])",
        COUNTERS,
        forget,
    )


async def add_note(sql: Any, tenant: str, entity_id: str, event_type: str, body: bytes) -> None:
    """Notes an event for the log."""
    await sql.execute(
        "insert into identity.outbox (tenant, entity_id, event_type, body) values ($1, $2, $3, $4)",
        tenant,
        entity_id,
        event_type,
        body,
    )


async def notes(sql: Any, limit: int) -> list[Note]:
    """The oldest events that wait for the log."""
    rows = await sql.fetch(
        "select tenant, event_no, entity_id, event_type, body, sequence from identity.outbox"
        " order by event_no limit $1",
        limit,
    )
    return [Note(**dict(r)) for r in rows]


async def number_notes(sql: Any, numbered: list[Note]) -> None:
    """Stores under which sequences events are about to go out."""
    await sql.executemany(
        "update identity.outbox set sequence = $3 where tenant = $1 and event_no = $2",
        [(n.tenant, n.event_no, n.sequence) for n in numbered],
    )


async def drop_notes(sql: Any, done: list[Note]) -> None:
    """Forgets events that are in the log."""
    await sql.executemany(
        "delete from identity.outbox where tenant = $1 and event_no = $2",
        [(n.tenant, n.event_no) for n in done],
    )


async def sweep(sql: Any, before: int) -> None:
    """Removes what ended long ago, in small batches."""
    for table, column in (
        ("codes", "expires_at"),
        ("sign_ins", "expires_at"),
        ("revocations", "at"),
        ("login_failures", "greatest(first_at, paused_until)"),
    ):
        await sql.execute(
            f"delete from identity.{table} where ctid = any(array("  # noqa: S608 (fixed names)
            f"select ctid from identity.{table} where {column} < $1 limit 500))",
            before,
        )
