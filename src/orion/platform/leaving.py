"""How a process that ends in order sends its clients away, and tells when they are gone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass
class Leaving:
    """`asked`: no new client from now on. `done`: those that were there have gone."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def leave(self) -> None:
        """Asks, and waits until they have gone."""
        self.asked.set()
        await self.done.wait()
