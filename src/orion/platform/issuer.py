"""What the tokens of the configured issuer look like, and where in them it stands who someone is.

The embedded provider's tokens have one shape, ours. Those of another issuer (Keycloak, Cognito,
any OpenID provider) are described by settings: which algorithms, types and audiences are taken,
and which claim holds what. Nothing here is guessed from a token: what was not configured is
refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orion.platform.config import ConfigError, PlatformConfig, Settings
from orion.platform.errors import Coded

AUDIENCE = "orion"
USER_TYPE = "at+jwt"
# Asymmetric only, each with the keys it works with: (key type, curve). Nothing else can be set.
ALGORITHMS: dict[str, tuple[str, str]] = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "RS256": ("RSA", ""),
    "PS256": ("RSA", ""),
}
TYPES = ("at+jwt", "application/at+jwt", "JWT", "-")
NO_TYPE = "-"  # how a header without `typ` is written in the settings
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
# Names under which the platform keeps what is nobody's: no issuer may speak for them.
RESERVED_TENANTS = frozenset({"shared", "identity"})
LONGEST = 200
MOST_ROLES = 200
MARKS = "typ=Bearer (Keycloak) or token_use=access (Cognito)"
NOTHING = {"assetClasses": [], "venueIds": [], "maxNotional": "0", "rfqPerMinute": 0}


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claim holds what: looked for by this name, then as a path (`realm_access.roles`)."""

    tenant: str = "tenant"
    user: str = "user"
    name: str = "name"
    desk: str = "desk"
    roles: str = "roles"
    entitlements: str = "ent"
    session: str = "sid"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The one issuer whose user tokens are taken."""

    url: str
    is_external: bool = False
    audiences: frozenset[str] = frozenset({AUDIENCE})
    audience_claim: str = "aud"
    algorithms: frozenset[str] = frozenset({"ES256"})
    types: frozenset[str] = frozenset({USER_TYPE})
    access_mark: tuple[str, str] | None = None  # a claim that only access tokens have
    tenants: frozenset[str] = frozenset()  # empty: any
    roles: frozenset[str] = frozenset()  # those that mean something here
    claims: ClaimNames = ClaimNames()

    def is_for_us(self, claims: Mapping[str, Any]) -> bool:
        """True when an access token with these claims is from this issuer, for us, and no ID
        token."""
        if claims.get("iss") != self.url:
            return False
        if self.access_mark and claims.get(self.access_mark[0]) != self.access_mark[1]:
            return False
        given = claims.get(self.audience_claim)
        audiences = given if isinstance(given, list) else [given]
        return any(isinstance(a, str) and a in self.audiences for a in audiences)

    def is_identity_for(self, client_id: str, claims: Mapping[str, Any]) -> bool:
        """True when an ID token with these claims is from this issuer for this client."""
        mark = self.access_mark
        if claims.get("iss") != self.url or (mark and claims.get(mark[0]) == mark[1]):
            return False
        given = claims.get("aud")
        audiences = given if isinstance(given, list) else [given]
        made_for = claims.get("azp")
        # Of several audiences the one it was made for must be named (OIDC Core, 3.1.3.7).
        if client_id not in audiences or (len(audiences) > 1 and made_for is None):
            return False
        return made_for in (None, client_id)

    def translated(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """The claims under our own names. Raises AUTH-109 where the account has no tenant or role
        here, ValueError where a claim has not its shape."""
        names = self.claims
        subject = _text(claims.get("sub"))
        tenant = self._tenant(_found(claims, names.tenant))
        # A machine's token has no user: it is called as its client.
        user = _text(_found(claims, names.user) or claims.get("client_id") or claims.get("azp"))
        return {
            "iss": claims.get("iss"),
            "aud": AUDIENCE,
            "sub": subject,
            "exp": claims.get("exp"),
            "iat": claims.get("iat"),
            "nbf": claims.get("nbf"),
            "tenant": tenant,
            "user": user,
            "name": _text(_found(claims, names.name) or user),
            "desk": _text(_found(claims, names.desk) or "", least=0),
            "roles": self._roles(_found(claims, names.roles)),
            "ent": _entitlements(_found(claims, names.entitlements)),
            # Without a session (a machine's token) the token stands for itself.
            "sid": _text(_found(claims, names.session) or claims.get("jti")),
        }

    def session_of(self, claims: Mapping[str, Any]) -> str:
        """The provider's session that a token names; empty when it names none."""
        found = _found(claims, self.claims.session)
        return found if isinstance(found, str) else ""

    def _tenant(self, given: Any) -> str:
        # Cognito and Keycloak give the values of an attribute as a list.
        one = given[0] if isinstance(given, list) and len(given) == 1 else given
        if not isinstance(one, str) or not TENANT.match(one) or one in RESERVED_TENANTS:
            raise Coded("AUTH-109")
        if self.tenants and one not in self.tenants:
            raise Coded("AUTH-109")
        return one

    def _roles(self, given: Any) -> list[str]:
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list) or len(listed) > MOST_ROLES:
            raise Coded("AUTH-109")
        known = sorted({r for r in listed if isinstance(r, str)} & self.roles)
        if not known:
            raise Coded("AUTH-109")
        return known


