"""Browser sessions in PostgreSQL: only a hash of the cookie, and the tokens encrypted with a key
that is not in the database."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_COLUMNS = (
    "tenant, cookie_hash, session_id, subject, user_name, created_at, last_used_at, expires_at,"
    " tokens, tokens_version, ended_at"
)
_NONCE_BYTES = 12
SERVICE = "bff_workstation"


class TokenSet(msgspec.Struct, frozen=True):
    """What identity gave for a sign-in. `access_expires_at` in microseconds."""

    access: str
    refresh: str
    identity: str
    access_expires_at: int


@dataclass(frozen=True, slots=True)
class Session:
    """A browser session. Instants in microseconds."""

    tenant: str
    cookie_hash: bytes
    session_id: str
    subject: str
    user_name: str
    created_at: int
    last_used_at: int
    expires_at: int
    tokens: TokenSet
    tokens_version: int = 1
    ended_at: int | None = None


class Vault:
    """Encrypts token sets; what was encrypted for one session cannot be moved to another."""

    def __init__(self, key: bytes):
        self._cipher = AESGCM(
            hashlib.blake2b(b"session tokens", key=key[:64], digest_size=32).digest()
        )

    def close(self, tokens: TokenSet, cookie_hash: bytes) -> bytes:
        """The encrypted form."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, msgspec.json.encode(tokens), cookie_hash)

    def open(self, sealed: bytes, cookie_hash: bytes) -> TokenSet | None:
        """The token set; None when the key is another one or the bytes were changed."""
        try:
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], cookie_hash)
        except (InvalidTag, ValueError):  # of an ended session nothing is left to open
            return None
        return msgspec.json.decode(plain, type=TokenSet)


class SessionStore:
    """The sessions' only SQL."""

    def __init__(self, database: Any, vault: Vault):
        self._database, self._vault = database, vault

    async def add(self, session: Session) -> None:
        """Stores a new session."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            await sql.execute(
                "insert into bff_workstation.sessions (tenant, cookie_hash, session_id, subject,"
                " user_name, created_at, last_used_at, expires_at, tokens)"
                " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                session.tenant,
                session.cookie_hash,
                session.session_id,
                session.subject,
                session.user_name,
                session.created_at,
                session.last_used_at,
                session.expires_at,
                self._vault.close(session.tokens, session.cookie_hash),
            )

    async def find(self, tenant: str, cookie_hash: bytes) -> Session | None:
        """The session of this cookie, ended or not."""
        async with self._database.write(SERVICE, [tenant]) as sql:
            row = await sql.fetchrow(
                f"select {_COLUMNS} from bff_workstation.sessions"  # noqa: S608 (fixed names)
                " where tenant = $1 and cookie_hash = $2",
                tenant,
                cookie_hash,
            )
        return self._session(row) if row is not None else None

    async def of_sign_in(self, session_id: str, subject: str) -> list[Session]:
        """The living sessions of a sign-in, or all of a subject when no sign-in is named."""
        async with self._database.write(SERVICE, []) as sql:
            rows = await sql.fetch(
                f"select {_COLUMNS} from bff_workstation.sessions where ended_at is null"  # noqa: S608
                " and (case when $1 <> '' then session_id = $1 else subject = $2 end)"
                " and ($2 = '' or subject = $2) limit 200",
                session_id,
                subject,
            )
        return [session for row in rows if (session := self._session(row)) is not None]

    def _session(self, row: Any) -> Session | None:
        values = dict(row)
        tokens = self._vault.open(values.pop("tokens"), values["cookie_hash"])
        return Session(**values, tokens=tokens) if tokens else None

    async def touch(self, session: Session, at: int) -> None:
        """Notes that the session was used."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            await sql.execute(
                "update bff_workstation.sessions set last_used_at = greatest(last_used_at, $3)"
                " where tenant = $1 and cookie_hash = $2",
                session.tenant,
                session.cookie_hash,
                at,
            )

    async def claim_renewal(self, session: Session, now: int, until: int) -> bool:
        """True when this process is the one that renews this version of the tokens now."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            rows = await sql.fetch(
                "update bff_workstation.sessions set renewing_until = $5 where tenant = $1"
                " and cookie_hash = $2 and tokens_version = $3 and renewing_until < $4"
                " and ended_at is null returning 1",
                session.tenant,
                session.cookie_hash,
                session.tokens_version,
                now,
                until,
            )
        return bool(rows)

    async def renewed(self, session: Session, tokens: TokenSet) -> Session:
        """Stores renewed tokens."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            await sql.execute(
                "update bff_workstation.sessions set tokens = $4, tokens_version = $3 + 1,"
                " renewing_until = 0"
                " where tenant = $1 and cookie_hash = $2 and tokens_version = $3",
                session.tenant,
                session.cookie_hash,
                session.tokens_version,
                self._vault.close(tokens, session.cookie_hash),
            )
        return replace(session, tokens=tokens, tokens_version=session.tokens_version + 1)

    async def give_up_renewal(self, session: Session) -> None:
        """The renewal could not be done; another may try."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            await sql.execute(
                "update bff_workstation.sessions set renewing_until = 0"
                " where tenant = $1 and cookie_hash = $2 and tokens_version = $3",
                session.tenant,
                session.cookie_hash,
                session.tokens_version,
            )

    async def end(self, session: Session, reason: str, at: int) -> bool:
        """Ends the session and forgets its tokens. False when it had ended already."""
        async with self._database.write(SERVICE, [session.tenant]) as sql:
            rows = await sql.fetch(
                "update bff_workstation.sessions set ended_at = $3, end_reason = $4, tokens = ''"
                " where tenant = $1 and cookie_hash = $2 and ended_at is null returning 1",
                session.tenant,
                session.cookie_hash,
                at,
                reason,
            )
        return bool(rows)

    async def sweep(self, before: int) -> None:
        """Removes sessions that were over long ago."""
        async with self._database.write(SERVICE, []) as sql:
            await sql.execute(
                "delete from bff_workstation.sessions where (tenant, cookie_hash) in"
                " (select tenant, cookie_hash from bff_workstation.sessions"
                "  where expires_at < $1 limit 500)",
                before,
            )
