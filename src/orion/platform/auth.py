"""The one strict verifier: every entry point (REST, WebSocket, gRPC) asks it who a token stands
for, and nothing else decides.

Two kinds of token, told apart by `typ` before any key is chosen, each with exactly one algorithm,
so that no key of one
kind can ever vouch for the other:

- users: `at+jwt`, ES256, the key named by `kid` among the issuer's public keys;
- our services: `orion-service+jwt`, HS256 with the platform's service key, never sent to a browser.

Header fields beyond `alg`, `typ` and `kid` are refused (`jku`, `jwk`, `x5u`, `crit` … would let a
token choose its own key).
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from orion.platform import telemetry
from orion.platform.caller import Caller, Grants
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.ids import new_uuid
from orion.platform.revocations import Revocations

AUDIENCE = "orion"
USER_TYPE = "at+jwt"
SERVICE_TYPE = "orion-service+jwt"
SERVICE_ISSUER = "orion-services"
LEEWAY_S = 5
MAX_TOKEN_BYTES = 8192
MAX_USER_LIFE_S = 3600
MAX_SERVICE_LIFE_S = 120
MAX_REMEMBERED = 4096

_FORGED = telemetry.counter("tokens_refused", "Tokens that did not pass the verifier", ("reason",))


class KeySource(Protocol):
    """The issuer's public keys."""

    async def key(self, kid: str) -> ECKey | None:
        """The key of this id, or None when the issuer has none such. Raises Unavailable when that
        cannot be known."""
        ...


class StaticKeys:
    """A fixed set of public keys."""

    def __init__(self, jwks: dict[str, Any]):
        self._keys = {k["kid"]: ECKey.import_key(k) for k in jwks["keys"]}

    async def key(self, kid: str) -> ECKey | None:
        return self._keys.get(kid)


class HttpKeys:
    """Public keys read from the issuer and kept. An unknown `kid` reads them again, at most once
    in `pause_s`.

    `fetch` gives the JWKS document; the last good set stays in use while the issuer does not
    answer.
    """

    def __init__(self, fetch: Callable[[], Any], clock: Clock, *, pause_s: float = 5.0):
        self._fetch, self._clock, self._pause_us = fetch, clock, int(pause_s * 1e6)
        self._keys: dict[str, ECKey] | None = None
        self._asked = -self._pause_us

    async def key(self, kid: str) -> ECKey | None:
        if self._keys is None or (kid not in self._keys and self._may_ask()):
            await self._read()
        return (self._keys or {}).get(kid)

    def _may_ask(self) -> bool:
        return self._clock.ticks() // 1000 - self._asked >= self._pause_us

    async def _read(self) -> None:
        self._asked = self._clock.ticks() // 1000
        try:
            document = await self._fetch()
            self._keys = {k["kid"]: ECKey.import_key(k) for k in document["keys"]}
        except Exception as error:
            telemetry.log.warning("the issuer's keys cannot be read", error=str(error))
            if self._keys is None:
                raise Unavailable("The identity provider is not answering yet") from error


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: str
    typ: str
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


class Verifier:
    """Says who a token stands for. Raises Coded AUTH-102 (not valid), AUTH-105 (revoked) or
    Unavailable (no keys yet)."""

    def __init__(
        self,
        keys: KeySource,
        *,
        issuer: str,
        clock: Clock,
        service_key: bytes | None,
        revocations: Revocations | None = None,
    ):
        self._keys, self._issuer, self._clock = keys, issuer, clock
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
        if self.revocations.covers(caller.session_id, caller.subject, caller.issued_at):
            raise Coded("AUTH-105")
        return caller

    async def verify_identity(self, token: str, *, client_id: str, nonce: str) -> tuple[str, str]:
        """(subject, session) of an ID token that a client was given for its own request. Raises
        AUTH-102."""
        if len(token) > MAX_TOKEN_BYTES or not token.isascii():
            raise _refused("size")
        try:
            header = _header(token)
            key = await self._keys.key(header.kid or "")
            if header.alg != "ES256" or header.typ != "JWT" or key is None:
                raise _refused("type")
            claims = msgspec.json.decode(_signed(token, key, "ES256"), type=_IdentityClaims)
        except (ValueError, JoseError, msgspec.MsgspecError) as error:
            raise _refused(type(error).__name__) from error
        if (claims.iss, claims.aud, claims.nonce) != (self._issuer, client_id, nonce):
            raise _refused("issuer or audience")
        self._check_times(claims.iat, claims.exp, claims.nbf)
        return claims.sub, claims.sid

    async def _prove(self, token: str) -> Caller:
        try:
            header = _header(token)
            if header.typ == SERVICE_TYPE:
                return self._service(token, header)
            if header.typ == USER_TYPE:
                return await self._user(token, header)
        except (ValueError, JoseError, msgspec.MsgspecError, ArithmeticError) as error:
            raise _refused(type(error).__name__) from error
        raise _refused("type")

    async def _user(self, token: str, header: _Header) -> Caller:
        if header.alg != "ES256" or not header.kid:
            raise _refused("algorithm")
        key = await self._keys.key(header.kid)
        if key is None:
            raise _refused("key")
        claims = msgspec.json.decode(_signed(token, key, "ES256"), type=_UserClaims)
        self._check(claims, self._issuer, MAX_USER_LIFE_S)
        if not (claims.tenant and claims.sid and claims.user):
            raise _refused("claims")
        return _caller(claims, token)

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


def _signed(token: str, key: ECKey | OctKey, algorithm: str) -> bytes:
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
