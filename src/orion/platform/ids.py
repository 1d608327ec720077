"""The only source of chance: random ids and tokens."""

from __future__ import annotations

import random
import secrets
import uuid


def new_uuid() -> str:
    """A random UUID as text (request ids, error ids)."""
    return str(uuid.uuid4())


def new_token(size: int = 32) -> str:
    """A URL-safe secret of `size` random bytes."""
    return secrets.token_urlsafe(size)


Chance = random.Random
"""A generator of numbers that the same seed always repeats."""


def seeded(*seed: int | str) -> Chance:
    """Repeatable chance, for simulations. The same parts give the same numbers on every machine."""
    return random.Random(":".join(map(str, seed)))
