"""The one strict verifier: every entry point (REST, WebSocket, gRPC) asks it who a token stands
for, and nothing else decides.

Two kinds of token, told apart by `typ` before any key is chosen, each with exactly one algorithm,
so that no key of one
kind can ever vouch for the other:

- users: the key named by `kid` among the issuer's public keys; `at+jwt` and ES256 for the embedded
  provider, what is configured for another issuer, of a fixed list (`issuer.py`);
- our services: `orion-service+jwt`, HS256 with the platform's service key, never sent to a browser.

Header fields beyond `alg`, `typ` and `kid` are refused (`jku`, `jwk`, `x5u`, `crit` … would let a
token choose its own key).
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from orion.platform import telemetry
from orion.platform.caller import Caller, Grants
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.platform.ids import new_uuid
from orion.platform.issuer import AUDIENCE, NO_TYPE, USER_TYPE, Issuer
from orion.platform.issuer_keys import HttpKeys, KeySource, PublicKey, StaticKeys, fits
from orion.platform.revocations import Revocations

__all__ = [
    "AUDIENCE",
    "USER_TYPE",
    "HttpKeys",
    "KeySource",
    "ServiceTokens",
    "StaticKeys",
    "Verifier",
    "mint_service_token",
    "without_token",
]
SERVICE_TYPE = "orion-service+jwt"
SERVICE_ISSUER = "orion-services"
LEEWAY_S = 5
MAX_TOKEN_BYTES = 8192
MAX_USER_LIFE_S = 3600
MAX_SERVICE_LIFE_S = 120
MAX_REMEMBERED = 4096
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_S = 120

_FORGED = telemetry.counter("tokens_refused", "Tokens that did not pass the verifier", ("reason",))


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: str
    typ: str = NO_TYPE
    kid: str | None = None


class _Entitlements(msgspec.Struct, rename="camel"):
    asset_classes: list[str]
    venue_ids: list[str]
    max_notional: str
    rfq_per_minute: int
    instrument_ids: list[str] | None = None


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    sub: str
    exp: int
    iat: int
    nbf: int | None = None


class _UserClaims(_Claims, kw_only=True):
    tenant: str
    user: str
    name: str
    desk: str
    roles: list[str]
    ent: _Entitlements
    sid: str
    session_exp: int = 0


class _IdentityBasics(msgspec.Struct):
    sub: str
    exp: int
    iat: int
    nonce: str
    nbf: int | None = None


class _IdentityClaims(_Claims, kw_only=True):
    nonce: str
    sid: str


@dataclass(frozen=True, slots=True)
class _Parts:
    header: _Header
    payload: bytes


def _base64(part: str) -> bytes:
    # Strict: only the URL alphabet without padding, so that one token has one spelling.
    if not part or "=" in part or "+" in part or "/" in part:
        raise ValueError("not base64url")
    text = part.replace("-", "+").replace("_", "/")
    return a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)


@dataclass(frozen=True, slots=True)
class IdentityToken:
    """What an ID token that was given for a request of ours says."""

    subject: str
    session_id: str  # empty where another issuer's token names none


class Verifier:
    """Says who a token stands for. Raises Coded AUTH-102 (not valid), AUTH-105 (revoked), AUTH-109
    (another issuer's account that has no tenant or role here) or Unavailable (no keys yet, or not
    known yet what is revoked)."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: Issuer | str,
        clock: Clock,
        service_key: bytes | None,
        revocations: Revocations | None = None,
    ):
        self._keys, self._clock = keys, clock
        self.issuer = issuer if isinstance(issuer, Issuer) else Issuer(issuer)
        self._service_key = OctKey.import_key(_strong(service_key)) if service_key else None
        self.revocations = revocations or Revocations()
        # What was proven once need not be proven again: the signature of the same bytes does not
        # change. Times and
        # revocations are checked on every call.
        self._proven: OrderedDict[bytes, Caller] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The user or service of this token."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused("size")
        fingerprint = hashlib.blake2b(token.encode(), digest_size=16).digest()
        caller = self._proven.get(fingerprint)
        if caller is None:
            caller = await self._prove(token)
            self._proven[fingerprint] = caller
            while len(self._proven) > MAX_REMEMBERED:
                self._proven.popitem(last=False)
        self._check_times(caller.issued_at, caller.expires_at, None)
        if not self.revocations.is_known and caller.service is None:
            await self.revocations.known()
        if self.revocations.covers(caller.session_id, caller.subject, caller.issued_at):
            raise Coded("AUTH-105")
        return caller

    async def verify_identity(
        self, token: str, *, client_id: str, nonce: str, access_token: str = ""
    ) -> IdentityToken:
        """An ID token that a client was given for its own request, together with the access token
        where one is given. Raises AUTH-102."""
        try:
            claims, algorithm = await self._issued(token, "JWT")
            return self._identity(claims, client_id, nonce, access_token, algorithm)
        except (ValueError, JoseError, msgspec.MsgspecError) as error:
            raise _refused(type(error).__name__) from error

    async def verify_logout(self, token: str, *, client_id: str) -> IdentityToken:
        """A logout token (OpenID Connect Back-Channel Logout): whose sign-in the issuer ended; a
        session, or everything of a subject. Raises AUTH-102."""
        try:
            claims, _ = await self._issued(token, "JWT", "logout+jwt")
            events = claims.get("events")
            fits_us = self.issuer.is_identity_for(client_id, claims) and "nonce" not in claims
            if not fits_us or not isinstance(events, Mapping) or LOGOUT_EVENT not in events:
                raise _refused("logout")
            iat = int(claims["iat"])
            self._check_times(iat, int(claims.get("exp", iat + LOGOUT_S)), None)
            subject = claims.get("sub", "")
            session = self.issuer.session_of(claims)
            if not isinstance(subject, str) or not (subject or session):
                raise _refused("claims")
            return IdentityToken(subject, session)
        except (ValueError, TypeError, KeyError, JoseError, msgspec.MsgspecError) as error:
            raise _refused(type(error).__name__) from error

    async def _issued(self, token: str, *types: str) -> tuple[dict[str, Any], str]:
        """(claims, algorithm) of a token for a client, its signature proven."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused("size")
        header = _header(token)
        # Elsewhere the type may be left out (RFC 7519, 5.1); what they are their claims say.
        may_be_silent = self.issuer.is_external and header.typ == NO_TYPE
        if header.typ not in types and not may_be_silent:
            raise _refused("type")
        key = await self._key(header)
        payload = _signed(token, key, header.alg)
        return msgspec.json.decode(payload, type=dict[str, Any]), header.alg

    def _identity(
        self, claims: dict[str, Any], client_id: str, nonce: str, access_token: str, algorithm: str
    ) -> IdentityToken:
        if not self.issuer.is_external:
            strict = msgspec.convert(claims, _IdentityClaims)
            if strict.aud != client_id:
                raise _refused("issuer or audience")
        # Where there is one it binds the access token to this very answer (OIDC Core, 3.1.3.6).
        half = claims.get("at_hash")
        if access_token and half is not None and half != _half_hash(access_token, algorithm):
            raise _refused("another access token")
        basic = msgspec.convert(claims, _IdentityBasics)
        if not self.issuer.is_identity_for(client_id, claims) or basic.nonce != nonce:
            raise _refused("issuer or audience")
        self._check_times(basic.iat, basic.exp, basic.nbf)
        return IdentityToken(basic.sub, self.issuer.session_of(claims))

    async def _prove(self, token: str) -> Caller:
        try:
            header = _header(token)
            if header.typ == SERVICE_TYPE:
                return self._service(token, header)
            if header.typ in self.issuer.types:
                return await self._user(token, header)
        except (ValueError, JoseError, msgspec.MsgspecError, ArithmeticError) as error:
            raise _refused(type(error).__name__) from error
        raise _refused("type")

    async def _user(self, token: str, header: _Header) -> Caller:
        payload = _signed(token, await self._key(header), header.alg)
        if self.issuer.is_external:
            given = msgspec.json.decode(payload, type=dict[str, Any])
            if not self.issuer.is_for_us(given):
                raise _refused("issuer or audience")
            claims = msgspec.convert(self.issuer.translated(given), _UserClaims)
        else:
            claims = msgspec.json.decode(payload, type=_UserClaims)
        self._check(claims, self.issuer.url, MAX_USER_LIFE_S)
        if not (claims.tenant and claims.sid and claims.user):
            raise _refused("claims")
        return _caller(claims, token)

    async def _key(self, header: _Header) -> PublicKey:
        if header.alg not in self.issuer.algorithms or not header.kid:
            raise _refused("algorithm")
        key = await self._keys.key(header.kid)
        if key is None or not fits(key, header.alg):
            raise _refused("key")
        return key

    def _service(self, token: str, header: _Header) -> Caller:
        if header.alg != "HS256" or header.kid is not None or self._service_key is None:
            raise _refused("algorithm")
        claims = msgspec.json.decode(_signed(token, self._service_key, "HS256"), type=_Claims)
        self._check(claims, SERVICE_ISSUER, MAX_SERVICE_LIFE_S)
        return Caller(
            tenant="",
            subject=claims.sub,
            user=claims.sub,
            display_name=claims.sub,
            desk="",
            roles=frozenset(),
            grants=None,
            session_id="",
            issued_at=claims.iat,
            expires_at=claims.exp,
            token=token,
            service=claims.sub,
        )

    def _check(self, claims: _Claims, issuer: str, longest_s: int) -> None:
        if claims.iss != issuer or claims.aud != AUDIENCE or not claims.sub:
            raise _refused("issuer or audience")
        if not 0 < claims.exp - claims.iat <= longest_s:
            raise _refused("life")
        self._check_times(claims.iat, claims.exp, claims.nbf)

    def _check_times(self, iat: int, exp: int, nbf: int | None) -> None:
        now = self._clock.now() / 1e6
        if now >= exp + LEEWAY_S:
            raise _refused("expired")
        if iat > now + LEEWAY_S or (nbf is not None and nbf > now + LEEWAY_S):
            raise _refused("not yet valid")


def _strong(key: bytes) -> bytes:
    if len(key) < 32:
        raise ValueError("the service key must have 32 bytes or more")
    return key


def _header(token: str) -> _Header:
    parts = token.split(".")
    if len(parts) != 3 or not parts[2]:
        raise ValueError("not three parts")
    for part in parts:
        _base64(part)
    return msgspec.json.decode(_base64(parts[0]), type=_Header)


def _half_hash(token: str, algorithm: str) -> str:
    digest = hashlib.new(f"sha{algorithm[2:]}", token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _signed(token: str, key: PublicKey | OctKey, algorithm: str) -> bytes:
    proven = jws.deserialize_compact(token, key, algorithms=[algorithm])
    return proven.payload or b""


def _caller(claims: _UserClaims, token: str) -> Caller:
    ent = claims.ent
    notional = Decimal(ent.max_notional)
    if not notional.is_finite() or notional < 0 or ent.rfq_per_minute < 0:
        raise ValueError("entitlements")
    grants = Grants(
        asset_classes=frozenset(ent.asset_classes),
        instrument_ids=None if ent.instrument_ids is None else frozenset(ent.instrument_ids),
        venue_ids=frozenset(ent.venue_ids),
        max_notional=notional,
        rfq_per_minute=ent.rfq_per_minute,
    )
    return Caller(
        tenant=claims.tenant,
        subject=claims.sub,
        user=claims.user,
        display_name=claims.name,
        desk=claims.desk,
        roles=frozenset(claims.roles),
        grants=grants,
        session_id=claims.sid,
        issued_at=claims.iat,
        expires_at=claims.exp,
        token=token,
        session_expires_at=claims.session_exp,
    )


def _refused(reason: str) -> Coded:
    # The reason is for our counters; whoever forges learns nothing.
    _FORGED.labels(reason).inc()
    return Coded("AUTH-102")


class ServiceTokens:
    """Mints the short-lived tokens with which a service speaks for itself; the same one is reused
    for half its life."""

    def __init__(self, key: bytes, service: str, clock: Clock, *, life_s: int = 60):
        self._key, self._service, self._clock = OctKey.import_key(_strong(key)), service, clock
        self._life_s = min(life_s, MAX_SERVICE_LIFE_S)
        self._token, self._renew_at = "", 0

    def __call__(self) -> str:
        """A token that lives at least half of its life from now."""
        now = self._clock.now() // 1_000_000
        if now >= self._renew_at:
            self._token = mint_service_token(self._key, self._service, now, self._life_s)
            self._renew_at = now + self._life_s // 2
        return self._token


def mint_service_token(key: OctKey, service: str, now_s: int, life_s: int) -> str:
    """A service token that says `service` until now + life."""
    claims = {
        "iss": SERVICE_ISSUER,
        "aud": AUDIENCE,
        "sub": service,
        "iat": now_s,
        "exp": now_s + life_s,
        "jti": new_uuid(),
    }
    header = {"alg": "HS256", "typ": SERVICE_TYPE}
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=["HS256"])


def without_token(caller: Caller) -> Caller:
    """The caller as it may be logged or cached for longer: without the bearer token."""
    return replace(caller, token="")
