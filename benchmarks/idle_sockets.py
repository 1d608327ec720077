"""How much memory does an idle, signed-in, subscribed socket cost the edge?

The edge of the tests (real port, real gRPC streams behind it) in this process, with clients that
are bare kernel sockets; the growth of this process's resident memory is divided by the sockets, so
the clients' own few hundred bytes are in it too.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys

import psutil
import uvloop

from benchmarks.harness import Benchmark, Option, Outcome, Sheet, main
from tests.services.edge_world import running, until

WARM_UP = 200


async def one(port: int, token: str) -> socket.socket:
    """A bare client: handshake, one subscription, then nothing."""
    sock = socket.socket()
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    head = (
        "GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    message = json.dumps(
        {"op": "subscribe", "channel": "ticks", "instrumentIds": ["EURUSD", "USDJPY", "GBPUSD"]}
    ).encode()
    frame = bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message
    await loop.sock_sendall(sock, head.encode() + frame)
    return sock


async def run(count: int) -> Outcome:
    """One run: a process that has done nothing else yet."""
    async with running(sockets_per_user=1000) as world:
        tokens = [world.token(sub=f"u{n}", user=f"u{n}@alpha", sid=f"s{n}") for n in range(20)]
        held = [await one(world.port, tokens[n % 20]) for n in range(WARM_UP)]
        await until(lambda: len(world.edge.roll) == WARM_UP, 60)
        gc.collect()
        before = psutil.Process().memory_info().rss
        held += [await one(world.port, tokens[n % 20]) for n in range(count)]
        await until(lambda: len(world.edge.roll) == WARM_UP + count, 120)
        gc.collect()
        grown = psutil.Process().memory_info().rss - before
        for sock in held:
            sock.close()
    numbers = {"kb_per_socket": round(grown / count / 1024, 2), "sockets": float(count)}
    return Outcome(numbers, [Sheet("Memory", ("what", "value"), list(numbers.items()))])


BENCHMARK = Benchmark(
    "idle_sockets",
    "memory of an idle, signed-in, subscribed socket",
    __doc__ or "",
    # Both ends are in this process.
    (Option("sockets", 2_000, "sockets that are counted", 100, 5_000),),
    ("kb_per_socket",),
    lambda options: uvloop.run(run(options.sockets)),
)

if __name__ == "__main__":
    sys.exit(main(BENCHMARK))
