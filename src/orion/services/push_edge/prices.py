"""The stream of prices, by demand: one batch for each question, of what is newest when it leaves.
Nothing comes unasked, so the edge hears as much as it tells and no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from orion.wire.stubs import marketdata_pb2

# Every demand is answered within a second, be it with nothing. Who says nothing for so long is
# not there, although his connection is: his prices are old.
SILENT_S = 5.0


class Prices:
    """Asks for prices. `call` opens the stream."""

    def __init__(self, call: Callable[[], Any]):
        self._call = call
        self._asked = asyncio.Event()
        self._patience_ms = 0

    def ask(self, patience_ms: int) -> None:
        """Asks for what is newest, at once or when the question before is answered. What is new
        already may wait `patience_ms` for what comes next.
        """
        self._patience_ms = patience_ms
        self._asked.set()

    async def batches(self) -> AsyncIterator[marketdata_pb2.TickBatch]:
        """The snapshot, then an answer to each question. Raises TimeoutError when there is none."""
        self._asked.clear()
        call = self._call()
        try:
            answers = aiter(call)
            await call.write(marketdata_pb2.TickDemand())
            while True:
                async with asyncio.timeout(SILENT_S):
                    batch = await anext(answers, None)
                if batch is None:
                    return
                yield batch
                await self._asked.wait()
                self._asked.clear()
                await call.write(marketdata_pb2.TickDemand(patience_ms=self._patience_ms))
        finally:
            call.cancel()
