"""The keys that sign tokens: ES256, in files of their own, the newest signs and all are published.

To rotate, add a key (`rotate`); tokens signed by the older ones stay good until those files are
removed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey, KeySet

from orion.platform.config import ConfigError
from orion.platform.ids import new_uuid

FILE = "oidc-signing-{:04d}.jwk"
PATTERN = "oidc-signing-*.jwk"


class SigningKeys:
    """All signing keys of a secrets folder. `may_create`: make the first one."""

    def __init__(self, folder: Path, *, may_create: bool = True):
        self._folder = folder
        self._keys: list[ECKey] = []
        self._load()
        if not self._keys and not may_create:
            raise ConfigError(
                str(folder / FILE.format(1)), "there is no signing key", "Put a P-256 JWK there"
            )
        if not self._keys:
            try:
                self._make(1)  # the first by this very name: two processes start at once
            except FileExistsError:  # another process was first
                self._load()

    def _load(self) -> None:
        self._keys = [_read(path) for path in sorted(self._folder.glob(PATTERN))]

    def rotate(self) -> str:
        """Makes a new key, which signs from now on; gives its `kid`."""
        return self._make(len(list(self._folder.glob(PATTERN))) + 1)

    def _make(self, number: int) -> str:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
        path = self._folder / FILE.format(number)
        draft = self._folder / f".{new_uuid()}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(key.as_dict(private=True)))
        try:
            os.link(draft, path)  # whole or not at all, and never over another
        finally:
            draft.unlink()
        self._keys.append(key)
        return key.kid or ""

    def sign(self, claims: dict[str, Any], typ: str) -> str:
        """A token with these claims, by the newest key."""
        key = self._keys[-1]
        header = {"alg": "ES256", "typ": typ, "kid": key.kid}
        return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=["ES256"])

    def public(self) -> dict[str, Any]:
        """The JWKS document."""
        return {"keys": [k.as_dict(private=False) for k in self._keys]}

    def all(self) -> KeySet:
        """Every key, to be found by `kid`."""
        return KeySet(list(self._keys))


def _read(path: Path) -> ECKey:
    return ECKey.import_key(msgspec.json.decode(path.read_bytes()))
