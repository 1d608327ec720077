"""Looks at what commands do not show: prices, the push stream, the audit trail, watchlists, the
issuer. Only while somebody waits for the sign.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.chaos.client import Client, NoAnswer
from benchmarks.chaos.load import Load, User
from benchmarks.chaos.signs import Signs

LOOK_S = 0.1


class Probes:
    """`async with` keeps looking."""

    def __init__(self, client: Client, port: int, user: User, signs: Signs, load: Load):
        self._client, self._port, self._user = client, port, user
        self._signs, self._load = signs, load
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Probes:
        looks: dict[str, Callable[[], Any]] = {
            "tick": self._tick,
            "audit": self._audit,
            "watchlists": self._watchlists,
            "issuer": self._issuer,
        }
        self._tasks = [asyncio.create_task(self._keep(k, look)) for k, look in looks.items()]
        self._tasks.append(asyncio.create_task(self._frames()))
        return self

    async def __aexit__(self, *_error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, kind: str, look: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            if self._signs.wanted(kind):
                with contextlib.suppress(NoAnswer):
                    left = await look()
                    if left is not None:
                        self._signs.note(kind, left)

    async def _get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self._user.token()}"}
        answer = await self._client.send("GET", path, headers)
        return answer.json() if answer.status == 200 else None

    async def _tick(self) -> int | None:
        """A price counts from the moment at which it came in."""
        said = await self._get("/api/v1/market/snapshot?instrumentId=EURUSD")
        return self._moment(said["items"]) if said else None

    async def _watchlists(self) -> int | None:
        left = self._signs.now()
        return None if await self._get("/api/v1/watchlists") is None else left

    async def _issuer(self) -> int | None:
        # A connection of its own: its first request decides which process it is handed to.
        client, left = Client(self._port), self._signs.now()
        try:
            found = await client.send("GET", "/oidc/.well-known/openid-configuration", {})
        finally:
            await client.close()
        return left if found.status == 200 else None

    async def _audit(self) -> int | None:
        """The trail of an RFQ counts from when the RFQ was asked for."""
        name, left = self._load.latest.get(self._user.tenant, ("", 0))
        said = await self._get(f"/api/v1/audit/{name}") if name else None
        return left if said and said["items"] else None

    def _moment(self, items: list[dict[str, Any]]) -> int | None:
        told = [item["receivedAt"] for item in items if item.get("receivedAt")]
        if not told:
            return None
        age = time.time() - max(datetime.fromisoformat(text).timestamp() for text in told)
        return self._signs.now() - int(age * 1e6)

    async def _frames(self) -> None:
        """One screen: it connects again whenever it is cut off, as the workstation does."""
        url = f"ws://127.0.0.1:{self._port}/api/v1/stream"
        while True:
            headers = {"Authorization": f"Bearer {self._user.token()}"}
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, EOFError):
                async with connect(
                    url, additional_headers=headers, proxy=None, open_timeout=3, close_timeout=1
                ) as socket:
                    await socket.send(
                        json.dumps(
                            {"op": "subscribe", "channel": "ticks", "instrumentIds": ["EURUSD"]}
                        )
                    )
                    async for text in socket:
                        if self._signs.wanted("frame"):
                            frame = json.loads(text)
                            items = frame["items"] if frame.get("channel") == "ticks" else []
                            if (left := self._moment(items)) is not None:
                                self._signs.note("frame", left)
            await asyncio.sleep(LOOK_S)
