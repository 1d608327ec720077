"""Which of a service's copies does what only one may do at a time: a lease with nothing to write.

Where a double does harm, the owner who is told refuses it; this keeps it from being usual.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.lease import FIRST, Part, Tenure
from orion.platform.store.port import Leases

STOP_S = 3.0
Work = Callable[[], Awaitable[None]]


class Lead:
    """The lead of a service, kept while `run` runs. Another copy takes it within the lease's time
    when this one dies, at once when it ends in order.
    """

    def __init__(self, store: Leases, clock: Clock, service: str, address: str) -> None:
        self.service = service
        self._gained, self._gone = asyncio.Event(), asyncio.Event()
        self._gone.set()
        self._idle = asyncio.Event()  # nothing of `only` runs
        self._idle.set()
        self.tenure = Tenure(
            f"lead {service}", (f"lead.{service}",), 1, store, clock, address,
            took=self._took, lost=self._lost, drain=self._drain, share=False,
        )  # fmt: skip

    @property
    def is_mine(self) -> bool:
        """Whether this copy leads, and surely still does."""
        return self.tenure.is_proven(FIRST)

    @property
    def elsewhere(self) -> str:
        """The address of the copy that leads, as last seen; empty: this one, or nobody."""
        return self.tenure.elsewhere.get(FIRST, "")

    def ready(self) -> str | None:
        """None when some copy leads; else the reason."""
        return None if self.tenure.is_owned else f"{self.service}: no copy leads yet"

    async def gone(self) -> None:
        """Waits until this copy does not lead."""
        await self._gone.wait()

    async def leave(self) -> None:
        """Gives the lead away and returns when another copy has it."""
        await self.tenure.withdraw()

    async def run(self) -> None:
        """Seeks and keeps the lead until cancelled; then gives it away."""
        await self.tenure.ensure()
        await self.tenure.run()

    async def only(self, work: Sequence[Work]) -> None:
        """Runs these whenever this copy leads, and stops them when it does not any more. One that
        returns or raises ends the call.
        """
        while True:
            await self._gained.wait()
            telemetry.log.info("this copy leads", service=self.service)
            gone = asyncio.create_task(self._gone.wait())
            self._idle.clear()
            tasks = [asyncio.ensure_future(one()) for one in work]
            try:
                done, _ = await asyncio.wait((gone, *tasks), return_when=asyncio.FIRST_COMPLETED)
                for task in done - {gone}:
                    task.result()
                    raise RuntimeError(f"{task} ended by itself")
            finally:
                for task in (gone, *tasks):
                    task.cancel()
                await asyncio.gather(gone, *tasks, return_exceptions=True)
                self._idle.set()

    async def _took(self, _part: Part) -> None:
        self._gone.clear()
        self._gained.set()

    def _lost(self, _number: int) -> None:
        self._gained.clear()
        self._gone.set()

    async def _drain(self, _number: int) -> None:
        """Stops the work before another copy may begin it."""
        self._lost(FIRST)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self._idle.wait()
