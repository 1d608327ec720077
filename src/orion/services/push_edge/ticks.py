"""Prices to screens: the newest of each instrument, at most `flush_hz` times a second, encoded once
for everybody.

Instruments have bit positions and a subscription is a mask, so "what of mine is new" is one `&`,
and sockets that miss the same instruments share the same bytes. A socket that does not keep up is
skipped and gets the newest of what it missed later.

The projection is asked when a flush is due, so what goes out is as old as the way here, whatever
the interval. Between flushes one question stays open: the first change after a pause comes at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from orion.platform import telemetry
from orion.services.push_edge import frames
from orion.services.push_edge.config import Config
from orion.wire.stubs import marketdata_pb2

QUIET_US = 2_000_000  # a quiet instrument's sign of life goes out at least this often,
QUIET_SHARE = 3 / 8  # and when so much of the time is over after which it would look stale
SLICE_S = 0.004  # after so long a flush lets others run
ITEMS_PER_FRAME = 200
PATIENCE_MS = 30  # what is new when a flush is due may wait so long for what comes next
TURN = 0.618034  # of the round lies between the first sockets of two flushes
_FLUSH = telemetry.histogram("edge_flush_seconds", "Time to write one flush to all sockets")
_FRAMES = telemetry.counter("edge_tick_frames", "Tick frames sent to sockets")
_SKIPPED = telemetry.counter(
    "edge_tick_frames_skipped", "Tick frames not sent: the socket is behind"
)
_AGE = telemetry.histogram(
    "edge_price_age_seconds", "Age of the newest price of a batch when it comes here"
)
_RATE = telemetry.gauge("edge_flush_hz", "Rate at which prices are flushed now")


_T = TypeVar("_T")


class Socket(Protocol):
    """What a socket is to the hub. `state` is its Session: `mask` what it wants, `missed` what it
    was not sent.
    """

    state: Any

    def send(self, frame: bytes) -> bool: ...

    def is_behind(self, now: float) -> bool: ...


class Pace:
    """How often prices go out: the configured rate, less under load, back slowly."""

    def __init__(self, config: Config):
        self._best, self._worst = config.flush_hz, min(config.slowest_hz, config.flush_hz)
        self.hz = config.flush_hz
        self._easy = 0

    @property
    def interval(self) -> float:
        """Seconds from flush to flush."""
        return 1.0 / self.hz

    @property
    def is_lowered(self) -> bool:
        """True when the rate is below what is configured."""
        return self.hz < self._best

    def note(self, busy_s: float, late_s: float) -> None:
        """A flush took `busy_s` and began `late_s` after it was due."""
        share = (busy_s + late_s) / self.interval
        if share > 0.6:
            self.hz = max(self._worst, self.hz / 1.5)
            self._easy = 0
        elif share < 0.25:
            self._easy += 1
            if self._easy >= 2 * self.hz and self.is_lowered:
                self.hz = min(self._best, self.hz * 1.25)
                self._easy = 0
        else:
            self._easy = 0
        _RATE.set(self.hz)


class TickHub:
    """The newest price of every instrument and who wants it."""

    def __init__(
        self,
        config: Config,
        time: Callable[[], float],
        now: Callable[[], int],
        ask: Callable[[int], None],
    ):
        self._time, self._now, self._ask = time, now, ask
        self.pace = Pace(config)
        self._bits: dict[str, int] = {}
        self._names: list[str] = []
        self._latest: list[marketdata_pb2.MarketTick | None] = []
        self._encoded: list[bytes | None] = []
        self._signs: list[int] = []  # last sign of life of the feed
        self._shown: list[int] = []  # the sign of life that screens know
        self._quiet: list[int] = []  # how much older than the newest it may be
        self._quiet_of: dict[str, int] = {}
        self._stale: set[int] = set()
        self._groups: dict[int, dict[Socket, None]] = {}
        self._bits_of: dict[int, tuple[int, ...]] = {}  # of each group's mask
        self._dirty = 0
        self._answered = asyncio.Event()
        self._is_owing = False  # a socket was skipped
        self._due = -1e9  # when the next flush may begin
        self.seq = 0
        self.ticks_in = 0
        self.has_snapshot = False

    # -- in

    def take(self, batch: marketdata_pb2.TickBatch) -> None:
        """What the projection sent."""
        newest = 0
        for tick in batch.ticks:
            bit = self._bit(tick.instrument_id)
            self._latest[bit] = tick
            self._encoded[bit] = None
            self._dirty |= 1 << bit
            received = tick.received_at_us
            newest = max(newest, received)
            self._signs[bit] = max(self._signs[bit], received, tick.heartbeat_at_us)
            if batch.snapshot:
                self._mark(bit, "STALE" in tick.flags)
        if batch.snapshot:
            self.has_snapshot = True
        elif newest:
            _AGE.observe((self._now() - newest) / 1e6)
        if not batch.snapshot:
            self.ticks_in += batch.taken or len(batch.ticks)
        for beat in batch.heartbeats:
            self._beat(self._bit(beat.instrument_id), beat.at_us)
        for change in batch.status:
            self._changed(change)
        self._answered.set()

    def limits(self, amber_ms: Mapping[str, int]) -> None:
        """After which silence a screen shows an instrument as amber: its signs of life are sent
        in time.
        """
        self._quiet_of = {
            name: min(QUIET_US, int(ms * 1000 * QUIET_SHARE)) for name, ms in amber_ms.items() if ms
        }
        for bit, name in enumerate(self._names):
            self._quiet[bit] = self._quiet_of.get(name, QUIET_US)

    def _bit(self, name: str) -> int:
        bit = self._bits.get(name)
        if bit is None:
            bit = self._bits[name] = len(self._names)
            self._names.append(name)
            self._latest.append(None)
            self._encoded.append(None)
            self._signs.append(0)
            self._shown.append(0)
            self._quiet.append(self._quiet_of.get(name, QUIET_US))
        return bit

    def _beat(self, bit: int, at: int) -> None:
        if at <= self._signs[bit]:
            return
        self._signs[bit] = at
        if self._latest[bit] is not None and at - self._shown[bit] >= self._quiet[bit]:
            self._encoded[bit] = None
            self._dirty |= 1 << bit

    def _mark(self, bit: int, is_stale: bool) -> None:
        if is_stale:
            self._stale.add(bit)
        else:
            self._stale.discard(bit)

    def _changed(self, change: marketdata_pb2.StatusChange) -> None:
        bit = self._bit(change.instrument_id)
        self._mark(bit, change.stale)
        self._encoded[bit] = None
        if self._latest[bit] is not None:
            self._dirty |= 1 << bit
        told = frames.frame("stale", "ticks", self.seq, [frames.stale(change)])
        for mask, sockets in list(self._groups.items()):
            if mask >> bit & 1:
                for socket in list(sockets):
                    socket.send(told)

    # -- subscriptions

    def subscribe(self, socket: Socket, names: Sequence[str]) -> None:
        """Adds instruments; sends the newest of the added ones as a snapshot first."""
        wanted = 0
        for name in names:
            wanted |= 1 << self._bit(name)
        self._move(socket, socket.state.mask | wanted)
        items = [self._bytes(i) for i in _ones(wanted) if self._latest[i] is not None]
        pieces = list(frames.batches(items, ITEMS_PER_FRAME)) or [[]]
        for piece in pieces:
            socket.send(frames.frame("snapshot", "ticks", self.seq, piece))

    def unsubscribe(self, socket: Socket, names: Iterable[str]) -> None:
        """Takes instruments away; unknown ones are nobody's."""
        gone = 0
        for name in names:
            if name in self._bits:
                gone |= 1 << self._bits[name]
        self._move(socket, socket.state.mask & ~gone)

    def leave(self, socket: Socket) -> None:
        """The socket is gone."""
        self._move(socket, 0)

    def _move(self, socket: Socket, mask: int) -> None:
        session = socket.state
        if session.mask:
            group = self._groups[session.mask]
            group.pop(socket, None)
            if not group:
                del self._groups[session.mask], self._bits_of[session.mask]
        session.mask = mask
        session.missed &= mask
        if mask:
            if mask not in self._groups:
                self._groups[mask], self._bits_of[mask] = {}, tuple(_ones(mask))
            self._groups[mask][socket] = None

    # -- out

    async def run(self) -> None:
        """Flushes for ever: at once after a quiet interval, otherwise when the interval is over."""
        while True:
            late = 0.0
            if (ahead := self._due - self._time()) > 0:
                await asyncio.sleep(ahead)
                late = max(0.0, self._time() - self._due)
            await self._news()
            began, interval = self._time(), self.pace.interval
            # A fixed beat, because answers come a little sooner or later; a new one after a pause.
            is_in_beat = began - self._due < interval / 2
            self._due = (self._due if is_in_beat else began) + interval
            await self.flush()
            took = self._time() - began
            _FLUSH.observe(took)
            # Who slept into a pause was late for nobody.
            self.pace.note(took, late if is_in_beat else 0.0)

    async def _news(self) -> None:
        """Asks until there is something to tell. What waits to be told does not wait for ever."""
        is_waiting = self._dirty or self._is_owing
        with suppress(TimeoutError):
            async with asyncio.timeout(self.pace.interval / 2 if is_waiting else None):
                while True:
                    self._answered.clear()
                    self._ask(PATIENCE_MS)
                    await self._answered.wait()
                    if self._dirty:
                        return

    async def flush(self) -> None:
        """Sends what is new to everyone who wants it."""
        slice_began = self._time()
        dirty, self._dirty, self._is_owing = self._dirty, 0, False
        self.seq += 1
        for bit in _ones(dirty):
            self._shown[bit] = self._signs[bit]
        head = frames.head("update", "ticks", self.seq)
        joined: dict[int, bytes] = {}
        sent = skipped = 0
        for mask, sockets in _turned(list(self._groups.items()), self.seq):
            fresh = mask & dirty
            is_alone = len(sockets) == 1
            for socket in tuple(sockets) if is_alone else _turned(list(sockets), self.seq):
                session = socket.state
                want = (fresh | session.missed) & mask
                if not want:
                    continue
                if socket.is_behind(slice_began):
                    session.missed = want
                    skipped += 1
                    continue
                session.missed = 0
                if is_alone and want == mask:
                    # Nobody else wants just this, and what is not kept lies where the next is made.
                    socket.send(self._frame(head, want))
                else:
                    data = joined.get(want)
                    if data is None:
                        data = joined[want] = self._frame(head, want)
                    socket.send(data)
                sent += 1
            if self._time() - slice_began > SLICE_S:
                await asyncio.sleep(0)
                slice_began = self._time()
        _FRAMES.inc(sent)
        _SKIPPED.inc(skipped)
        # Looked at again, so that one who stays behind is cut and one who catches up is served.
        self._is_owing = skipped > 0

    def _frame(self, head: bytes, want: int) -> bytes:
        # Nearly every frame of a busy market holds a whole subscription: its bits are known.
        bits, encoded = self._bits_of.get(want) or tuple(_ones(want)), self._encoded
        return head + b",".join([encoded[i] or self._bytes(i) for i in bits]) + b"]}"

    def _bytes(self, bit: int) -> bytes:
        held = self._encoded[bit]
        if held is None:
            tick = self._latest[bit]
            assert tick is not None
            held = self._encoded[bit] = frames.tick(tick, self._signs[bit], bit in self._stale)
        return held


def _turned(items: list[_T], seq: int) -> list[_T]:
    """Another one first each time, so that nobody is always last."""
    start = int(seq * TURN % 1 * len(items))
    return items[start:] + items[:start] if start else items


def _ones(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
