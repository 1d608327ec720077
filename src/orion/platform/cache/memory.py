"""The cache inside one process: the embedded profile, where the reader and the writer of a space
live together.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from orion.platform.cache.port import MAX_KEYS, checked
from orion.platform.clock import Clock, SystemClock
from orion.platform.errors import Unavailable

NANOS = 1_000_000_000


class MemoryCache:
    """Dictionaries. `fail(True)` makes it behave like a lost server, so that fallbacks can be
    proved; `is_shared` that several services of a test have it together.
    """

    def __init__(
        self, *, max_keys: int = MAX_KEYS, clock: Clock | None = None, is_shared: bool = False
    ):
        self.is_shared = is_shared
        self._spaces: dict[str, dict[str, bytes]] = {}
        # (space, key) → (value, when it ends); the oldest are let go when there are too many.
        self._notes: OrderedDict[tuple[str, str], tuple[bytes, int]] = OrderedDict()
        self._max_keys = max_keys
        self._clock = clock or SystemClock()
        self._failing = False

    def fail(self, failing: bool) -> None:
        """From now on every call raises Unavailable, or works again (empty, as after a restart)."""
        self._failing = failing
        self._spaces.clear()
        self._notes.clear()

    @property
    def is_lost(self) -> bool:
        """See the port."""
        return self._failing

    async def ping(self) -> None:
        """See the port."""
        self._look()

    def _look(self) -> None:
        if self._failing:
            raise Unavailable("The cache does not answer")

    def _space(self, name: str) -> dict[str, bytes]:
        self._look()
        return self._spaces.setdefault(name, {})

    # ---- boards

    async def put(self, space: str, values: Mapping[str, bytes]) -> None:
        """See the port."""
        checked(space, values)
        held = self._space(space)
        if len(held.keys() | values.keys()) > self._max_keys:
            raise Unavailable(f"The cache space {space} is full")
        held.update(values)

    async def get(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """See the port."""
        held = self._space(space)
        return {key: held[key] for key in keys if key in held}

    async def all(self, space: str) -> dict[str, bytes]:
        """See the port."""
        return dict(self._space(space))

    async def remove(self, space: str, keys: Sequence[str]) -> None:
        """See the port."""
        held = self._space(space)
        for key in keys:
            held.pop(key, None)

    async def clear(self, space: str) -> None:
        """See the port."""
        self._space(space).clear()

    # ---- notes

    async def note(
        self, space: str, values: Mapping[str, bytes], seconds: float, *, is_first: bool = False
    ) -> None:
        """See the port."""
        checked(space, values)
        self._look()
        until = self._clock.ticks() + int(seconds * NANOS)
        for key, value in values.items():
            if is_first and self._note(space, key) is not None:
                continue
            self._notes[space, key] = (value, until)
            self._notes.move_to_end((space, key))
        while len(self._notes) > self._max_keys:
            self._notes.popitem(last=False)

    async def noted(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """See the port."""
        self._look()
        found = ((key, self._note(space, key)) for key in keys)
        return {key: value for key, value in found if value is not None}

    async def forget(self, space: str, keys: Sequence[str]) -> None:
        """See the port."""
        self._look()
        for key in keys:
            self._notes.pop((space, key), None)

    def _note(self, space: str, key: str) -> bytes | None:
        value, until = self._notes.get((space, key), (None, 0))
        if value is not None and until <= self._clock.ticks():
            del self._notes[space, key]
            return None
        return value
