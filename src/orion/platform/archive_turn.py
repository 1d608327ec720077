"""Whose turn it is to archive: one copy at a time, by a lease; the others stand by.

The archive does not need it (two writers at once do no harm), but two would do everything twice.
"""

from __future__ import annotations

import asyncio

from orion.platform import telemetry
from orion.platform.archive import Archiver
from orion.platform.clock import Clock
from orion.platform.lease import Part, Tenure
from orion.platform.store.port import Leases

LEASE = "archive"


class ArchiveTurn:
    """Runs the archiver while the lease is ours. `run` works until cancelled."""

    def __init__(self, archiver: Archiver, leases: Leases, clock: Clock, address: str) -> None:
        self._archiver = archiver
        self._running: asyncio.Task[None] | None = None
        self._failed: asyncio.Future[None] | None = None
        self.tenure = Tenure(
            LEASE, (LEASE,), 1, leases, clock, address,
            took=self._took, lost=self._lost, drain=self._drain,
        )  # fmt: skip

    @property
    def is_ours(self) -> bool:
        """True while this copy archives."""
        return self._running is not None

    def ready(self) -> str | None:
        """None, or why it does not do its work yet. A partition that is stuck is told elsewhere:
        nobody waits for the archive.
        """
        return None if self.tenure.settled.is_set() else "archive: looking whose turn it is"

    async def leave(self) -> None:
        """Gives the turn away and returns when another copy has it."""
        await self.tenure.withdraw()

    async def run(self) -> None:
        """Archives when it is its turn. Raises what the archiver fails with."""
        await self.tenure.ensure()
        self._failed = asyncio.get_running_loop().create_future()
        tenure = asyncio.create_task(self.tenure.run(), name="archive.tenure")
        try:
            done, _ = await asyncio.wait(
                {tenure, self._failed}, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                one.result()
        finally:
            tenure.cancel()
            await asyncio.gather(tenure, return_exceptions=True)
            self._lost(0)

    async def _took(self, _part: Part) -> None:
        self._archiver.forget()
        self._running = asyncio.create_task(self._archiver.run(), name="archive")
        self._running.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        failed = self._failed
        if task.cancelled() or failed is None or failed.done():
            return
        error = task.exception()
        telemetry.log.error("the archive failed", error=repr(error))
        failed.set_exception(error or RuntimeError("the archive ended"))

    def _lost(self, _number: int) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None

    async def _drain(self, number: int) -> None:
        running = self._running
        self._lost(number)
        if running is not None:
            await asyncio.gather(running, return_exceptions=True)
