"""The records of identity, as they come from and go to its tables."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class User:
    """A user with everything that goes into a token."""

    tenant: str
    user_id: str
    name: str
    display_name: str
    desk: str
    password_hash: str
    disabled: bool
    not_before: int
    roles: tuple[str, ...]
    asset_classes: tuple[str, ...]
    instrument_ids: tuple[str, ...] | None
    venue_ids: tuple[str, ...]
    max_notional: Decimal
    rfq_per_minute: int

    @property
    def login(self) -> str:
        """How the user is named everywhere: `trader@alpha`."""
        return f"{self.name}@{self.tenant}"


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code: what was agreed when it was given out."""

    tenant: str
    code_hash: bytes
    user_id: str
    client_id: str
    redirect_uri: str
    scope: str
    nonce: str
    challenge: str
    auth_time: int
    expires_at: int
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in, the family of its tokens. Instants in microseconds."""

    tenant: str
    session_id: str
    user_id: str
    client_id: str
    scope: str
    auth_time: int
    expires_at: int
    ended_at: int | None = None
    end_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token as it is stored, with the sign-in it belongs to."""

    token_hash: bytes
    used_at: int | None
    sign_in: SignIn


@dataclass(frozen=True, slots=True)
class Note:
    """An event that waits for the log."""

    tenant: str
    event_no: int
    entity_id: str
    event_type: str
    body: bytes
    sequence: int | None = None

    def with_sequence(self, sequence: int) -> Note:
        """The same, numbered for the log."""
        return replace(self, sequence=sequence)
