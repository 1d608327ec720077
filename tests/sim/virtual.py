"""An event loop whose time is virtual: nothing waits, everything happens in the order the seed
gives, the same every time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TURN_S = 1e-7
START = 1_770_000_000_000_000


class Stuck(Exception):
    """Everybody waits and nothing will ever happen."""


class _Selector(selectors.SelectSelector):
    """Where the loop would sleep, the time jumps instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stuck
            self.now += timeout
        # Every turn of the loop takes a moment, as it does in the world: what waits for an instant
        # that rounding has put a hair's breadth ahead would otherwise wait for ever.
        self.now += TURN_S
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs on virtual time."""

    def __init__(self) -> None:
        self.virtual = _Selector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


class VirtualClock:
    """The platform's clock on the loop's time."""

    def __init__(self, loop: VirtualLoop):
        self._loop = loop

    def now(self) -> int:
        return START + round(self._loop.time() * 1_000_000)

    def ticks(self) -> int:
        return round(self._loop.time() * 1_000_000_000)


def run(history: Callable[[VirtualClock], Coroutine[Any, Any, T]]) -> T:
    """Runs one history to its end on a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(history(VirtualClock(loop)))
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
