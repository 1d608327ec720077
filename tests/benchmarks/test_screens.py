"""The subscribers of the fan-out benchmark: what they note, and when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.screens import Crowd, Screen, Seen, micros

AT = micros(b"2026-11-23T10:00:00.000Z")


def frame(kind: str, *received_ms: int) -> bytes:
    def at(ms: int) -> str:
        return f"2026-11-23T10:00:00.{ms:03}Z"

    items = [{"timestamp": at(ms - 2), "receivedAt": at(ms)} for ms in received_ms]
    return json.dumps({"type": kind, "items": items}, separators=(",", ":")).encode()


async def test_an_age_is_that_of_the_newest_price_at_the_moment_of_reading() -> None:
    crowd = Crowd()
    screens = [Screen(crowd, []) for _ in range(3)]
    for screen in screens:
        crowd.arrived(AT, screen, frame("snapshot", 5))
    await crowd.settle()
    assert all(s.has_snapshot for s in screens) and not crowd.seen.frames
    crowd.arrived(AT + 30_000, screens[0], frame("update", 10))
    assert not crowd.seen.frames, "not measuring yet"
    crowd.is_on = True
    for n, screen in enumerate(screens[:2]):
        crowd.arrived(AT + 40_000 + n * 10_000, screen, frame("update", 10, 30, 20))
    await crowd.settle()
    seen = crowd.seen
    assert (seen.frames, seen.items, [s.frames for s in screens]) == (2, 6, [1, 1, 0])
    # However long it took until the frame was looked at.
    assert seen.age.get_min_value() == pytest.approx(10_000, rel=0.01)
    assert seen.age.get_max_value() == pytest.approx(20_000, rel=0.01)


def test_what_processes_saw_adds_up() -> None:
    def one(age: int, frames: int, fewest: int, **more: Any) -> bytes:
        seen = Seen(frames=frames, items=frames * 10, fewest=fewest, **more)
        seen.age.record_value(age)
        return seen.to_json().encode()

    total = Seen()
    total.add(one(5_000, 40, 9, flush_hz=[10.0], cpu=0.5))
    total.add(one(9_000, 60, 8, flush_hz=[6.7], degraded={"rate"}, closed=1))
    assert (total.frames, total.items, total.fewest, total.closed) == (100, 1_000, 8, 1)
    assert (total.flush_hz, total.degraded, total.cpu) == ([10.0, 6.7], {"rate"}, 0.5)
    assert total.age.get_total_count() == 2
    assert total.age.get_max_value() == pytest.approx(9_000, rel=0.01)


def test_times_are_read_as_they_are_written() -> None:
    assert int(datetime(2026, 11, 23, 10, tzinfo=UTC).timestamp()) * 1_000_000 == AT
    assert micros(b"2026-11-23T10:00:00.123Z") - AT == 123_000


async def test_a_lost_socket_is_counted() -> None:
    crowd = Crowd()
    Screen(crowd, []).on_ws_disconnected(SimpleNamespace())
    assert crowd.seen.closed == 1
