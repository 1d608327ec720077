"""What every cache must do: the test case that each adapter runs.

An adapter gives a fixture `cache` with room for 20 keys on a board, and a fixture `later` that lets
notes of one second end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from orion.platform.cache.port import MAX_KEY_CHARS, MAX_VALUE_BYTES, Cache
from orion.platform.errors import Unavailable

MAX_KEYS = 20
BYTES = bytes(range(256))


class CacheCase:
    """Inherit, with `cache` and `later` fixtures."""

    # ---- boards

    async def test_an_empty_board_has_nothing(self, cache: Cache) -> None:
        assert await cache.get("prices", ["a", "b"]) == {}
        assert await cache.get("prices", []) == {}
        assert await cache.all("prices") == {}
        await cache.clear("prices")
        await cache.put("prices", {})
        assert await cache.all("prices") == {}

    async def test_what_was_put_is_there_byte_for_byte(self, cache: Cache) -> None:
        await cache.put("prices", {"EURUSD": BYTES, "ключ:/ x": b"", "b": b"2"})
        assert await cache.get("prices", ["b", "EURUSD", "none"]) == {"b": b"2", "EURUSD": BYTES}
        assert await cache.all("prices") == {"EURUSD": BYTES, "ключ:/ x": b"", "b": b"2"}

    async def test_the_newest_write_wins_and_again_changes_nothing(self, cache: Cache) -> None:
        await cache.put("prices", {"a": b"1", "b": b"1"})
        for _ in range(2):
            await cache.put("prices", {"a": b"2"})
        assert await cache.all("prices") == {"a": b"2", "b": b"1"}

    async def test_boards_do_not_know_each_other(self, cache: Cache) -> None:
        await cache.put("prices", {"a": b"1"})
        await cache.put("prices:a", {"a": b"2"})
        await cache.note("prices", {"a": b"3"}, 60)
        await cache.clear("prices")
        assert await cache.all("prices") == {}
        assert await cache.get("prices:a", ["a"]) == {"a": b"2"}
        assert await cache.noted("prices", ["a"]) == {"a": b"3"}

    async def test_a_full_board_says_so_and_still_takes_changes(self, cache: Cache) -> None:
        await cache.put("prices", {f"k{i}": b"1" for i in range(MAX_KEYS)})
        with pytest.raises(Unavailable):
            for i in range(2):  # one write may pass the bound, not a second one
                await cache.put("prices", {f"more{i}": b"1"})
        await cache.put("prices", {"k0": b"2"})
        assert await cache.get("prices", ["k0"]) == {"k0": b"2"}
        await cache.clear("prices")
        await cache.put("prices", {"other": b"1"})
        assert await cache.all("prices") == {"other": b"1"}

    async def test_what_was_taken_off_a_board_is_gone(self, cache: Cache) -> None:
        await cache.put("prices", {"a": b"1", "b": b"2", "c": b"3"})
        for _ in range(2):
            await cache.remove("prices", ["a", "c", "none"])
        await cache.remove("prices", [])
        assert await cache.all("prices") == {"b": b"2"}

    # ---- notes

    async def test_a_note_is_there_until_it_ends(
        self, cache: Cache, later: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
    ) -> None:
        await cache.note("seats", {"short": BYTES}, 1)
        await cache.note("seats", {"long": b"1"}, 600)
        assert await cache.noted("seats", ["long", "none"]) == {"long": b"1"}

        async def has_ended() -> bool:
            return await cache.noted("seats", ["short"]) == {}

        await later(has_ended)
        assert await cache.noted("seats", ["short", "long"]) == {"long": b"1"}
        await cache.note("seats", {"short": b"2"}, 600, is_first=True)
        assert await cache.noted("seats", ["short"]) == {"short": b"2"}

    async def test_the_first_note_stays_when_asked_for(self, cache: Cache) -> None:
        await cache.note("seats", {"a": b"1"}, 600)
        await cache.note("seats", {"a": b"2", "b": b"2"}, 600, is_first=True)
        assert await cache.noted("seats", ["a", "b"]) == {"a": b"1", "b": b"2"}
        await cache.note("seats", {"a": b"3"}, 600)
        assert await cache.noted("seats", ["a"]) == {"a": b"3"}

    async def test_a_forgotten_note_is_gone(self, cache: Cache) -> None:
        await cache.note("seats", {"a": b"1", "b": b"2"}, 600)
        await cache.note("others", {"a": b"1"}, 600)
        for _ in range(2):
            await cache.forget("seats", ["a", "none"])
        await cache.forget("seats", [])
        assert await cache.noted("seats", ["a", "b"]) == {"b": b"2"}
        assert await cache.noted("others", ["a"]) == {"a": b"1"}

    # ---- bounds

    async def test_keys_and_values_beyond_the_bounds_are_refused(self, cache: Cache) -> None:
        for values in (
            {"": b""},
            {"k" * (MAX_KEY_CHARS + 1): b""},
            {"k": b"x" * (MAX_VALUE_BYTES + 1)},
        ):
            with pytest.raises(ValueError):
                await cache.put("prices", values)
            with pytest.raises(ValueError):
                await cache.note("prices", values, 60)
        await cache.put("prices", {"k" * MAX_KEY_CHARS: b"x" * MAX_VALUE_BYTES})
        assert len((await cache.all("prices"))["k" * MAX_KEY_CHARS]) == MAX_VALUE_BYTES
