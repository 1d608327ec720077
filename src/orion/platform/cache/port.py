"""The cache: fast, shared, and allowed to be lost. What matters lies in the store; who reads here
has a way to go on without.

Adapters: memory.py (one process), redis.py (all processes of a cluster).

Two kinds of things are kept. A *board* is a small space that is read as a whole or by key and stays
until it is cleared: newest prices, what is revoked. A *note* ends by itself: somebody's session,
somebody's lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

MAX_KEYS = 100_000  # of a board
MAX_KEY_CHARS = 256
MAX_VALUE_BYTES = 1_048_576


class Cache(Protocol):
    """Named spaces of small values. May block on a network, for a short and bounded time; any call
    may raise Unavailable, at once while the cache is known to be lost. Every write is idempotent.
    Boards and notes of the same space's name are different things.
    """

    @property
    def is_shared(self) -> bool:
        """True when every process sees the same values."""
        ...

    @property
    def is_lost(self) -> bool:
        """True from the first call without an answer until it is there again."""
        ...

    async def ping(self) -> None:
        """Asks it whether it is there. Raises Unavailable."""
        ...

    # ---- boards

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        """Sets these values. The newest write of a key wins. Raises Unavailable, and takes nothing
        or a part, when the board is full.
        """
        ...

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the keys that are there; a lost value is simply missing."""
        ...

    async def all(self, space: str) -> dict[str, bytes]:
        """Everything on a board. Boards are small (hundreds of keys)."""
        ...

    async def remove(self, space: str, keys: Sequence[str]) -> None:
        """Takes these keys off a board."""
        ...

    async def clear(self, space: str) -> None:
        """Forgets a board."""
        ...

    # ---- notes

    async def note(
        self, space: str, values: Mapping[str, bytes], seconds: float, *, is_first: bool = False
    ) -> None:
        """Sets values that end by themselves after so long. `is_first`: only where there is none;
        what is there stays as it is and as long as it was to.
        """
        ...

    async def noted(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Those of the notes that are there still."""
        ...

    async def forget(self, space: str, keys: Sequence[str]) -> None:
        """Ends these notes now."""
        ...


def checked(space: str, values: Mapping[str, bytes]) -> None:
    """What no adapter takes: names and values beyond the bounds. Raises ValueError."""
    for key, value in values.items():
        if not 0 < len(key) <= MAX_KEY_CHARS:
            raise ValueError(f"A key of {space} has {len(key)} characters")
        if len(value) > MAX_VALUE_BYTES:
            raise ValueError(f"The value of {key} in {space} has {len(value)} bytes")
