"""Who watches RFQs: each watcher gets what it may see, whole, the latest state of each RFQ, in few
messages when much happens."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from orion.core.rfq.state import Rfq
from orion.core.rfq.view import is_live
from orion.core.values import SECOND
from orion.platform import telemetry
from orion.platform.clock import Clock
from orion.platform.errors import Coded, NotOwner
from orion.platform.transact import Commit, Owner
from orion.services.rfq.config import Config
from orion.wire.proto import delimited, rfq_to_bytes, rfq_to_proto
from orion.wire.stubs import rfq_pb2

MAX_ENDED = 20_000
MAX_ITEMS = 200  # RFQs in one message
_WATCHERS = telemetry.gauge("rfq_watchers", "Streams that watch RFQs")
_ITEM = b"\x0a"  # the tag of RFQUpdate.items


class Seen(Protocol):
    """What decides who may see an RFQ: its terms have it, and so has its message."""

    @property
    def tenant_id(self) -> str: ...
    @property
    def requester(self) -> str: ...
    @property
    def desk(self) -> str: ...


May = Callable[[Seen], bool]


class News:
    """A changed RFQ. Becomes bytes when the first watcher is written, once for all of them; what a
    later change has overtaken by then never does.
    """

    __slots__ = ("_bytes", "_message", "_now", "_state", "rfq_id", "seen")

    def __init__(
        self, rfq_id: str, seen: Seen, *, state: Rfq | None = None,
        message: rfq_pb2.RFQDetails | None = None, now: Callable[[], int],
    ):  # fmt: skip
        self.rfq_id, self.seen = rfq_id, seen
        self._state, self._message, self._now = state, message, now
        self._bytes = b""

    def item(self) -> bytes:
        """One item of an RFQUpdate, as it goes out."""
        if not self._bytes:
            if self._message is not None:
                body = self._message.SerializeToString()
            else:
                assert self._state is not None
                body = rfq_to_bytes(self._state, self._now())
            self._bytes = delimited(_ITEM, body)
        return self._bytes


class Watcher:
    """One stream. Holds the latest of each changed RFQ until it is written; never more than one per
    RFQ."""

    def __init__(self, may: May, *, peers: bool):
        self.may, self.peers = may, peers
        self.waiting: OrderedDict[str, News] = OrderedDict()
        self.wake = asyncio.Event()

    def put(self, news: News) -> None:
        """Queues a change, over an older one of the same RFQ."""
        if self.may(news.seen):
            self.waiting[news.rfq_id] = news
            self.wake.set()


class Hub:
    """Hears every commit of the owner, and what other copies' watchers say, and tells the watchers
    here."""

    def __init__(self, owner: Owner[Rfq], clock: Clock, config: Config):
        self._owner, self._clock, self._config = owner, clock, config
        self._watchers: set[Watcher] = set()
        self._ended: OrderedDict[str, Rfq] = OrderedDict()
        self._elsewhere: OrderedDict[str, rfq_pb2.RFQDetails] = OrderedDict()
        self._catching_up: set[asyncio.Task[None]] = set()
        owner.on_commit(self.heard)
        owner.on_taken(self.taken)

    def taken(self, number: int) -> None:
        """A partition is ours now: tells how its RFQs stand, for what the owner before decided
        last may have been told to nobody.
        """
        for _, rfq_id, state in self._owner.live():
            if self._owner.part_of(rfq_id) == number:
                self._elsewhere.pop(rfq_id, None)
                self._tell(self._news(rfq_id, state), from_peer=False)
        gone = [r for r in self._elsewhere.values() if self._owner.part_of(r.rfq_id) == number]
        ended = [(r.tenant_id, r.rfq_id) for r in gone if not r.HasField("ended_at_us")]
        if ended:
            task = asyncio.get_running_loop().create_task(self._tell_ended(ended))
            self._catching_up.add(task)
            task.add_done_callback(self._catching_up.discard)

    async def _tell_ended(self, names: list[tuple[str, str]]) -> None:
        for tenant, rfq_id in names:
            try:
                state = await self._owner.state(tenant, rfq_id)
            except (NotOwner, Coded) as away:
                telemetry.log.warning("an RFQ's end is told late", entity_id=rfq_id, why=str(away))
                continue
            if state is not None:
                self._elsewhere.pop(rfq_id, None)
                if not is_live(state):
                    self._ended[rfq_id] = state
                self._tell(self._news(rfq_id, state), from_peer=False)

    def _news(self, rfq_id: str, state: Rfq) -> News:
        return News(rfq_id, state.terms, state=state, now=self._clock.now)

    def heard(self, commit: Commit[Rfq]) -> None:
        """Takes what a write made true."""
        now = self._clock.now()
        for _, rfq_id, state in commit.states:
            if not is_live(state):
                self._ended[rfq_id] = state
            if self._watchers:
                self._tell(self._news(rfq_id, state), from_peer=False)
        self._forget(now)

    def heard_elsewhere(self, items: Iterable[rfq_pb2.RFQDetails]) -> None:
        """Takes what another copy told of its own partitions."""
        for rfq in items:
            if self._owner.owns(rfq.rfq_id):
                continue  # said before it became ours: we know better
            self._elsewhere[rfq.rfq_id] = rfq
            self._elsewhere.move_to_end(rfq.rfq_id)
            news = News(rfq.rfq_id, rfq, message=rfq, now=self._clock.now)
            self._tell(news, from_peer=True)
        while len(self._elsewhere) > MAX_ENDED:
            self._elsewhere.popitem(last=False)

    def _tell(self, news: News, *, from_peer: bool) -> None:
        for watcher in self._watchers:
            if watcher.peers or not from_peer:
                watcher.put(news)

    def _forget(self, now: int) -> None:
        before = now - self._config.watch_ended_s * SECOND
        while self._ended:
            oldest = next(iter(self._ended.values()))
            if len(self._ended) <= MAX_ENDED and (oldest.ended_at or 0) >= before:
                return
            self._ended.popitem(last=False)

    def snapshot(self, watcher: Watcher) -> list[rfq_pb2.RFQDetails]:
        """Open RFQs and those that ended a moment ago, newest first, as far as the watcher may see
        them."""
        now = self._clock.now()
        self._forget(now)
        states = [state for _, _, state in self._owner.live()]
        found = [
            rfq_to_proto(state, now)
            for state in (*states, *self._ended.values())
            if watcher.may(state.terms)
        ]
        if watcher.peers:
            since = now - self._config.watch_ended_s * SECOND
            found += [r for r in self._elsewhere.values() if _is_fresh(r, since) and watcher.may(r)]
        found.sort(key=lambda r: r.created_at_us, reverse=True)
        return found[: self._config.watch_snapshot]

    async def watch(
        self, may: May, *, peers: bool = True
    ) -> AsyncIterator[rfq_pb2.RFQUpdate | bytes]:
        """The snapshot, then changes (RFQUpdates, ready made), until the caller goes. Raises WS-503
        for one that does not read."""
        watcher = Watcher(may, peers=peers)
        self._watchers.add(watcher)
        _WATCHERS.set(len(self._watchers))
        loop, gap_s = asyncio.get_running_loop(), self._config.watch_gap_ms / 1000
        try:
            # Changes from here on wait in the watcher; the snapshot is taken in the same breath.
            yield rfq_pb2.RFQUpdate(items=self.snapshot(watcher), snapshot=True)
            last = 0.0
            while True:
                watcher.wake.clear()
                if not watcher.waiting:
                    await watcher.wake.wait()
                if (pause := last + gap_s - loop.time()) > 0:
                    await asyncio.sleep(pause)
                last = loop.time()
                if len(watcher.waiting) > self._config.watch_max_waiting:
                    raise Coded("WS-503")
                while watcher.waiting:
                    yield b"".join(news.item() for news in _some(watcher.waiting))
        finally:
            self._watchers.discard(watcher)
            _WATCHERS.set(len(self._watchers))


def _some(waiting: OrderedDict[str, News]) -> list[News]:
    return [waiting.popitem(last=False)[1] for _ in range(min(len(waiting), MAX_ITEMS))]


def _is_fresh(rfq: rfq_pb2.RFQDetails, since: int) -> bool:
    return not rfq.HasField("ended_at_us") or rfq.ended_at_us >= since
