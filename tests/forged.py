"""Tokens that must never pass, as rows: each entry point is shown every one of them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OctKey

ISSUER = "http://localhost:8080/oidc"
SERVICE_KEY = b"k" * 32


def entitlements() -> dict[str, Any]:
    return {
        "assetClasses": ["FX"],
        "instrumentIds": None,
        "venueIds": ["ORION"],
        "maxNotional": "1000000",
        "rfqPerMinute": 10,
    }


def claims(now: int, **changes: Any) -> dict[str, Any]:
    """The claims of a good user token, with changes; a change to None removes the claim."""
    base: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "orion",
        "sub": "u1",
        "iat": now,
        "exp": now + 300,
        "tenant": "alpha",
        "user": "trader@alpha",
        "name": "Ada Alder",
        "desk": "fx",
        "roles": ["ROLE_TRADER"],
        "ent": entitlements(),
        "sid": "s1",
        "jti": "j1",
    }
    base.update(changes)
    return {k: v for k, v in base.items() if v is not None}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _loose(header: dict[str, Any], payload: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token as an attacker writes it: no library in the way."""
    head = f"{_b64(json.dumps(header).encode())}.{_b64(json.dumps(payload).encode())}"
    return f"{head}.{_b64(sign(head.encode()))}"


class Forger:
    """Makes good tokens with the real keys and bad ones in every known way."""

    def __init__(
        self, key: ECKey, now: int, issuer: str = ISSUER, service_key: bytes = SERVICE_KEY
    ):
        self.key, self.now, self.issuer = key, now, issuer
        self.service_key = OctKey.import_key(service_key)
        self.raw_service_key = service_key

    def user(self, *, header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
        head = {"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid, **(header or {})}
        head = {k: v for k, v in head.items() if v is not None}
        body = claims(self.now, **{"iss": self.issuer, **changes})
        signer = key or self.key

        def sign(data: bytes) -> bytes:
            # Through the library's own primitive, with our header bytes kept as they are.
            algorithm = jws.JWSRegistry.algorithms["ES256"]
            return algorithm.sign(data, signer)

        return _loose(head, body, sign)

    def service(
        self, *, header: dict[str, Any] | None = None, key: bytes | None = None, **changes: Any
    ) -> str:
        head = {"alg": "HS256", "typ": "orion-service+jwt", **(header or {})}
        body = {
            "iss": "orion-services",
            "aud": "orion",
            "sub": "rfq",
            "iat": self.now,
            "exp": self.now + 60,
            **changes,
        }
        body = {k: v for k, v in body.items() if v is not None}
        secret = self.raw_service_key if key is None else key
        return _loose(head, body, lambda data: hmac.new(secret, data, hashlib.sha256).digest())

    def rows(self) -> dict[str, str]:
        """Name → a token that must be refused."""
        now, other = self.now, ECKey.generate_key("P-256", {"kid": self.key.kid})
        good, public = self.user(), self.key.as_pem(private=False)
        head, body, signature = good.split(".")
        public_jwk = json.dumps(self.key.as_dict(private=False)).encode()

        def mac(secret: bytes) -> Callable[[bytes], bytes]:
            return lambda data: hmac.new(secret, data, hashlib.sha256).digest()

        mine = {"iss": self.issuer}
        hs = {"alg": "HS256", "typ": "at+jwt", "kid": self.key.kid}
        thief = ECKey.generate_key("P-256", {"kid": "thief"})
        return {
            "empty": "",
            "not a token": "abc",
            "two parts": f"{head}.{body}",
            "four parts": f"{good}.{signature}",
            "signature stripped": f"{head}.{body}.",
            "signature of zeros": f"{head}.{body}.{_b64(bytes(64))}",
            "signature cut": good[:-4],
            "payload changed": f"{head}.{_b64(json.dumps(claims(now, **mine, roles=['ROLE_ADMIN'])).encode())}.{signature}",  # noqa: E501
            "payload not JSON": self._raw(b"\xff\xfe{"),
            "payload a list": self._raw(b"[]"),
            "padding in base64": f"{head}==.{body}.{signature}",
            "alg none": _loose(
                {"alg": "none", "typ": "at+jwt", "kid": self.key.kid},
                claims(now, **mine),
                lambda _: b"",
            ),
            "alg None with a signature": _loose(
                {"alg": "None", "typ": "at+jwt", "kid": self.key.kid},
                claims(now, **mine),
                lambda _: b"x",
            ),
            "HS256 with the public key as PEM": _loose(hs, claims(now, **mine), mac(public)),
            "HS256 with the public key as JWK": _loose(hs, claims(now, **mine), mac(public_jwk)),
            "HS256 with an empty key": _loose(hs, claims(now, **mine), mac(b"")),
            "HS256 with the service key as user": _loose(
                hs, claims(now, **mine), mac(self.raw_service_key)
            ),
            "ES384 named": self.user(header={"alg": "ES384"}),
            "another key under our kid": self.user(key=other),
            "another kid": self.user(header={"kid": "thief"}, key=thief),
            "no kid": self.user(header={"kid": None}),
            "kid a path": self.user(header={"kid": "../../dev/null"}),
            "jwk in the header": self.user(
                header={"kid": "thief", "jwk": thief.as_dict(private=False)}, key=thief
            ),
            "jwk beside our kid": self.user(
                header={"jwk": thief.as_dict(private=False)}, key=thief
            ),
            "jku in the header": self.user(header={"jku": "http://evil.example/jwks"}),
            "x5u in the header": self.user(header={"x5u": "http://evil.example/x"}),
            "crit in the header": self.user(header={"crit": ["exp"]}),
            "b64 false": self.user(header={"b64": False, "crit": ["b64"]}),
            "typ JWT": self.user(header={"typ": "JWT"}),
            "typ missing": self.user(header={"typ": None}),
            "typ of a service": self.user(header={"typ": "orion-service+jwt"}),
            "an id token": self.user(header={"typ": "JWT"}, aud="orion-bff"),
            "another audience": self.user(aud="orion-bff"),
            "audience a list": self.user(aud=["orion", "evil"]),
            "no audience": self.user(aud=None),
            "another issuer": self.user(iss="http://evil.example/oidc"),
            "issuer with a slash": self.user(iss=self.issuer + "/"),
            "no issuer": self.user(iss=None),
            "no subject": self.user(sub=None),
            "empty subject": self.user(sub=""),
            "no exp": self.user(exp=None),
            "exp as text": self.user(exp=str(now + 60)),
            "exp before iat": self.user(exp=now - 1),
            "lives too long": self.user(exp=now + 86_400),
            "no iat": self.user(iat=None),
            "issued in the future": self.user(iat=now + 60, exp=now + 120),
            "expired": self.user(iat=now - 400, exp=now - 6),
            "not before later": self.user(nbf=now + 60),
            "no tenant": self.user(tenant=None),
            "empty tenant": self.user(tenant=""),
            "no session": self.user(sid=None),
            "no roles": self.user(roles=None),
            "no entitlements": self.user(ent=None),
            "entitlements without a limit": self.user(ent={"assetClasses": [], "venueIds": []}),
            "a limit that is no number": self.user(ent={**entitlements(), "maxNotional": "NaN"}),
            "huge": self.user(name="x" * 20_000),
            "many dots": "." * 5000,
            "service token with another key": self.service(key=b"z" * 32),
            "service token with an empty key": self.service(key=b""),
            "service token without exp": self.service(exp=None),
            "service token that lives too long": self.service(exp=now + 3600),
            "service token expired": self.service(iat=now - 100, exp=now - 40),
            "service token of another issuer": self.service(iss=self.issuer),
            "service token of another audience": self.service(aud="bff"),
            "service token with typ of a user": self.service(header={"typ": "at+jwt"}),
            "service token with a kid": self.service(header={"kid": self.key.kid}),
            "service token, alg none": _loose(
                {"alg": "none", "typ": "orion-service+jwt"},
                claims(now, iss="orion-services"),
                lambda _: b"x",
            ),
            "service token as a user with claims": self.service(
                header={"typ": "at+jwt"},
                **{k: v for k, v in claims(now, **mine).items() if k not in ("iss", "aud")},
            ),
        }

    def _raw(self, payload: bytes) -> str:
        header = {"alg": "ES256", "typ": "at+jwt", "kid": self.key.kid}
        return jws.serialize_compact(header, payload, self.key, algorithms=["ES256"])
