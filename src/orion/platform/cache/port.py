"""The cache: fast, shared, and allowed to be lost. What matters lies in the store; who reads here
has a way to go on without.

Adapters: memory.py (one process); a Redis adapter joins with the cluster profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Cache(Protocol):
    """Named spaces of small values. May block on a network; may raise Unavailable; every write is
    idempotent.
    """

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        """Sets these values. The newest write of a key wins."""
        ...

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are there; a lost value is simply missing."""
        ...

    async def all(self, space: str) -> dict[str, bytes]:
        """Everything in a space. Spaces are small (hundreds of keys)."""
        ...

    async def clear(self, space: str) -> None:
        """Forgets a space."""
        ...
