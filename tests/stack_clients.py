"""Programs that talk to a running platform: one over REST, one over the WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.stack import Stack, until

OPEN = ("CREATED", "SENT", "QUOTING", "ACCEPTED")
PROMPT = ["NORTHGATE", "MERIDIANX", "BRACKWATER"]  # dealers without a last look
Json = dict[str, Any]


def new_key() -> str:
    """An Idempotency-Key nobody used before."""
    return uuid4().hex


class Desk:
    """A user's REST client, with the steps of an RFQ."""

    def __init__(self, http: httpx.AsyncClient, user: str):
        self.http, self.user = http, user
        self.get, self.request = http.get, http.request

    async def command(
        self, method: str, path: str, body: Any = None, key: str = ""
    ) -> httpx.Response:
        """A command with its key."""
        headers = {"idempotency-key": key or new_key()}
        return await self.http.request(method, path, json=body, headers=headers)

    async def ask(self, key: str = "", **terms: Any) -> Json:
        """Sends an RFQ."""
        answer = await self.command("POST", "/rfqs", rfq_terms(**terms), key)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def rfq(self, rfq_id: str) -> Json:
        """The RFQ as its owner knows it."""
        answer = await self.get(f"/rfqs/{rfq_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def quoted(self, rfq_id: str, quotes: int = 1, within_s: float = 15.0) -> Json:
        """The RFQ once so many quotes can be dealt on."""

        async def look() -> Json | None:
            rfq = await self.rfq(rfq_id)
            live = [q for q in rfq["quotes"] if q["status"] == "QUOTED"]
            return rfq if len(live) >= quotes else None

        return await until(look, within_s, f"{quotes} quotes")

    async def accept(
        self, rfq: Json, quote_id: str = "", key: str = "", **more: Any
    ) -> httpx.Response:
        """Accepts a quote; the best when none is named."""
        body = {"quoteId": quote_id or rfq["bestQuoteId"], "version": rfq["version"], **more}
        return await self.command("POST", f"/rfqs/{rfq['rfqId']}/accept", body, key)

    async def ended(self, rfq_id: str, within_s: float = 20.0) -> Json:
        """The RFQ once it is over."""

        async def look() -> Json | None:
            rfq = await self.rfq(rfq_id)
            return rfq if rfq["status"] not in OPEN else None

        return await until(look, within_s, "the RFQ is over")

    async def trade(self, **terms: Any) -> Json:
        """From RFQ to trade; the RFQ as it ended."""
        terms = {"lpIds": PROMPT, **terms}
        rfq = await self.quoted((await self.ask(**terms))["rfqId"])
        answer = await self.accept(rfq)
        assert answer.status_code == 200, answer.text
        ended = await self.ended(rfq["rfqId"])
        assert ended["status"] == "TRADED", ended
        return ended

    async def every(self, path: str, **parameters: Any) -> list[Json]:
        """All items of a list, page by page."""
        items: list[Json] = []
        cursor: Json = {}
        while True:
            answer = await self.get(path, params={"limit": 200, **parameters, **cursor})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["items"]
            if page["nextCursor"] is None:
                return items
            cursor = {"cursor": page["nextCursor"]}


def rfq_terms(**terms: Any) -> Json:
    """What an RFQ needs, with what is asked for on top."""
    return {
        "instrumentId": "EURUSD",
        "side": "BUY",
        "size": "1000000",
        "expirySeconds": 30,
        **terms,
    }


@asynccontextmanager
async def desk_of(stack: Stack, user: str) -> AsyncIterator[Desk]:
    """A REST client of this user."""
    headers = {"authorization": f"Bearer {await stack.token(user)}"}
    async with httpx.AsyncClient(
        base_url=f"{stack.url}/api/v1", headers=headers, timeout=httpx.Timeout(15.0)
    ) as http:
        yield Desk(http, user)


class Feed:
    """A user's WebSocket: keeps every frame, and what the records' channels add up to."""

    def __init__(self, socket: ClientConnection):
        self._socket = socket
        self.frames: list[Json] = []
        self.bytes = bytearray()
        self.rfqs: dict[str, Json] = {}
        self.trades: dict[str, Json] = {}
        self.ticks: dict[str, Json] = {}
        self.gaps: list[str] = []
        self._seq: dict[str, int] = {}
        self._pings = count(1)
        self.closed: tuple[int, str] | None = None
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                raw = text if isinstance(text, bytes) else text.encode()
                self.bytes += raw
                self._take(json.loads(raw))
        except ConnectionClosed:
            pass
        self.closed = (self._socket.close_code or 0, self._socket.close_reason or "")

    def _take(self, frame: Json) -> None:
        self.frames.append(frame)
        channel = frame.get("channel")
        if frame["type"] not in ("snapshot", "update") or channel is None:
            return
        stores = {"rfqs": (self.rfqs, "rfqId"), "trades": (self.trades, "tradeId")}
        if channel == "ticks":
            self.ticks.update({item["instrumentId"]: item for item in frame["items"]})
        elif channel in stores:
            store, key = stores[channel]
            if frame["type"] == "snapshot":
                store.clear()
            elif frame["seq"] != self._seq[channel] + 1:
                self.gaps.append(f"{channel}: {self._seq[channel]} then {frame['seq']}")
            self._seq[channel] = frame["seq"]
            store.update({item[key]: item for item in frame["items"]})

    async def send(self, message: Any) -> None:
        """Sends any JSON, or a text as it is."""
        await self._socket.send(message if isinstance(message, str) else json.dumps(message))

    async def subscribe(self, channel: str, *instrument_ids: str) -> Json:
        """Subscribes and waits for the snapshot."""
        seen = len(self.frames)
        more = {"instrumentIds": list(instrument_ids)} if instrument_ids else {}
        await self.send({"op": "subscribe", "channel": channel, **more})
        return await self.frame(type="snapshot", channel=channel, since=seen)

    async def ping(self) -> None:
        """Waits until all that was sent before has been read."""
        number = next(self._pings)
        await self.send({"op": "ping", "id": number})
        await self.frame(type="pong", id=number)

    async def frame(self, since: int = 0, within_s: float = 10.0, **fields: Any) -> Json:
        """The first frame after `since` with these fields."""

        def look() -> Json | None:
            hits = (f for f in self.frames[since:] if all(f.get(k) == v for k, v in fields.items()))
            return next(hits, None)

        return await until(look, within_s, f"a frame with {fields}")

    async def close(self) -> None:
        """Says goodbye."""
        await self._socket.close()
        await self._reader


@asynccontextmanager
async def feed_of(stack: Stack, user: str, token: str = "") -> AsyncIterator[Feed]:
    """A WebSocket of this user."""
    headers = {"authorization": f"Bearer {token or await stack.token(user)}"}
    url = stack.url.replace("http", "ws", 1) + "/api/v1/stream"
    async with connect(url, additional_headers=headers, max_size=16 * 2**20, proxy=None) as socket:
        feed = Feed(socket)
        try:
            yield feed
        finally:
            await feed.close()


def counted(items: list[Json], field: str) -> dict[str, int]:
    """How often each value of a field occurs."""
    found: dict[str, int] = defaultdict(int)
    for item in items:
        found[str(item.get(field))] += 1
    return dict(found)
