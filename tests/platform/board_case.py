"""What must hold of revocations on a board in the cache: the test case that each cache runs."""

from __future__ import annotations

from typing import Any

import pytest

from orion.platform import revocation_board
from orion.platform.cache.port import Cache
from orion.platform.errors import Unavailable
from orion.platform.revocation_board import HEAD, SPACE, BoardReader, BoardWriter
from orion.platform.revocations import Revoked

ENDED = Revoked(at=10, session_id="s-1")
BOUNDED = Revoked(at=20, session_id="s-2", is_bounded=True)
DISABLED = Revoked(at=1 << 61, subject="u-1")
LIFTED = Revoked(at=30, subject="u-1", is_lifted=True)


async def told(reader: BoardReader) -> tuple[int, set[Revoked]] | None:
    found = await reader.read()
    return None if found is None else (found[0], set(found[1]))


class BoardCase:
    """Inherit, with a `cache` fixture that has room for 20 keys on a board."""

    async def test_an_empty_cache_is_no_board_and_an_empty_board_is_one(self, cache: Cache) -> None:
        reader = BoardReader(cache)
        assert await told(reader) is None
        await BoardWriter(cache).write({}, 5)
        assert await told(reader) == (5, set())

    async def test_what_identity_writes_is_read_once(self, cache: Cache) -> None:
        writer, reader = BoardWriter(cache), BoardReader(cache)
        await writer.write({1: ENDED, 2: DISABLED}, 5)
        assert await told(reader) == (5, {ENDED, DISABLED})
        await writer.add({}, 6)
        assert await told(reader) == (6, set())
        await writer.add({3: BOUNDED}, 7)
        assert await told(reader) == (7, {ENDED, DISABLED, BOUNDED})
        assert await told(BoardReader(cache)) == (7, {ENDED, DISABLED, BOUNDED})

    async def test_what_was_committed_out_of_order_is_read_too(self, cache: Cache) -> None:
        writer, reader = BoardWriter(cache), BoardReader(cache)
        await writer.write({2: ENDED}, 5)
        await told(reader)
        await writer.add({1: BOUNDED}, 6)
        assert await told(reader) == (6, {ENDED, BOUNDED})

    async def test_it_takes_away_and_never_gives(self, cache: Cache) -> None:
        await BoardWriter(cache).write({1: DISABLED, 2: LIFTED}, 5)
        found = await BoardReader(cache).read()
        assert found and not any(item.is_lifted for item in found[1])
        assert {item.at for item in found[1]} == {DISABLED.at, LIFTED.at}

    async def test_what_is_in_force_no_more_goes(self, cache: Cache) -> None:
        writer = BoardWriter(cache)
        await writer.write({1: ENDED, 2: BOUNDED}, 5)
        await writer.write({2: BOUNDED}, 6)
        assert set(await cache.all(SPACE)) == {"2", HEAD}
        # Another copy, which has written nothing yet, finds the old ones too.
        await BoardWriter(cache).write({5: DISABLED}, 7)
        assert set(await cache.all(SPACE)) == {"5", HEAD}

    async def test_two_copies_do_not_take_what_the_other_has_just_written(
        self, cache: Cache
    ) -> None:
        here, there = BoardWriter(cache), BoardWriter(cache)
        await here.write({1: ENDED}, 5)
        await there.write({1: ENDED, 2: BOUNDED}, 6)
        await BoardWriter(cache).write({1: ENDED}, 5)  # it read its table a moment earlier
        assert await told(BoardReader(cache)) == (5, {ENDED, BOUNDED})

    async def test_a_board_that_lost_a_part_is_none(self, cache: Cache) -> None:
        writer = BoardWriter(cache)
        await writer.write({1: ENDED, 2: BOUNDED}, 5)
        await cache.remove(SPACE, ["1"])
        assert await told(BoardReader(cache)) is None
        await writer.write({1: ENDED, 2: BOUNDED}, 6)
        await cache.put(SPACE, {"1": b"\xc1", HEAD: b"nonsense"})
        assert await told(BoardReader(cache)) is None

    async def test_it_is_bounded_and_the_newest_stay(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revocation_board, "MAX_ITEMS", 3)
        items: dict[int, Any] = {n: Revoked(at=n, session_id=f"s-{n}") for n in range(1, 8)}
        await BoardWriter(cache).write(items, 9)
        assert set(await cache.all(SPACE)) == {"5", "6", "7", HEAD}
        found = await told(BoardReader(cache))
        assert found == (9, {items[5], items[6], items[7]})

    async def test_after_a_failure_everything_is_written(self, cache: Cache) -> None:
        writer = BoardWriter(cache)
        with pytest.raises(Unavailable):
            await writer.add({1: ENDED}, 4)
        assert not writer.is_whole
        await writer.write({1: ENDED}, 5)
        assert writer.is_whole
        full = {n: Revoked(at=n, session_id=f"s-{n}") for n in range(2, 30)}
        with pytest.raises(Unavailable):
            for _ in range(2):  # one write may pass the bound of the board
                await writer.add(full, 6)
                await cache.put(SPACE, {"another": b""})
        await cache.clear(SPACE)
        if not writer.is_whole:
            await writer.write({1: ENDED}, 7)
            assert await told(BoardReader(cache)) == (7, {ENDED})