def _found(claims: Mapping[str, Any], name: str) -> Any:
    if name in claims:  # a name may have dots of its own: https://orion.example/roles
        return claims[name]
    found: Any = claims
    for step in name.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _text(value: Any, least: int = 1) -> str:
    if not isinstance(value, str) or not least <= len(value) <= LONGEST or not value.isprintable():
        raise ValueError("not a text")
    return value


def _entitlements(given: Any) -> dict[str, Any]:
    """As our own tokens have them. None given: nothing may be dealt, not everything."""
    if isinstance(given, str):  # issuers whose attributes are texts hold it as JSON
        given = json.loads(given)
    if given is None:
        return dict(NOTHING)
    if not isinstance(given, Mapping):
        raise ValueError("entitlements")
    ent = {**NOTHING, **given}
    if isinstance(ent["maxNotional"], int) and not isinstance(ent["maxNotional"], bool):
        ent["maxNotional"] = str(ent["maxNotional"])
    return ent


def issuer_of(settings: Settings, roles: Iterable[str]) -> Issuer:
    """The issuer of these settings; `roles` are those that mean something here. Raises
    ConfigError."""
    platform = settings.platform
    if not settings.has_external_issuer:
        return Issuer(settings.issuer)
    check_address("ORION_OIDC_ISSUER", settings.issuer)
    if platform.oidc_jwks_url:
        check_address("ORION_OIDC_JWKS_URL", platform.oidc_jwks_url)
    types = _some("ORION_OIDC_TOKEN_TYPES", platform.oidc_token_types, TYPES)
    mark = _mark(platform, types)
    return Issuer(
        url=settings.issuer,
        is_external=True,
        audiences=_some("ORION_OIDC_AUDIENCE", platform.oidc_audience),
        audience_claim=platform.oidc_audience_claim,
        algorithms=_some("ORION_OIDC_ALGORITHMS", platform.oidc_algorithms, ALGORITHMS),
        types=types,
        access_mark=mark,
        tenants=frozenset(_listed(platform.oidc_tenants)),
        roles=frozenset(roles),
        claims=ClaimNames(
            tenant=platform.oidc_claim_tenant,
            user=platform.oidc_claim_user,
            name=platform.oidc_claim_name,
            desk=platform.oidc_claim_desk,
            roles=platform.oidc_claim_roles,
            entitlements=platform.oidc_claim_entitlements,
            session=platform.oidc_claim_session,
        ),
    )


def check_address(key: str, address: str) -> None:
    """Raises ConfigError unless this is an https address, or one of this machine."""
    url = urlsplit(address)
    is_here = url.scheme == "http" and url.hostname in ("localhost", "127.0.0.1", "::1")
    is_plain = bool(url.hostname) and not (url.query or url.fragment or url.username)
    if not (is_here or url.scheme == "https") or not is_plain:
        raise ConfigError(key, f"{address} is no https address", "Use https://HOST/PATH")


def _mark(platform: PlatformConfig, types: frozenset[str]) -> tuple[str, str] | None:
    name, equals, value = platform.oidc_access_mark.partition("=")
    if equals and name and value:
        return name, value
    if platform.oidc_access_mark:
        problem = f"{platform.oidc_access_mark!r} is not NAME=VALUE"
        raise ConfigError("ORION_OIDC_ACCESS_MARK", problem, f"Such as {MARKS}")
    if types & {"JWT", NO_TYPE}:
        problem = "is needed where an access token's type is JWT or missing"
        raise ConfigError(
            "ORION_OIDC_ACCESS_MARK", problem, f"Name a claim that ID tokens have not: {MARKS}"
        )
    return None


def _some(key: str, text: str, choices: Iterable[str] | None = None) -> frozenset[str]:
    given = _listed(text)
    known = None if choices is None else list(choices)
    unknown = [g for g in given if known is not None and g not in known]
    if unknown or not given:
        one_of = "one name or more" if known is None else f"some of: {', '.join(known)}"
        raise ConfigError(key, f"{text!r} cannot be used", f"Use {one_of}")
    return frozenset(given)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
