"""What is in a token. Access tokens say who, for which tenant, with which roles and entitlements,
in which session."""

from __future__ import annotations

import hashlib
from typing import Any

from orion.platform.auth import AUDIENCE, USER_TYPE
from orion.platform.clock import Clock
from orion.platform.ids import new_token, new_uuid
from orion.services.identity.keys import SigningKeys
from orion.services.identity.records import SignIn, User

SECOND = 1_000_000


class Tokens:
    """Makes access and ID tokens for this issuer."""

    def __init__(self, keys: SigningKeys, issuer: str, clock: Clock):
        self.keys, self.issuer, self._clock = keys, issuer, clock

    def access(self, user: User, sign_in: SignIn, life_s: int) -> str:
        """An access token of this sign-in that lives `life_s`."""
        # Tokens issued in the second of a revocation are dead, so the first good one is of the
        # next second.
        now = max(self._clock.now() // SECOND, user.not_before // SECOND + 1)
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user.user_id,
            "iat": now,
            "exp": now + life_s,
            "jti": new_uuid(),
            "client_id": sign_in.client_id,
            "sid": sign_in.session_id,
            "session_exp": sign_in.expires_at // SECOND,
            **profile(user),
        }
        return self.keys.sign(claims, USER_TYPE)

    def identity(
        self,
        user: User,
        session_id: str,
        client_id: str,
        nonce: str | None,
        auth_time: int,
        life_s: int,
    ) -> str:
        """An ID token for the client; it opens no door (other audience, other type)."""
        now = self._clock.now() // SECOND
        claims = {
            "iss": self.issuer,
            "aud": client_id,
            "sub": user.user_id,
            "iat": now,
            "exp": now + life_s,
            "auth_time": auth_time // SECOND,
            "sid": session_id,
            "preferred_username": user.login,
            "name": user.display_name,
        }
        if nonce:
            claims["nonce"] = nonce
        return self.keys.sign(claims, "JWT")


def profile(user: User) -> dict[str, Any]:
    """The claims that describe a user."""
    instruments = None if user.instrument_ids is None else list(user.instrument_ids)
    return {
        "tenant": user.tenant,
        "user": user.login,
        "name": user.display_name,
        "desk": user.desk,
        "roles": list(user.roles),
        "ent": {
            "assetClasses": list(user.asset_classes),
            "instrumentIds": instruments,
            "venueIds": list(user.venue_ids),
            "maxNotional": format(user.max_notional, "f"),
            "rfqPerMinute": user.rfq_per_minute,
        },
    }


def new_secret(tenant: str) -> str:
    """A random code or refresh token. It names its tenant, so that it is looked for in that
    tenant's rows only."""
    return f"{tenant}.{new_token()}"


def tenant_of(secret: str) -> str | None:
    """The tenant a code, refresh token or cookie names; None when it has not that shape."""
    tenant, dot, rest = secret.partition(".")
    return tenant if dot and rest and is_tenant(tenant) else None


def is_tenant(text: str) -> bool:
    """True when this could be a tenant's id."""
    return (
        0 < len(text) <= 40
        and text.isascii()
        and text.replace("-", "").isalnum()
        and text.islower()
    )


def fingerprint(secret: str) -> bytes:
    """What is stored instead of a random secret."""
    return hashlib.sha256(secret.encode()).digest()
