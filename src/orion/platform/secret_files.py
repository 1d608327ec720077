"""Secrets by file: each in a file of its own that only its owner may read. Never in the
repository, never in a default.

The embedded profile makes those that are missing; a cluster must be given them, and a weak one
refuses the start.
"""

from __future__ import annotations

from pathlib import Path

from orion.platform.config import ConfigError
from orion.platform.datadir import read_or_make_secret
from orion.platform.ids import new_token

MIN_BYTES = 32
_KNOWN_DEFAULTS = ("orion-demo", "changeme", "change-me", "secret", "password", "default")


class SecretFiles:
    """A folder of secrets. `may_create`: make a random one where there is none."""

    def __init__(self, folder: Path, *, may_create: bool):
        self.folder, self._may_create = folder, may_create

    def read(self, name: str) -> bytes:
        """The secret `name`, at least 32 bytes. Raises ConfigError with the remedy."""
        path = self.folder / name
        if not path.exists():
            if not self._may_create:
                raise ConfigError(
                    str(path), "this secret is missing", "Write 32 random bytes or more there"
                )
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            read_or_make_secret(path, new_token(48))
        secret = path.read_bytes().strip()
        if not self._may_create:
            _refuse_weak(path, secret)
        if len(secret) < MIN_BYTES:
            raise ConfigError(
                str(path), "this secret is too short", "Write 32 random bytes or more"
            )
        return secret


def _refuse_weak(path: Path, secret: bytes) -> None:
    text = secret.decode("latin-1").lower()
    if len(set(secret)) < 12 or any(known in text for known in _KNOWN_DEFAULTS):
        raise ConfigError(
            str(path), "this secret can be guessed", "Write 32 random bytes or more there"
        )
