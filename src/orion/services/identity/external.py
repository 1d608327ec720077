"""What identity does where people sign in at another issuer (Keycloak, Cognito, …).

Accounts, passwords and roles are there. Here: the trail of browser sessions that began and ended,
and who is kept out although the issuer still gives tokens. An account appears with its first
sign-in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orion.core.identity import UserDisabled, UserLoggedIn, UserLoggedOut
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.services.identity import external_queries as queries
from orion.services.identity.feed import Feed
from orion.services.identity.journal import Journal

SECOND = 1_000_000
MAX_LOGIN = 200
FOR_EVER = 1 << 61  # tokens issued up to then are dead: until it is lifted


@dataclass(frozen=True, slots=True)
class Ended:
    """A browser session that ended. `issued_at`: seconds, of the newest access token it held."""

    tenant: str
    subject: str
    user: str
    session_id: str
    reason: str
    issued_at: int


class ExternalSignIns:
    """The operations; each is one transaction, told after it."""

    def __init__(self, database: Any, clock: Clock, journal: Journal, feed: Feed):
        self._database, self._clock, self._journal, self._feed = database, clock, journal, feed

    async def began(self, caller: Caller, client: str, address: str) -> None:
        """Notes a sign-in and whom it was. Raises AUTH-105 for one who is kept out."""
        now = self._clock.now()
        async with self._write(caller.tenant) as sql:
            if await queries.seen(sql, caller, now):
                raise Coded("AUTH-105")
            event = UserLoggedIn(
                now, caller.subject, caller.user, caller.session_id, client, address or None
            )
            await self._journal.note(sql, caller.tenant, event)
        self._journal.wake()

    async def ended(self, ended: Ended) -> None:
        """Notes the end of a browser session; the tokens it held are dead everywhere."""
        now = self._clock.now()
        async with self._write(ended.tenant) as sql:
            event = UserLoggedOut(now, ended.subject, ended.user, ended.session_id, ended.reason)
            await self._journal.note(sql, ended.tenant, event)
            until = ended.issued_at * SECOND
            await queries.revoke_session(sql, ended.tenant, ended.session_id, now, until)
        self._journal.wake()
        self._feed.wake()

    async def set_disabled(self, login: str, disabled: bool, *, tenant: str | None, by: str) -> str:
        """Keeps an account out (every token it has or gets is dead) or lets it in again; gives its
        subject. `tenant` None: of any. Raises API-104."""
        given = login.strip()[:MAX_LOGIN]
        async with self._write(*([tenant] if tenant else [])) as sql:
            found = await queries.accounts(sql, given, tenant)
        if len(found) != 1:
            several = "More than one account is called so" if found else "There is no such user"
            raise Coded("API-104", f"{several} among those who have signed in here")
        account, now = found[0], self._clock.now()
        async with self._write(account.tenant) as sql:
            if not await queries.set_disabled(sql, account, disabled):
                return account.subject  # it is so already
            await queries.lift(sql, account, now)
            if disabled:
                await queries.revoke_subject(sql, account, FOR_EVER)
                event = UserDisabled(now, account.subject, account.user_name, by)
                await self._journal.note(sql, account.tenant, event)
            else:
                await queries.let_in(sql, account, now)
        self._journal.wake()
        self._feed.wake()
        return account.subject

    def _write(self, *tenants: str) -> Any:
        return self._database.write("identity", list(tenants))
