"""How much memory does an idle, signed-in, subscribed socket cost the edge?

    python -m benchmarks.idle_sockets [--sockets 2000]

The edge of the tests (real port, real gRPC streams behind it) in this process, with clients that
are bare kernel sockets; the growth of this process's resident memory is divided by the sockets, so
the clients' own few hundred bytes are in it too.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import socket

import psutil
import uvloop

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


async def run(count: int) -> None:
    """Measures and prints."""
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
        print(f"{count} idle sockets: {grown / count / 1024:.1f} KB each")
        for sock in held:
            sock.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sockets", type=int, default=2_000)
    options = parser.parse_args()
    if options.sockets > 5_000:
        parser.error("at most 5,000 sockets: both ends are in this process")
    uvloop.run(run(options.sockets))


if __name__ == "__main__":
    main()
