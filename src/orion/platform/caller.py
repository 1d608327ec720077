"""Who is calling: the verified content of a token, and nothing that a client could have written
itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Grants:
    """What a user may deal: entitlements beside the roles."""

    asset_classes: frozenset[str]
    instrument_ids: frozenset[str] | None  # None: all of the asset classes
    venue_ids: frozenset[str]
    max_notional: Decimal  # USD
    rfq_per_minute: int


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified user, or a service of ours (`service` set, tenant empty)."""

    tenant: str
    subject: str
    user: str  # trader@alpha
    display_name: str
    desk: str
    roles: frozenset[str]
    grants: Grants | None
    session_id: str
    issued_at: int  # seconds
    expires_at: int  # seconds
    token: str  # to forward
    service: str | None = None
    session_expires_at: int = 0  # seconds: when the sign-in ends, however often tokens are renewed
