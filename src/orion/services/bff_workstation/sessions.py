"""Who is asking: a browser by its session cookie, a program by its bearer token. Tokens never
reach a browser's scripts.

A session ends by itself after a time without use and after a time in any case; its access token is
renewed silently before
it ends, once however many requests wait for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from litestar.connection import ASGIConnection

from orion.platform import telemetry
from orion.platform.auth import Verifier
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.ids import new_token
from orion.services.bff_workstation.sessions_ended import EndedSessions
from orion.services.bff_workstation.sessions_oidc import (
    IdentityProvider,
    SignInOver,
    issued_at,
)
from orion.services.bff_workstation.sessions_store import (
    CACHE_S,
    Session,
    SessionStore,
    TokenSet,
)
from orion.services.bff_workstation.sessions_trail import Trail

SECOND = 1_000_000
RENEW_BEFORE_US = 60 * SECOND
LOOK_AGAIN_US = 2 * SECOND  # how long a session is trusted when nobody tells of its end
TOUCH_EVERY_US = 20 * SECOND
RENEWAL_LEASE_US = 10 * SECOND
MAX_KEPT = 4096
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_ENDED = telemetry.counter("sessions_ended", "Browser sessions that ended", ("reason",))


@dataclass(slots=True)
class _Kept:
    session: Session
    seen_at: int  # when the row was looked at
    used_at: int
    touched_at: int  # the use that the row knows


class _Over(Exception):
    """By what is known of it, this session has ended."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class Sessions:
    """Makes, finds, renews and ends browser sessions."""

    def __init__(
        self,
        store: SessionStore,
        provider: IdentityProvider,
        verifier: Verifier,
        clock: Clock,
        *,
        cookie: str,
        origins: frozenset[str],
        idle_s: int,
        longest_s: int,
        trail: Trail | None = None,
        ended: EndedSessions | None = None,
    ):
        """`trail`: where sign-ins at another issuer are told; the embedded one knows its own.
        `ended`: what other copies of this service ended; None where there is only this one."""
        self._store, self._provider, self._verifier, self._trail = store, provider, verifier, trail
        self._clock, self.cookie, self.origins = clock, cookie, origins
        self._idle, self.longest_s = idle_s * SECOND, longest_s
        self._ended = ended
        # Who knows what has ended elsewhere may remember longer: as long as the cache does.
        self._look_again_us = LOOK_AGAIN_US if ended is None else int(CACHE_S * SECOND)
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._renewals: dict[bytes, asyncio.Task[Session]] = {}

    # -- for every request

    async def authenticate(self, connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
        """The verified caller. Raises AUTH-101, AUTH-102, AUTH-104 (a write from another site),
        AUTH-105, Unavailable."""
        given = connection.headers.getall("authorization", [])
        if given:
            return await self._by_token(given)
        cookie = connection.cookies.get(self.cookie)
        if not cookie:
            raise Coded("AUTH-101")
        if connection.scope.get("method") not in SAFE_METHODS:
            self.check_origin(connection)
        return await self.resolve(cookie)

    async def _by_token(self, given: list[str]) -> Caller:
        scheme, _, token = given[0].partition(" ")
        if len(given) != 1 or scheme.lower() != "bearer" or not token:
            raise Coded("AUTH-102")
        caller = await self._verifier.verify(token.strip())
        if caller.service is not None:
            raise Coded("AUTH-102")
        return caller

    def check_origin(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """A write borne by a cookie must come from a page of ours. Raises AUTH-104."""
        origins = connection.headers.getall("origin", [])
        if len(origins) != 1 or origins[0] not in self.origins:
            raise Coded("AUTH-104")

    async def resolve(self, cookie: str, *, is_use: bool = True) -> Caller:
        """Who holds this cookie; `is_use` False looks without keeping the session alive. Raises
        AUTH-105."""
        kept = await self._find(cookie)
        try:
            return await self._judged(kept, is_use=is_use)
        except _Over:
            pass
        # What was remembered does not end a session: another copy may have used or renewed it.
        kept = await self._find(cookie, is_fresh=True)
        try:
            return await self._judged(kept, is_use=is_use)
        except _Over as over:
            raise await self._over(kept.session, over.reason) from over.__cause__

    async def _judged(self, kept: _Kept, *, is_use: bool) -> Caller:
        session, now = kept.session, self._clock.now()
        if now >= session.expires_at:
            raise _Over("EXPIRED")
        if now - kept.used_at >= self._idle:
            raise _Over("IDLE")
        if session.tokens.access_expires_at - now < RENEW_BEFORE_US:
            session = kept.session = await self._renewed(session)
        if is_use:
            await self._note_use(kept, now)
        try:
            caller = await self._verifier.verify(session.tokens.access)
            if caller.session_expires_at:
                return caller
            # Only we know how long this lasts when the issuer is another one.
            return replace(caller, session_expires_at=session.expires_at // SECOND)
        except Unavailable:
            raise
        except Coded as refusal:
            # Revoked (signed out elsewhere, disabled), or signed by a key that is gone.
            raise _Over("REVOKED") from refusal

    async def _find(self, cookie: str, *, is_fresh: bool = False) -> _Kept:
        """`is_fresh`: as its row is now."""
        digest = fingerprint(cookie)
        kept, now = self._kept.get(digest), self._clock.now()
        is_recent = kept is not None and now - kept.seen_at < self._look_again_us and not is_fresh
        if kept is not None and is_recent and self._may_trust(digest):
            return kept
        tenant = tenant_of(cookie)
        session = await self._looked_up(tenant, digest, is_fresh) if tenant else None
        if session is None or session.ended_at is not None:
            self._kept.pop(digest, None)
            raise Coded("AUTH-105")
        used, touched = session.last_used_at, session.last_used_at
        if kept is not None:  # the cache may know less
            used, touched = max(used, kept.used_at), max(touched, kept.touched_at)
        kept = self._kept[digest] = _Kept(session, now, used, touched)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return kept

    def _may_trust(self, digest: bytes) -> bool:
        return self._ended is None or self._ended.may_trust(digest)

    async def _looked_up(self, tenant: str, digest: bytes, is_fresh: bool) -> Session | None:
        if self._ended is not None and not is_fresh and self._ended.may_trust(digest):
            session = await self._store.look(tenant, digest, self._clock.now())
            if self._ended.may_trust(digest):  # still: the cache may have taken its time
                return session
        return await self._store.find(tenant, digest)

    async def _note_use(self, kept: _Kept, now: int) -> None:
        kept.used_at = max(kept.used_at, now)
        if now - kept.touched_at >= min(TOUCH_EVERY_US, self._idle // 4):
            before, kept.touched_at = kept.touched_at, now
            try:
                await self._store.touch(kept.session, now)
            except Unavailable:
                kept.touched_at = before
                raise

    # -- renewal

    async def _renewed(self, session: Session) -> Session:
        digest = session.cookie_hash
        task = self._renewals.get(digest)
        if task is None:
            task = asyncio.create_task(self._renew(session))
            self._renewals[digest] = task
            task.add_done_callback(lambda _: self._renewals.pop(digest, None))
        try:
            # A browser that hangs up must not break the exchange in the middle: the old refresh
            # token is used up by then.
            return await asyncio.shield(task)
        except SignInOver:
            reason = "PROVIDER" if self._provider.is_external else "REVOKED"
            raise await self._over(session, reason) from None
        except Unavailable:
            if self._clock.now() < session.tokens.access_expires_at:
                return session  # good for a while yet
            raise

    async def _renew(self, session: Session) -> Session:
        now = self._clock.now()
        if not await self._store.claim_renewal(session, now, now + RENEWAL_LEASE_US):
            return await self._renewed_elsewhere(session)
        try:
            tokens = await self._provider.renew(session.tokens)
        except Unavailable:
            await self._store.give_up_renewal(session)
            raise
        return await self._store.renewed(session, tokens)

    async def _renewed_elsewhere(self, session: Session) -> Session:
        for _ in range(100):
            await asyncio.sleep(0.05)
            found = await self._store.find(session.tenant, session.cookie_hash)
            if found is None or found.ended_at is not None:
                raise SignInOver
            if found.tokens_version != session.tokens_version:
                return found
        raise Unavailable("The session is being renewed")

    # -- begin and end

    async def begin(
        self, tokens: TokenSet, caller: Caller, lasts_s: int | None, address: str = ""
    ) -> str:
        """A new session for fresh tokens; gives the cookie's value, never one that a browser
        brought. Raises Unavailable when the sign-in cannot be put on record."""
        if self._trail is not None:
            await self._trail.began(caller, address)
        now = self._clock.now()
        cookie = f"{caller.tenant}.{new_token()}"
        session = Session(
            tenant=caller.tenant,
            cookie_hash=fingerprint(cookie),
            session_id=caller.session_id,
            subject=caller.subject,
            user_name=caller.user,
            created_at=now,
            last_used_at=now,
            expires_at=now + min(lasts_s or self.longest_s, self.longest_s) * SECOND,
            tokens=tokens,
        )
        await self._store.add(session)
        return cookie

    async def end(self, cookie: str) -> TokenSet | None:
        """Signs out: here, and at the provider, so that tokens and sockets end everywhere. Gives
        the tokens it held. Idempotent."""
        session = await self._open_session(cookie)
        if session is None:
            return None
        await self._finish(session, "LOGOUT")
        return session.tokens

    async def give_way(self, cookie: str, to: Caller) -> None:
        """Ends the session that a browser has when it signs in anew. Where the provider's sign-in
        is still the same one, that goes on: the new tokens are its."""
        session = await self._open_session(cookie)
        if session is None:
            return
        if session.session_id != to.session_id:
            await self._finish(session, "LOGOUT")
            return
        self._kept.pop(session.cookie_hash, None)
        await self._store.end(session, "LOGOUT", self._clock.now())

    async def end_of(self, session_id: str, subject: str) -> int:
        """The provider ended a sign-in, or all of a subject (`session_id` empty); gives how many
        sessions ended here."""
        found = await self._store.of_sign_in(session_id, subject)
        for session in found:
            await self._finish(session, "PROVIDER")
        return len(found)

    async def _open_session(self, cookie: str) -> Session | None:
        tenant = tenant_of(cookie)
        session = await self._store.find(tenant, fingerprint(cookie)) if tenant else None
        return session if session is not None and session.ended_at is None else None

    async def _over(self, session: Session, reason: str) -> Coded:
        await self._finish(session, reason)
        return Coded("AUTH-105")

    async def _finish(self, session: Session, reason: str) -> None:
        self._kept.pop(session.cookie_hash, None)
        if not await self._store.end(session, reason, self._clock.now()):
            return
        _ENDED.labels(reason).inc()
        if self._trail is not None:
            await self._trail.ended(session, reason, issued_at(session.tokens.access))
        if reason in ("REVOKED", "PROVIDER"):
            return
        try:
            await self._provider.sign_out(session.tokens, reason)
        except (Unavailable, SignInOver) as error:
            telemetry.log.warning(
                "the sign-in could not be ended at the provider",
                tenant=session.tenant,
                session=session.session_id,
                error=str(error),
            )


def fingerprint(cookie: str) -> bytes:
    """What is stored instead of the cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


def tenant_of(cookie: str) -> str | None:
    """The tenant a cookie names; None when it has not the shape of one of ours."""
    tenant, dot, rest = cookie.partition(".")
    plain = tenant.isascii() and tenant.replace("-", "").isalnum() and len(tenant) <= 40
    return tenant if dot and plain and 40 <= len(rest) <= 64 and rest.isascii() else None
