"""A process full of subscribers for `tick_fanout`: real WebSocket clients that note what arrives.

It is told what to do on its standard input, a line each: the order (JSON), `on`, `off`; it answers
with a line each: `ready`, and after `off` what it saw (JSON). When its input ends, so does it.

The moment a frame is read from its socket is noted at once. What is in the frame is looked at in
the pause after the burst, a few frames at a time: thousands of screens have thousands of machines,
and one must not wait until we have examined the frame of another.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvloop
from hdrh.histogram import HdrHistogram
from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.harness import histogram

CONNECT_AT_ONCE = 10
CONNECT_TRIES = 10
SNAPSHOTS_S = 60
CALM_S = 0.03  # frames come in bursts; after so long one is over
LOOK_AT = 20  # frames in one go
_RECEIVED = b'"receivedAt":"'
_TIMESTAMP = b'"timestamp":"'


@dataclass(frozen=True)
class Order:
    """What one process is to do: sockets `first` to `first + count` of all, `size` instruments of
    `names` each.
    """

    port: int
    first: int
    count: int
    size: int
    names: list[str]
    tokens: list[str]


@dataclass
class Seen:
    """What subscribers saw. Histograms in microseconds."""

    age: HdrHistogram = field(default_factory=histogram)
    schedule: HdrHistogram = field(default_factory=histogram)
    client: HdrHistogram = field(default_factory=histogram)
    frames: int = 0
    items: int = 0
    bytes: int = 0
    closed: int = 0
    fewest: int = 0  # frames that one socket had
    cpu: float = 0.0
    degraded: set[str] = field(default_factory=set)
    flush_hz: list[float] = field(default_factory=list)

    def to_json(self) -> str:
        """For the process that asked."""
        plain = {**vars(self), "degraded": sorted(self.degraded)}
        for name in ("age", "schedule", "client"):
            plain[name] = plain[name].encode().decode()
        return json.dumps(plain)

    def add(self, text: bytes) -> None:
        """Takes in what a process answered."""
        other = json.loads(text)
        for name in ("age", "schedule", "client"):
            getattr(self, name).add(HdrHistogram.decode(other[name]))
        self.fewest = other["fewest"] if not self.frames else min(self.fewest, other["fewest"])
        for name in ("frames", "items", "bytes", "closed", "cpu"):
            setattr(self, name, getattr(self, name) + other[name])
        self.degraded.update(other["degraded"])
        self.flush_hz += other["flush_hz"]


_seconds: dict[bytes, int] = {}


def micros(text: bytes) -> int:
    """Microseconds of `2026-02-09T12:34:56.789Z`."""
    head = text[:19]
    second = _seconds.get(head)
    if second is None:
        second = int(datetime.fromisoformat(head.decode()).replace(tzinfo=UTC).timestamp())
        _seconds[head] = second
    return second * 1_000_000 + int(text[20:23]) * 1_000


class Screen(WSListener):  # type: ignore[misc]
    """One subscriber."""

    def __init__(self, crowd: Crowd, names: list[str]):
        self._crowd, self._names = crowd, names
        self.has_snapshot = False
        self.frames = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        ask = {"op": "subscribe", "channel": "ticks", "instrumentIds": self._names}
        transport.send(WSMsgType.TEXT, json.dumps(ask))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._crowd.arrived(time.time_ns() // 1_000, self, frame.get_payload_as_bytes())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._crowd.seen.closed += 1


class Crowd:
    """The subscribers of this process."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.is_on = False
        self.screens: list[tuple[WSTransport, Screen]] = []
        self._arrived: deque[tuple[int, Screen, bytes]] = deque()
        self._is_looking = False

    def arrived(self, now: int, screen: Screen, body: bytes) -> None:
        """A frame has been read."""
        if not self.is_on and screen.has_snapshot:
            return
        self._arrived.append((now, screen, body))
        if not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(CALM_S, self._look)

    def _look(self) -> None:
        for _ in range(min(LOOK_AT, len(self._arrived))):
            self._examine(*self._arrived.popleft())
        self._is_looking = bool(self._arrived)
        if self._is_looking:
            asyncio.get_running_loop().call_soon(self._look)

    def _examine(self, now: int, screen: Screen, body: bytes) -> None:
        if body.startswith(b'{"type":"update"'):
            screen.frames += 1
            self._count(body, now)
        elif body.startswith(b'{"type":"snapshot"'):
            screen.has_snapshot = True
        elif body.startswith(b'{"type":"heartbeat"'):
            item = json.loads(body)["items"][0]
            self.seen.degraded.update(item["degraded"])
            self.seen.flush_hz.append(item["flushHz"])

    def _count(self, body: bytes, now: int) -> None:
        seen = self.seen
        parts = body.split(_RECEIVED)[1:]
        newest = max(p[:24] for p in parts)
        seen.age.record_value(max(1, now - micros(newest)))
        seen.frames += 1
        seen.items += len(parts)
        seen.bytes += len(body)
        if seen.frames % 50 == 0:
            intended = micros(body.split(_TIMESTAMP, 2)[1][:24])
            seen.schedule.record_value(max(1, micros(parts[0][:24]) - intended))

    # -- the run

    async def connect(self, order: Order) -> None:
        """All sockets, subscribed; a few at a time."""
        chance = random.Random(1)
        choices = [chance.sample(order.names, order.size) for _ in range(order.first + order.count)]
        numbers = range(order.first, order.first + order.count)
        for start in range(0, order.count, CONNECT_AT_ONCE):
            few = numbers[start : start + CONNECT_AT_ONCE]
            await asyncio.gather(*(self._one(order, n, choices[n]) for n in few))
        end = time.monotonic() + SNAPSHOTS_S
        while not all(s.has_snapshot for _, s in self.screens):
            if time.monotonic() > end:
                raise SystemExit(f"not every socket had its snapshot in {SNAPSHOTS_S} s")
            await asyncio.sleep(0.1)

    async def _one(self, order: Order, number: int, names: list[str]) -> None:
        screen = Screen(self, names)
        token = order.tokens[number % len(order.tokens)]
        for attempt in range(CONNECT_TRIES):
            try:
                transport, _ = await ws_connect(
                    lambda: screen,
                    f"ws://127.0.0.1:{order.port}/api/v1/stream",
                    extra_headers={"Authorization": f"Bearer {token}"},
                    websocket_handshake_timeout=30,
                    read_buffer_init_size=4096,
                )
            except WSHandshakeError as error:
                # 503: the edge has many sockets to take at once and says "again in a moment".
                is_busy = error.response is not None and error.response.status == 503
                if not is_busy or attempt + 1 == CONNECT_TRIES:
                    raise
                await asyncio.sleep(0.2 * (attempt + 1))
            else:
                self.screens.append((transport, screen))
                return

    async def lag(self) -> None:
        """How late this process's own loop is."""
        step = 0.01
        due = time.monotonic() + step
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            if self.is_on:
                self.seen.client.record_value(max(1, int(late * 1e6)))
            due += step
            if late > step:
                due = time.monotonic() + step

    async def settle(self) -> None:
        """Waits until all that arrived has been looked at."""
        while self._is_looking:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


async def main() -> None:
    """Does what it is told."""
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    crowd = Crowd()
    await crowd.connect(Order(**json.loads(await told.readline())))
    lag = asyncio.create_task(crowd.lag())
    # A pause of this program's garbage collector would be read as the age of a price.
    gc.collect()
    gc.disable()
    print("ready", flush=True)
    if await told.readline():
        began, crowd.is_on = time.process_time(), True
        await told.readline()
        crowd.is_on = False
        lost = crowd.seen.closed
        await crowd.settle()
        crowd.seen.cpu, crowd.seen.closed = time.process_time() - began, lost
        crowd.seen.fewest = min((s.frames for _, s in crowd.screens), default=0)
        print(crowd.seen.to_json(), flush=True)
        await told.readline()
    lag.cancel()
    for transport, _ in crowd.screens:
        transport.disconnect(graceful=False)


if __name__ == "__main__":
    uvloop.run(main())
