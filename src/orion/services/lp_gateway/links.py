"""Dealers' connections: one bounded queue out per dealer, and who is connected since when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from orion.platform.clock import Clock
from orion.wire.stubs import lp_pb2

MICROS = 1_000_000


class Link:
    """One dealer's stream. What is put goes out in order, in few frames when much waits."""

    def __init__(
        self,
        lp_id: str,
        *,
        takes_batches: bool,
        max_waiting: int,
        max_batch: int,
        is_house: bool = False,
    ):
        self.lp_id, self.is_house = lp_id, is_house
        self.closed: str | None = None  # the reason, once closed
        self._takes_batches = takes_batches
        self._max_waiting, self._max_batch = max_waiting, max_batch
        self._waiting: deque[lp_pb2.ToDealer] = deque()
        self._wake = asyncio.Event()
        self._flush: asyncio.TimerHandle | None = None

    def put(self, message: lp_pb2.ToDealer, *, patience_s: float = 0.0) -> None:
        """Queues a message; a dealer that does not read is cut instead of growing us. With patience
        it waits so long for others to go along with.
        """
        if self.closed:
            return
        if len(self._waiting) >= self._max_waiting:
            self.close("slow consumer")
            return
        self._waiting.append(message)
        if not patience_s or not self._takes_batches:
            self._wake.set()
        elif self._flush is None and not self._wake.is_set():
            self._flush = asyncio.get_running_loop().call_later(patience_s, self._wake.set)

    def close(self, reason: str) -> None:
        """Ends the stream; its dealer may come back."""
        self.closed = self.closed or reason
        self._wake.set()

    async def frames(self, gap_s: float) -> AsyncIterator[lp_pb2.ToDealer]:
        """Frames to write, until closed. A quiet stream is written at once, a busy one every
        `gap_s`."""
        loop = asyncio.get_running_loop()
        last = 0.0
        while True:
            await self._wake.wait()
            if not self._waiting:
                if self.closed:
                    return
                self._wake.clear()
                continue
            if (pause := last + gap_s - loop.time()) > 0 and not self.closed:
                await asyncio.sleep(pause)
            last = loop.time()
            self._wake.clear()
            if self._flush is not None:
                self._flush.cancel()
                self._flush = None
            while self._waiting:
                yield self._frame()
            if self.closed:
                return

    def _frame(self) -> lp_pb2.ToDealer:
        if not self._takes_batches or len(self._waiting) == 1:
            return self._waiting.popleft()
        count = min(len(self._waiting), self._max_batch)
        messages = [self._waiting.popleft() for _ in range(count)]
        return lp_pb2.ToDealer(batch=lp_pb2.ToDealerBatch(messages=messages))


class Meter:
    """A sliding second: `take` says whether one more is within the limit."""

    def __init__(self, per_second: int):
        self.per_second = per_second
        self._taken: deque[int] = deque()

    def take(self, now: int) -> bool:
        while self._taken and self._taken[0] <= now - MICROS:
            self._taken.popleft()
        if len(self._taken) >= self.per_second:
            return False
        self._taken.append(now)
        return True


class Links:
    """Who is connected. One stream per dealer: a newer one replaces the older."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._by_dealer: dict[str, Link] = {}
        self._since: dict[str, tuple[bool, int]] = {}
        self._watchers: set[Callable[[lp_pb2.DealerConnection], None]] = set()

    def begin(self) -> None:
        """From now on it counts who is away."""
        for lp_id in self._since:
            if lp_id not in self._by_dealer:
                self._tell(lp_id, connected=False)

    def end(self, reason: str) -> None:
        """Closes all streams."""
        for link in tuple(self._by_dealer.values()):
            link.close(reason)

    def attach(self, link: Link) -> None:
        """This stream now speaks for its dealer."""
        if older := self._by_dealer.get(link.lp_id):
            older.close("replaced by a newer stream")
        self._by_dealer[link.lp_id] = link
        self._tell(link.lp_id, connected=True)

    def detach(self, link: Link) -> None:
        """The stream ended. Nothing happens when a newer one has taken over."""
        if self._by_dealer.get(link.lp_id) is link:
            del self._by_dealer[link.lp_id]
            self._tell(link.lp_id, connected=False)

    def get(self, lp_id: str) -> Link | None:
        """The stream that speaks for this dealer."""
        return self._by_dealer.get(lp_id)

    def know(self, dealers: Iterable[str]) -> None:
        """Dealers that exist; those never seen count as gone since now."""
        for lp_id in dealers:
            if lp_id not in self._since:
                self._tell(lp_id, connected=lp_id in self._by_dealer)

    def gone_longer_than(self, micros: int) -> list[str]:
        """Dealers that have been away for more than this."""
        now = self._clock.now()
        return [
            lp
            for lp, (connected, since) in self._since.items()
            if not connected and now - since > micros
        ]

    def state(self) -> list[lp_pb2.DealerConnection]:
        """All dealers, for a watcher that begins."""
        return [
            lp_pb2.DealerConnection(lp_id=lp, connected=connected, since_us=since)
            for lp, (connected, since) in sorted(self._since.items())
        ]

    def watch(self, tell: Callable[[lp_pb2.DealerConnection], None]) -> Callable[[], None]:
        """Calls `tell` on each change; returns how to stop."""
        self._watchers.add(tell)
        return lambda: self._watchers.discard(tell)

    def _tell(self, lp_id: str, *, connected: bool) -> None:
        now = self._clock.now()
        self._since[lp_id] = (connected, now)
        change = lp_pb2.DealerConnection(lp_id=lp_id, connected=connected, since_us=now)
        for tell in tuple(self._watchers):
            tell(change)
