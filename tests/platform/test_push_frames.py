"""Frames of every size arrive as they were sent, however many are sent at once and however slowly
they are read. On uvloop, as in the product: it takes what it is given later than asyncio does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
import uvloop
from websockets.asyncio.client import connect

from orion.platform.push import Peer, PushServer


class Speaker:
    """Says everything at once to whoever comes."""

    def __init__(self, frames: Sequence[bytes]):
        self._frames = frames

    def admit(self, request: Any) -> None: ...

    def opened(self, peer: Peer, request: Any) -> None:
        for frame in self._frames:
            peer.send(frame)

    def message(self, peer: Peer, text: bytes) -> None: ...

    def closed(self, peer: Peer) -> None: ...


async def heard(frames: Sequence[bytes], *, slowly: bool) -> list[bytes]:
    """What a client reads of these."""
    server = PushServer(Speaker(frames))
    port = await server.listen("127.0.0.1", 0)
    found: list[bytes] = []
    address = f"ws://127.0.0.1:{port}/"
    async with asyncio.timeout(60), connect(address, proxy=None, max_size=None) as socket:
        if slowly:  # the kernel's buffers are full before the first is read
            await asyncio.sleep(0.2)
        while len(found) < len(frames):
            text = await socket.recv()
            found.append(text.encode() if isinstance(text, str) else text)
    await server.close()
    return found


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "slowly"])
@pytest.mark.parametrize(
    "sizes",
    [(20_000, 9_000), (9_000, 10), (8_192, 8_193, 8_192), (70_000, 30_000, 5, 300_000, 12_000)],
    ids=str,
)
async def test_frames_sent_at_once_arrive_whole(sizes: tuple[int, ...], slowly: bool) -> None:
    frames = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    found = await asyncio.to_thread(uvloop.run, heard(frames, slowly=slowly))
    assert [(f[:1], len(f)) for f in found] == [(f[:1], len(f)) for f in frames]
    assert found == frames
