"""What every store of blobs must do: the test case that each adapter runs.

An adapter gives a fixture `blob` that is empty.
"""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest

from orion.platform.blob.port import Blob, BlobChanged, BlobExists, BlobMissing, everything
from orion.platform.errors import Coded

BYTES = bytes(range(256)) * 300
ORDERED = [
    "a-b/x", "a.b", "a/b-c", "a/b.c", "a/b/c", "a/b0", "a0", "ab/c", "b/date=2026-01-01/x",
]  # fmt: skip


class BlobCase:
    """Inherit, with a `blob` fixture."""

    async def test_what_was_put_is_there_byte_for_byte(self, blob: Blob) -> None:
        for name, body in (("one", BYTES), ("a/deep/name=1.bin", b""), ("a/deep/b+c", b"\x00")):
            assert await blob.put(name, body) == hashlib.sha256(body).hexdigest()
            assert await blob.get(name) == body
            meta = await blob.head(name)
            assert meta is not None and (meta.name, meta.size) == (name, len(body))

    async def test_a_put_replaces_and_again_changes_nothing(self, blob: Blob) -> None:
        for body in (b"1", b"22", b"22"):
            await blob.put("one", body)
            assert await blob.get("one") == body

    async def test_creating_never_replaces(self, blob: Blob) -> None:
        await blob.put("a/one", b"1", create=True)
        with pytest.raises(BlobExists):
            await blob.put("a/one", b"2", create=True)
        assert await blob.get("a/one") == b"1"
        await blob.put("a/one", b"3")
        await blob.delete("a/one")
        await blob.put("a/one", b"4", create=True)
        assert await blob.get("a/one") == b"4"

    async def test_of_many_creators_one_wins(self, blob: Blob) -> None:
        async def create(i: int) -> bool:
            try:
                await blob.put("a/won", str(i).encode() * 1_000, create=True)
            except BlobExists:
                return False
            return True

        won = await asyncio.gather(*(create(i) for i in range(10, 30)))
        assert sum(won) == 1
        assert await blob.get("a/won") == str(10 + won.index(True)).encode() * 1_000

    async def test_a_checksum_is_held_against_the_bytes(self, blob: Blob) -> None:
        right, wrong = hashlib.sha256(BYTES).hexdigest(), hashlib.sha256(b"").hexdigest()
        with pytest.raises(BlobChanged):
            await blob.put("one", BYTES, sha256=wrong)
        assert await blob.head("one") is None
        assert await blob.put("one", BYTES, sha256=right) == right
        assert await blob.get("one", sha256=right) == BYTES
        with pytest.raises(BlobChanged):
            await blob.get("one", sha256=wrong)

    async def test_what_is_not_there_is_told(self, blob: Blob) -> None:
        await blob.put("a/one", b"1")
        for name in ("none", "a", "a/two", "a/one/more"):
            assert await blob.head(name) is None, name
            with pytest.raises(BlobMissing):
                await blob.get(name)
            with pytest.raises(BlobMissing):
                await blob.read(name, 0, 1)
            await blob.delete(name)
        assert await blob.get("a/one") == b"1"

    async def test_parts_are_read(self, blob: Blob) -> None:
        await blob.put("one", BYTES)
        for start, length in ((0, 1), (250, 700), (len(BYTES) - 3, 3), (len(BYTES) - 3, 9)):
            assert await blob.read("one", start, length) == BYTES[start : start + length]
        assert await blob.read("one", len(BYTES), 5) == b""
        assert await blob.read("one", 10**9, 5) == b""
        assert await blob.read("one", 3, 0) == b""

    async def test_lists_have_one_order_page_by_page(self, blob: Blob) -> None:
        for name in reversed(ORDERED):
            await blob.put(name, name.encode())
        whole = [m.name for m in await blob.page("")]
        assert sorted(whole) == sorted(ORDERED)
        assert [n for n in whole if re.fullmatch("a/[^/]+", n)] == ["a/b-c", "a/b.c", "a/b0"]
        assert all(m.size == len(m.name) for m in await blob.page(""))
        for limit in (1, 2, 3, 20):
            found, after = [], ""
            while page := await blob.page("", after=after, limit=limit):
                assert len(page) <= limit
                found += [m.name for m in page]
                after = found[-1]
            assert found == whole
        for after in ORDERED:
            rest = [m.name async for m in everything(blob, "", after=after)]
            assert rest == whole[whole.index(after) + 1 :]

    async def test_a_list_begins_at_a_name_that_need_not_be_there(self, blob: Blob) -> None:
        days = [f"t/date=2026-01-0{d}/part-{p}" for d in (1, 2, 4) for p in (1, 2)]
        for name in days:
            await blob.put(name, b"1")
        for after, count in (
            ("t/date=2026-01-01/part", 6),
            ("t/date=2026-01-02/part", 4),
            ("t/date=2026-01-02/part-1", 3),
            ("t/date=2026-01-02/part-1z", 3),
            ("t/date=2026-01-04/zzz", 0),
        ):
            found = [m.name for m in await blob.page("t", after=after)]
            assert found == days[len(days) - count :]

    async def test_a_folder_is_whole_segments(self, blob: Blob) -> None:
        for name in ORDERED:
            await blob.put(name, b"1")
        for folder in ("a", "a/"):
            found = [m.name for m in await blob.page(folder)]
            assert sorted(found) == [n for n in ORDERED if n.startswith("a/")]
        assert [m.name for m in await blob.page("a/b")] == ["a/b/c"]
        assert await blob.page("none") == [] and await blob.page("a0") == []

    async def test_a_deleted_blob_is_gone(self, blob: Blob) -> None:
        await blob.put("a/one", b"1")
        for _ in range(2):
            await blob.delete("a/one")
        assert await blob.head("a/one") is None and await blob.page("a") == []

    @pytest.mark.parametrize(
        "name",
        ["", "/", "a/", "/a", "a//b", "..", "a/../b", "./a", ".hidden", "a/.b", "a b", "a\\b",
         "a\x00b", "ä", "a%2fb", "a" * 201, "/".join(["abcdefg"] * 70)],
    )  # fmt: skip
    async def test_names_that_are_none_are_refused(self, blob: Blob, name: str) -> None:
        for call in (
            blob.put(name, b""),
            blob.get(name),
            blob.read(name, 0, 1),
            blob.head(name),
            blob.delete(name),
        ):
            with pytest.raises(Coded) as refusal:
                await call
            assert refusal.value.code == "API-100"
        assert await blob.page("") == []
