"""Which sessions have ended lately, wherever that was done: asked of PostgreSQL a few times a
second.

What a process remembers of a session, or finds in the cache, counts only while this is known. So an
end is known everywhere within a second, whatever became of the cache meanwhile; and who cannot ask
PostgreSQL trusts nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from orion.platform import telemetry
from orion.platform.clock import Clock

LOOK_S = 0.35
TRUSTED_S = 0.9  # from the moment a look began
IDLE_S = 15.0  # nobody asks: nobody looks
NANOS = 1_000_000_000
_UNKNOWN = telemetry.counter(
    "sessions_unremembered_total", "Look-ups that went to the row: it was not known what had ended"
)


class EndedSessions:
    """`run` looks; `has` answers at once."""

    def __init__(self, look: Callable[[], Awaitable[frozenset[bytes]]], clock: Clock):
        self._look, self._clock = look, clock
        self._ended: frozenset[bytes] = frozenset()
        self._known_until = self._asked_until = clock.ticks()
        self._asked = asyncio.Event()

    def may_trust(self, cookie_hash: bytes) -> bool:
        """True when this session had not ended a moment ago: what was remembered of it counts."""
        now = self._clock.ticks()
        self._asked_until = now + int(IDLE_S * NANOS)
        self._asked.set()
        if now >= self._known_until:
            _UNKNOWN.inc()
            return False
        return cookie_hash not in self._ended

    async def run(self) -> None:
        """Looks for ever, as long as somebody asks."""
        is_lost = False
        while True:
            began = self._clock.ticks()
            if began >= self._asked_until:
                self._asked.clear()
                await self._asked.wait()
                continue
            try:
                self._ended = await self._look()
                self._known_until = began + int(TRUSTED_S * NANOS)
                is_lost = False
            except Exception as error:
                if not is_lost:
                    telemetry.log.warning("ended sessions cannot be read", error=str(error))
                is_lost = True
            await asyncio.sleep(LOOK_S)
