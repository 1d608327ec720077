"""The issuer's public keys: read from its JWKS, kept, read again when they rotate.

Only keys that could sign a user's token are taken: elliptic curves and RSA of 2048 bits or more,
never a symmetric one, whatever the document holds beside them (Keycloak publishes a key for
encryption too).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.errors import Unavailable
from orion.platform.issuer import ALGORITHMS

PublicKey = ECKey | RSAKey
MOST_KEYS = 100
LEAST_RSA_BITS = 2048
FRESH_S = 300.0


class KeySource(Protocol):
    """The issuer's public keys."""

    async def key(self, kid: str) -> PublicKey | None:
        """The key of this id, or None when the issuer has none such. Raises Unavailable when that
        cannot be known."""
        ...


class StaticKeys:
    """A fixed set of public keys."""

    def __init__(self, jwks: dict[str, Any]):
        self._keys = public_keys(jwks)

    async def key(self, kid: str) -> PublicKey | None:
        return self._keys.get(kid)


class HttpKeys:
    """Public keys read from the issuer and kept. An unknown `kid` reads them again, at most once
    in `pause_s`; and they are read again in the background after a while, so that a key that was
    taken back does not stay good.

    `fetch` gives the JWKS document; the last good set stays in use while the issuer does not
    answer.
    """

    def __init__(self, fetch: Callable[[], Any], clock: Clock, *, pause_s: float = 5.0):
        self._fetch, self._clock, self._pause_us = fetch, clock, int(pause_s * 1e6)
        self._keys: dict[str, PublicKey] | None = None
        self._asked = -self._pause_us
        self._reading = asyncio.Lock()
        self._again: asyncio.Task[None] | None = None

    async def key(self, kid: str) -> PublicKey | None:
        if self._keys is None or (kid not in self._keys and self._may_ask(self._pause_us)):
            async with self._reading:
                # Whoever waited for this may have what it came for.
                if self._keys is None or (kid not in self._keys and self._may_ask(self._pause_us)):
                    await self._read()
        elif self._may_ask(int(FRESH_S * 1e6)) and (self._again is None or self._again.done()):
            self._again = asyncio.create_task(self._read())
        return (self._keys or {}).get(kid)

    def _may_ask(self, after_us: int) -> bool:
        return self._clock.ticks() // 1000 - self._asked >= after_us

    async def _read(self) -> None:
        self._asked = self._clock.ticks() // 1000
        try:
            self._keys = public_keys(await self._fetch())
        except Exception as error:
            telemetry.log.warning("the issuer's keys cannot be read", error=str(error))
            if self._keys is None:
                raise Unavailable("The identity provider is not answering yet") from error


def public_keys(jwks: Any) -> dict[str, PublicKey]:
    """The keys of a JWKS that may sign tokens, by `kid`. Raises ValueError when it is no JWKS."""
    rows = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(rows, list) or len(rows) > MOST_KEYS:
        raise ValueError("the issuer's keys are no JWKS")
    found: dict[str, PublicKey] = {}
    for row in rows:
        key = _signing_key(row)
        if key is not None:
            found.setdefault(row["kid"], key)
    return found


def _signing_key(row: Any) -> PublicKey | None:
    if not isinstance(row, dict) or not isinstance(row.get("kid"), str):
        return None
    if row.get("use", "sig") != "sig" or row.get("alg", "ES256") not in ALGORITHMS:
        return None
    try:
        if row.get("kty") == "EC":
            return ECKey.import_key(row)
        # Six bits to a letter of the modulus: a short key is not even looked at.
        if row.get("kty") == "RSA" and len(row["n"]) * 6 >= LEAST_RSA_BITS:
            return RSAKey.import_key(row)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None


def fits(key: PublicKey, algorithm: str) -> bool:
    """True when this key is of the kind that this algorithm works with."""
    kind, curve = ALGORITHMS[algorithm]
    if key.key_type != kind:
        return False
    row = key.as_dict(private=False)
    # A key that names its algorithm is for no other.
    return row.get("alg", algorithm) == algorithm and (not curve or row.get("crv") == curve)
