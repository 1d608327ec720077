"""The cache inside one process: the embedded profile, where the reader and the writer of a space
live together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orion.platform.errors import Unavailable


class MemoryCache:
    """Dictionaries. `fail(True)` makes it behave like a lost server, so that fallbacks can be
    proved.
    """

    def __init__(self, *, max_keys: int = 100_000):
        self._spaces: dict[str, dict[str, bytes]] = {}
        self._max_keys = max_keys
        self._failing = False

    def fail(self, failing: bool) -> None:
        """From now on every call raises Unavailable, or works again (empty, as after a restart)."""
        self._failing = failing
        self._spaces.clear()

    def _space(self, name: str) -> dict[str, bytes]:
        if self._failing:
            raise Unavailable("The cache does not answer")
        return self._spaces.setdefault(name, {})

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        held = self._space(space)
        held.update(values)
        if len(held) > self._max_keys:
            raise Unavailable(f"The cache space {space} is full")

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        held = self._space(space)
        return {key: held[key] for key in keys if key in held}

    async def all(self, space: str) -> dict[str, bytes]:
        return dict(self._space(space))

    async def clear(self, space: str) -> None:
        self._space(space).clear()
