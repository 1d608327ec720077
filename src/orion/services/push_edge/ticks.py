"""Prices to screens: the newest of each instrument, at most `flush_hz` times a second, encoded once
for everybody.

Instruments have bit positions and a subscription is a mask, so "what of mine is new" is one `&`,
and sockets that miss the same instruments share the same bytes. A socket that does not keep up is
skipped and gets the newest of what it missed later. A crowd is served in parts, one after the other
within the interval: in one go the last of a thousand would get prices as old as the go is long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from orion.platform import telemetry
from orion.services.push_edge import frames
from orion.services.push_edge.config import Config
from orion.wire.stubs import marketdata_pb2

QUIET_US = 2_000_000  # a quiet instrument's sign of life goes out this often
SLICE_S = 0.004  # after so long a flush lets others run
ITEMS_PER_FRAME = 200
LANES = 4
APART = 0.8  # of its part of the interval lies at least between two lanes
CROWD = 100  # sockets; below it one lane serves all, so that all see a price at the same moment
_FLUSH = telemetry.histogram("edge_flush_seconds", "Time to write one flush to all sockets")
_FRAMES = telemetry.counter("edge_tick_frames", "Tick frames sent to sockets")
_SKIPPED = telemetry.counter(
    "edge_tick_frames_skipped", "Tick frames not sent: the socket is behind"
)
_RATE = telemetry.gauge("edge_flush_hz", "Rate at which prices are flushed now")


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

    def note(self, share: float) -> None:
        """A flush used this part of its time: what it took, and how late it began."""
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


class _Lane:
    """The sockets that are served together."""

    def __init__(self) -> None:
        self.groups: dict[int, dict[Socket, None]] = {}  # by mask
        self.bits: dict[int, tuple[int, ...]] = {}  # of each group's mask
        self.sockets = 0
        self.dirty = 0
        self.again = False  # somebody was skipped
        self.due = -1e9  # when the next flush may begin

    def add(self, socket: Socket, mask: int) -> None:
        if mask not in self.groups:
            self.groups[mask], self.bits[mask] = {}, tuple(_ones(mask))
        self.groups[mask][socket] = None
        self.sockets += 1

    def drop(self, socket: Socket, mask: int) -> None:
        group = self.groups[mask]
        del group[socket]
        self.sockets -= 1
        if not group:
            del self.groups[mask], self.bits[mask]


class TickHub:
    """The newest price of every instrument and who wants it."""

    def __init__(self, config: Config, time: Callable[[], float], now: Callable[[], int]):
        self._time, self._now = time, now
        self.pace = Pace(config)
        self._bits: dict[str, int] = {}
        self._names: list[str] = []
        self._latest: list[marketdata_pb2.MarketTick | None] = []
        self._encoded: list[bytes | None] = []
        self._signs: list[int] = []  # last sign of life of the feed
        self._told: list[int] = []  # when this instrument was last flushed
        self._stale: set[int] = set()
        self._lanes = [_Lane() for _ in range(LANES)]
        self._wake = asyncio.Event()
        self.seq = 0
        self.ticks_in = 0
        self.has_snapshot = False

    # -- in

    def take(self, batch: marketdata_pb2.TickBatch) -> None:
        """What the projection sent."""
        moved = 0
        for tick in batch.ticks:
            bit = self._bit(tick.instrument_id)
            self._latest[bit] = tick
            self._encoded[bit] = None
            moved |= 1 << bit
            self._signs[bit] = max(self._signs[bit], tick.received_at_us, tick.heartbeat_at_us)
            if batch.snapshot:
                self._mark(bit, "STALE" in tick.flags)
        if batch.snapshot:
            self.has_snapshot = True
        else:
            self.ticks_in += batch.taken or len(batch.ticks)
        for beat in batch.heartbeats:
            moved |= self._beat(self._bit(beat.instrument_id), beat.at_us)
        for change in batch.status:
            moved |= self._changed(change)
        if moved:
            for lane in self._lanes:
                lane.dirty |= moved
            self._wake.set()

    def _bit(self, name: str) -> int:
        bit = self._bits.get(name)
        if bit is None:
            bit = self._bits[name] = len(self._names)
            self._names.append(name)
            self._latest.append(None)
            self._encoded.append(None)
            self._signs.append(0)
            self._told.append(0)
        return bit

    def _beat(self, bit: int, at: int) -> int:
        """The bit, if screens should hear of it."""
        if at <= self._signs[bit]:
            return 0
        self._signs[bit] = at
        if self._latest[bit] is None or at - self._told[bit] < QUIET_US:
            return 0
        self._encoded[bit] = None
        return 1 << bit

    def _mark(self, bit: int, is_stale: bool) -> None:
        if is_stale:
            self._stale.add(bit)
        else:
            self._stale.discard(bit)

    def _changed(self, change: marketdata_pb2.StatusChange) -> int:
        """Tells of it at once; the bit, if there is a price to be told anew."""
        bit = self._bit(change.instrument_id)
        self._mark(bit, change.stale)
        self._encoded[bit] = None
        told = frames.frame("stale", "ticks", self.seq, [frames.stale(change)])
        for lane in self._lanes:
            for mask, sockets in list(lane.groups.items()):
                if mask >> bit & 1:
                    for socket in list(sockets):
                        socket.send(told)
        return 0 if self._latest[bit] is None else 1 << bit

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
            self._lanes[session.lane].drop(socket, session.mask)
        elif mask:
            session.lane = self._lane()
        session.mask = mask
        session.missed &= mask
        if mask:
            self._lanes[session.lane].add(socket, mask)

    def _lane(self) -> int:
        """For one more socket: the first while they are few, then the emptiest."""
        sizes = [lane.sockets for lane in self._lanes]
        return 0 if sum(sizes) < CROWD else sizes.index(min(sizes))

    # -- out

    async def run(self) -> None:
        """Flushes for ever: each lane at once after a quiet interval, otherwise when its interval
        is over, and never close upon another lane.
        """
        began = -1e9
        while True:
            lanes = [lane for lane in self._lanes if lane.sockets] or self._lanes[:1]
            waiting = [lane for lane in lanes if lane.dirty or lane.again]
            if not waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            lane = min(waiting, key=lambda one: one.due)
            share = self.pace.interval / len(lanes)
            due, now = max(lane.due, began + APART * share), self._time()
            if due > now:
                await asyncio.sleep(due - now)
            else:
                due = now
            began = self._time()
            lane.due = due + self.pace.interval
            await self._flush(lane)
            took = self._time() - began
            _FLUSH.observe(took)
            self.pace.note((took + max(0.0, began - due)) / share)

    async def _flush(self, lane: _Lane) -> None:
        """Sends what is new to everyone in this lane who wants it."""
        slice_began = self._time()
        dirty, lane.dirty, lane.again = lane.dirty, 0, False
        self.seq += 1
        now = self._now()
        for bit in _ones(dirty):
            self._told[bit] = now
        head = frames.head("update", "ticks", self.seq)
        joined: dict[int, bytes] = {}
        sent = skipped = 0
        for mask, sockets in list(lane.groups.items()):
            fresh = mask & dirty
            for socket in tuple(sockets):
                session = socket.state
                want = (fresh | session.missed) & session.mask
                if not want:
                    continue
                if socket.is_behind(slice_began):
                    session.missed = want
                    skipped += 1
                    continue
                session.missed = 0
                data = joined.get(want)
                if data is None:
                    data = joined[want] = self._frame(head, want, lane)
                socket.send(data)
                sent += 1
            if self._time() - slice_began > SLICE_S:
                await asyncio.sleep(0)
                slice_began = self._time()
        _FRAMES.inc(sent)
        _SKIPPED.inc(skipped)
        # Looked at again, so that one who stays behind is cut and one who catches up is served.
        lane.again = skipped > 0

    def _frame(self, head: bytes, want: int, lane: _Lane) -> bytes:
        # Nearly every frame of a busy market holds a whole subscription: its bits are known.
        bits, encoded = lane.bits.get(want) or tuple(_ones(want)), self._encoded
        return head + b",".join([encoded[i] or self._bytes(i) for i in bits]) + b"]}"

    def _bytes(self, bit: int) -> bytes:
        held = self._encoded[bit]
        if held is None:
            tick = self._latest[bit]
            assert tick is not None
            held = self._encoded[bit] = frames.tick(tick, self._signs[bit], bit in self._stale)
        return held


def _ones(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
