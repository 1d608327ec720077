"""The edge's four streams from the services: one each per process, opened again with back-off, and
the loss is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from orion.platform import telemetry

FIRST_PAUSE_S = 0.05
MAX_PAUSE_S = 2.0
_CONNECTED = telemetry.gauge(
    "edge_upstream_connected", "1 while a stream from a service is open", ("stream",)
)
_REOPENED = telemetry.counter("edge_upstream_reopened", "Streams opened again", ("stream",))


class Upstream:
    """Follows one stream for ever. `opened` is called before the first message of each new
    connection.
    """

    def __init__(
        self,
        name: str,
        open_stream: Callable[[], AsyncIterator[Any]],
        opened: Callable[[], None],
        take: Callable[[Any], None],
    ):
        self.name, self._open, self._opened, self._take = name, open_stream, opened, take
        self.is_connected = False

    async def run(self) -> None:
        """Until cancelled."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                async for message in self._open():
                    if not self.is_connected:
                        self._opened()
                        self._told(True)
                        pause = FIRST_PAUSE_S
                    self._take(message)
            except Exception as error:
                if self.is_connected:
                    telemetry.log.warning("upstream lost", stream=self.name, error=_short(error))
            self._told(False)
            _REOPENED.labels(self.name).inc()
            await asyncio.sleep(pause)
            pause = min(pause * 2, MAX_PAUSE_S)

    def _told(self, connected: bool) -> None:
        if connected != self.is_connected:
            self.is_connected = connected
            _CONNECTED.labels(self.name).set(1 if connected else 0)
            if connected:
                telemetry.log.info("upstream open", stream=self.name)


def _short(error: Exception) -> str:
    code = getattr(error, "code", None)
    return f"{type(error).__name__} {code() if callable(code) else error}"[:200]
