"""What happens to sessions and users, as events. They carry no secret:
no password, no token, no cookie.
"""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.values import Instant


@dataclass(frozen=True, slots=True)
class UserLoggedIn:
    """Someone signed in."""

    at: Instant
    subject: str
    user: str
    session_id: str
    client: str             # which application
    address: str | None = None


@dataclass(frozen=True, slots=True)
class UserLoggedOut:
    """A session ended: by the user, by time, or because it was ended for them."""

    at: Instant
    subject: str
    user: str
    session_id: str
    reason: str             # LOGOUT, IDLE, EXPIRED, DISABLED, REUSE, PROVIDER, REVOKED


@dataclass(frozen=True, slots=True)
class LoginFailed:
    """A try to sign in that failed. `subject` is None when the name is nobody's."""

    at: Instant
    user: str               # the name as typed, cut to a bounded length
    reason: str             # UNKNOWN_USER, WRONG_PASSWORD, DISABLED, SLOWED
    failures: int           # in a row
    subject: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class UserDisabled:
    """A user may no longer do anything; open sessions ended."""

    at: Instant
    subject: str
    user: str
    by: str
    sessions_ended: int = 0


@dataclass(frozen=True, slots=True)
class RefreshTokenReused:
    """A refresh token came a second time: the whole family of tokens was revoked."""

    at: Instant
    subject: str
    user: str
    session_id: str
    client: str
    address: str | None = None
