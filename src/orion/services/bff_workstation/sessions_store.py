"""Browser sessions in PostgreSQL: only a hash of the cookie, and the tokens encrypted with a key
that is not in the database. Beside it, in a cache that processes share, what was found there
lately.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from orion.platform.cache.aside import Aside

_COLUMNS = (
    "tenant, cookie_hash, session_id, subject, user_name, created_at, last_used_at, expires_at,"
    " tokens, tokens_version, ended_at"
)
_NONCE_BYTES = 12
_NOTE = b"session note:"
SERVICE = "bff_workstation"
SECOND = 1_000_000
CACHE_S = 10.0  # how long a session may be taken from the cache after its row was read
SKEW_S = 2.0  # how far ahead another copy's clock may be
LOOK_BACK_S = 30  # longer than what was read before an end lives: cache, then memory, and skew


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


class _Note(msgspec.Struct, frozen=True, array_like=True):
    """A session as it lies in the cache."""

    read_at: int  # when its row was read, by the reader's clock
    session: Session


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

    def close_note(self, session: Session, read_at: int) -> bytes:
        """A whole session for the cache: nothing of it can be read there."""
        nonce, note = secrets.token_bytes(_NONCE_BYTES), _Note(read_at, session)
        about = _NOTE + session.cookie_hash
        return nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(note), about)

    def open_note(self, sealed: bytes, cookie_hash: bytes) -> tuple[Session, int] | None:
        """(session, when its row was read); None for bytes that are not ours, or of another."""
        try:
            nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            plain = self._cipher.decrypt(nonce, body, _NOTE + cookie_hash)
            note = msgspec.msgpack.decode(plain, type=_Note)
        except (InvalidTag, ValueError):  # another version's note is none of ours
            return None
        return note.session, note.read_at


class SessionStore:
    """The sessions' only SQL. `notes`: a cache beside it, for `look`."""

    def __init__(self, database: Any, vault: Vault, notes: Aside | None = None):
        self._database, self._vault, self._notes = database, vault, notes

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

    async def look(self, tenant: str, cookie_hash: bytes, now: int) -> Session | None:
        """The same as it was up to `CACHE_S` ago. Only for who knows what has ended since."""
        if self._notes is None:
            return await self.find(tenant, cookie_hash)
        key = cookie_hash.hex()
        held = await self._notes.get(key)
        if held is not None and (note := self._vault.open_note(held, cookie_hash)) is not None:
            session, read_at = note
            # An old memory of the cache, or another clock: the row tells.
            if session.tenant == tenant and -SKEW_S <= (now - read_at) / SECOND < CACHE_S:
                return session
        found = await self.find(tenant, cookie_hash)
        if found is not None and found.ended_at is None:
            await self._notes.fill(key, self._vault.close_note(found, now))
        return found

    async def ended(self) -> frozenset[bytes]:
        """The cookies of all sessions that have ended lately, by the database's own clock."""
        async with self._database.write(SERVICE, []) as sql:
            rows = await sql.fetch(
                "select cookie_hash from bff_workstation.sessions"
                " where told_at > clock_timestamp() - make_interval(secs => $1)",
                LOOK_BACK_S,
            )
        return frozenset(row["cookie_hash"] for row in rows)

    @asynccontextmanager
    async def _changed(self, session: Session) -> AsyncIterator[Any]:
        """A transaction that changes this session; the cache does not tell the old one after it."""
        async with AsyncExitStack() as stack:
            if self._notes is not None:
                await stack.enter_async_context(self._notes.change(session.cookie_hash.hex()))
            yield await stack.enter_async_context(self._database.write(SERVICE, [session.tenant]))

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
        async with self._changed(session) as sql:
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
        async with self._changed(session) as sql:
            rows = await sql.fetch(
                "update bff_workstation.sessions set ended_at = $3, end_reason = $4, tokens = '',"
                " told_at = clock_timestamp()"
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
