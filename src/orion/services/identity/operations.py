"""What identity does, without HTTP and gRPC around it: sign in, exchange, sign out, disable,
mint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749.errors import OAuth2Error

from orion.core.identity import (
    LoginFailed,
    RefreshTokenReused,
    UserDisabled,
    UserLoggedIn,
    UserLoggedOut,
)
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.platform.ids import new_uuid
from orion.services.identity import queries
from orion.services.identity.config import Config
from orion.services.identity.feed import Feed
from orion.services.identity.journal import Journal
from orion.services.identity.passwords import Passwords
from orion.services.identity.provider import Client, Exchange, Incoming, Response, refusal
from orion.services.identity.records import Code, Refresh, SignIn, User
from orion.services.identity.throttle import Throttle, Try
from orion.services.identity.tokens import SECOND, Tokens, fingerprint, is_tenant, tenant_of

MAX_LOGIN = 120
CLI = "orion-cli"


@dataclass(frozen=True)
class Parts:
    """What the operations work with."""

    database: Any
    clock: Clock
    config: Config
    session_max_s: int
    tokens: Tokens
    passwords: Passwords
    throttle: Throttle
    journal: Journal
    feed: Feed
    clients: Mapping[str, Client]


class Operations:
    """Identity's operations. Each is one transaction; what happened is told after it."""

    def __init__(self, parts: Parts):
        self._p = parts

    # -- sign in

    def check_authorization(self, request: Incoming) -> None:
        """Checks an authorization request before a page is shown. Raises OAuth2Error."""
        self._exchange().get_consent_grant(request)

    async def sign_in(
        self, request: Incoming, login: str, password: str, address: str
    ) -> Response | Failed:
        """Checks the password; on success the redirection with a code. Raises AUTH-106 and
        OAuth2Error."""
        login = login.strip().lower()[:MAX_LOGIN]
        made = await self._enter(login, address)
        user = await self._find(login)
        fits = await self._p.passwords.matches(user.password_hash if user else None, password)
        if user is None or not fits or user.disabled:
            reason = "UNKNOWN_USER" if user is None else "DISABLED" if fits else "WRONG_PASSWORD"
            return await self._failed(made, login, user, reason, address)
        await self._p.throttle.succeeded(made)
        exchange = self._exchange(user=user)
        grant = exchange.get_consent_grant(request, end_user=user)
        response: Any = exchange.create_authorization_response(
            request, grant_user=user, grant=grant
        )
        if exchange.new_code:
            async with self._write(user.tenant) as sql:
                await queries.add_code(sql, exchange.new_code)
        return response

    async def _enter(self, login: str, address: str) -> Try:
        try:
            return await self._p.throttle.enter(login, address)
        except Coded:
            await self._tell_failure(login, await self._find(login), "SLOWED", 0, address)
            raise

    async def _failed(
        self, made: Try, login: str, user: User | None, reason: str, address: str
    ) -> Failed:
        await self._tell_failure(login, user, reason, made.failures, address)
        await self._p.throttle.failed(made)
        return Failed(made.left)

    async def _tell_failure(
        self, login: str, user: User | None, reason: str, failures: int, address: str
    ) -> None:
        tenant = user.tenant if user else await self._known_tenant(login)
        if tenant is None:
            return  # belongs to no tenant's trail; it is counted all the same
        event = LoginFailed(
            at=self._p.clock.now(),
            # A name that is nobody's may be a password typed in the wrong field: it is not kept.
            user=user.login if user else f"?@{tenant}",
            reason=reason,
            failures=failures,
            subject=user.user_id if user else None,
            address=address,
        )
        async with self._write(tenant) as sql:
            await self._p.journal.note(sql, tenant, event)
        self._p.journal.wake()

    async def _find(self, login: str) -> User | None:
        name, at, tenant = login.partition("@")
        if not (name and at and is_tenant(tenant) and "\0" not in name):
            return None
        async with self._write(tenant) as sql:
            return await queries.user_by_name(sql, tenant, name)

    async def _known_tenant(self, login: str) -> str | None:
        tenant = login.partition("@")[2]
        if not is_tenant(tenant):
            return None
        async with self._write(tenant) as sql:
            return tenant if tenant in await queries.tenants(sql) else None

    # -- tokens

    async def exchange(self, request: Incoming, address: str) -> Response:
        """The token endpoint: a code or a refresh token for tokens."""
        form = request.form
        kind = form.get("grant_type")
        secret = form.get("code" if kind == "authorization_code" else "refresh_token") or ""
        tenant = tenant_of(secret)
        if tenant is None:  # nothing to look for; the rules still check the client first
            return self._exchange().create_token_response(request)
        async with self._write(tenant) as sql:
            code, refresh, user = await self._load(sql, kind, tenant, secret)
            exchange = self._exchange(user=user, code=code, refresh=refresh)
            response = exchange.create_token_response(request)
            await self._write_down(sql, exchange, code, refresh)
            ended = await self._note_exchange(sql, exchange, user, address)
        self._p.journal.wake()
        if ended:
            self._p.feed.wake()
        return response

    async def _load(
        self, sql: Any, kind: str | None, tenant: str, secret: str
    ) -> tuple[Code | None, Refresh | None, User | None]:
        code = refresh = None
        if kind == "authorization_code":
            code = await queries.lock_code(sql, tenant, fingerprint(secret))
        elif kind == "refresh_token":
            refresh = await queries.lock_refresh(sql, tenant, fingerprint(secret))
        user_id = code.user_id if code else refresh.sign_in.user_id if refresh else None
        user = await queries.user_by_id(sql, tenant, user_id) if user_id else None
        return code, refresh, user

    async def _write_down(
        self, sql: Any, exchange: Exchange, code: Code | None, refresh: Refresh | None
    ) -> None:
        now = self._p.clock.now()
        if exchange.new_refresh and exchange.session_id:
            tenant = (code or refresh.sign_in).tenant  # type: ignore[union-attr]
            if exchange.new_sign_in and code:
                await queries.add_sign_in(sql, exchange.new_sign_in)
                await queries.use_code(sql, code, exchange.session_id)
            if refresh:
                await queries.use_refresh(sql, tenant, refresh.token_hash, now)
            digest = fingerprint(exchange.new_refresh)
            await queries.add_refresh(sql, tenant, digest, exchange.session_id, now)
        elif exchange.reused:
            await queries.end_sign_in(
                sql, exchange.reused.tenant, exchange.reused.session_id, "REUSE", now
            )
        elif exchange.replayed and code:
            await queries.end_sign_in(sql, code.tenant, exchange.replayed, "REUSE", now)

    async def _note_exchange(
        self, sql: Any, exchange: Exchange, user: User | None, address: str
    ) -> bool:
        """Notes what happened; True when a sign-in was ended by it."""
        if user is None:
            return False
        now, who = self._p.clock.now(), (user.user_id, user.login)
        if new := exchange.new_sign_in:
            event = UserLoggedIn(now, *who, new.session_id, new.client_id, address)
            await self._p.journal.note(sql, user.tenant, event)
        if old := exchange.reused:
            reuse = RefreshTokenReused(now, *who, old.session_id, old.client_id, address)
            await self._p.journal.note(sql, user.tenant, reuse)
        ended = exchange.reused.session_id if exchange.reused else exchange.replayed
        if ended:
            out = UserLoggedOut(now, *who, ended, "REUSE")
            await self._p.journal.note(sql, user.tenant, out)
        return ended is not None

    # -- end

    async def sign_out(self, tenant: str, session_id: str, reason: str = "LOGOUT") -> None:
        """Ends a sign-in: its tokens are dead everywhere within a second. Idempotent."""
        now = self._p.clock.now()
        async with self._write(tenant) as sql:
            sign_in = await queries.sign_in_of(sql, tenant, session_id)
            user = await queries.user_by_id(sql, tenant, sign_in.user_id) if sign_in else None
            if user is None or not await queries.end_sign_in(sql, tenant, session_id, reason, now):
                return
            event = UserLoggedOut(now, user.user_id, user.login, session_id, reason)
            await self._p.journal.note(sql, tenant, event)
        self._p.feed.wake()
        self._p.journal.wake()

    async def revoke(self, client_id: str, token: str, reason: str = "LOGOUT") -> None:
        """RFC 7009: the holder of a refresh token gives its sign-in back. Unknown ones are
        silently nothing."""
        tenant = tenant_of(token)
        if tenant is None:
            return
        async with self._write(tenant) as sql:
            refresh = await queries.lock_refresh(sql, tenant, fingerprint(token))
        if refresh and refresh.sign_in.client_id == client_id:
            await self.sign_out(tenant, refresh.sign_in.session_id, reason)

    async def set_disabled(self, login: str, disabled: bool, by: str) -> User:
        """Disables (ends every session, kills every token) or enables a user. Raises API-104."""
        user = await self._find(login.strip().lower()[:MAX_LOGIN])
        if user is None:
            raise Coded("API-104", "There is no such user")
        who = (user.user_id, user.login)
        # At least a second after the last time: tokens given since then carry the following second.
        now = max(self._p.clock.now(), user.not_before + SECOND)
        async with self._write(user.tenant) as sql:
            await queries.set_disabled(sql, user, disabled, now)
            ended = await queries.end_all_sign_ins(sql, user, "DISABLED", now) if disabled else []
            for session_id in ended:
                out = UserLoggedOut(now, *who, session_id, "DISABLED")
                await self._p.journal.note(sql, user.tenant, out)
            if disabled and not user.disabled:
                told = UserDisabled(now, *who, by, len(ended))
                await self._p.journal.note(sql, user.tenant, told)
        self._p.feed.wake()
        self._p.journal.wake()
        return user

    async def mint(self, login: str) -> str:
        """An access token with a sign-in of its own, for scripts. Raises API-104."""
        user = await self._find(login.strip().lower()[:MAX_LOGIN])
        if user is None or user.disabled:
            raise Coded("API-104", "There is no such user, or the user is disabled")
        now, life = self._p.clock.now(), self._p.config.cli_token_s
        sign_in = SignIn(
            user.tenant, new_uuid(), user.user_id, CLI, "openid", now, now + life * SECOND
        )
        async with self._write(user.tenant) as sql:
            await queries.add_sign_in(sql, sign_in)
            event = UserLoggedIn(now, user.user_id, user.login, sign_in.session_id, CLI)
            await self._p.journal.note(sql, user.tenant, event)
        self._p.journal.wake()
        return self._p.tokens.access(user, sign_in, life)

    # -- inside

    def _exchange(
        self,
        *,
        user: User | None = None,
        code: Code | None = None,
        refresh: Refresh | None = None,
    ) -> Exchange:
        return Exchange(
            self._p.clients,
            self._p.tokens,
            self._p.config,
            now=self._p.clock.now(),
            session_max_s=self._p.session_max_s,
            user=user,
            code=code,
            refresh=refresh,
        )

    def _write(self, *tenants: str) -> Any:
        return self._p.database.write("identity", list(tenants))


@dataclass(frozen=True, slots=True)
class Failed:
    """User or password is wrong; which of them is not said."""

    tries_left: int


def as_response(error: OAuth2Error) -> Response:
    """A refusal by the rules as a response."""
    return refusal(error)


Pairs = Sequence[tuple[str, str]]
