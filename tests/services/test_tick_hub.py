"""Who gets which price when: the hub of the edge with sockets that note what they are sent."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from orion.services.push_edge.config import Config
from orion.services.push_edge.ticks import TickHub
from tests.services.edge_world import tick, ticks, until


class Noting:
    """A socket that notes its frames, and says that it is behind as often as it is told."""

    def __init__(self, order: list[Noting] | None = None):
        self.state = SimpleNamespace(mask=0, missed=0)
        self.order = order if order is not None else []
        self.behind = 0
        self.updates: list[dict[str, str]] = []

    def send(self, frame: bytes) -> bool:
        read = json.loads(frame)
        if read["type"] == "update":
            self.updates.append({i["instrumentId"]: i["bid"] for i in read["items"]})
            self.order.append(self)
        return True

    def is_behind(self, now: float) -> bool:
        self.behind -= 1
        return self.behind >= 0


def hub(ask: Callable[[int], None] = lambda _: None, **config: Any) -> TickHub:
    return TickHub(Config(**config), time.monotonic, lambda: time.time_ns() // 1_000, ask)


@asynccontextmanager
async def flushing(made: TickHub) -> AsyncIterator[None]:
    task = asyncio.create_task(made.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_is_always_first_or_last() -> None:
    made, order = hub(), []
    for n in range(20):
        # Some alone with their choice, some together.
        made.subscribe(Noting(order), ["EURUSD", f"OTHER{n // 2}"])
    for _ in range(40):
        order.clear()
        made.take(ticks(tick("EURUSD", "1", "2")))
        await made.flush()
        assert len(set(order)) == 20
    firsts, lasts = Counter[Noting](), Counter[Noting]()
    for _ in range(200):
        order.clear()
        made.take(ticks(tick("EURUSD", "1", "2")))
        await made.flush()
        firsts[order[0]] += 1
        lasts[order[-1]] += 1
    assert len(firsts) > 5 and len(lasts) > 5
    assert max(firsts.values()) < 60 and max(lasts.values()) < 60


async def test_one_question_for_each_flush_and_one_open_while_it_is_quiet() -> None:
    asked: list[int] = []
    made, socket = hub(asked.append, flush_hz=50.0), Noting()
    made.subscribe(socket, ["EURUSD"])
    async with flushing(made):
        await until(lambda: asked)
        made.take(ticks())  # nothing new: asked again, nothing sent
        await until(lambda: len(asked) == 2)
        assert not socket.updates
        for n in range(3):
            made.take(ticks(tick("EURUSD", f"1.{n}", "2")))
            await until(lambda n=n: len(asked) == 3 + n)
            assert socket.updates[-1] == {"EURUSD": f"1.{n}"}
    assert len(asked) == 5


async def test_who_was_behind_is_served_without_any_news() -> None:
    made, socket = hub(flush_hz=50.0), Noting()
    made.subscribe(socket, ["EURUSD"])
    socket.behind = 2
    async with flushing(made):
        made.take(ticks(tick("EURUSD", "1.5", "2")))
        await until(lambda: socket.updates)
    assert socket.updates == [{"EURUSD": "1.5"}]
