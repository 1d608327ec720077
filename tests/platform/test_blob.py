"""Blobs as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orion.platform.blob import port
from orion.platform.blob.local import DRAFTS, LocalBlob
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.errors import Coded, Unavailable
from tests.platform.blob_case import BlobCase


class TestLocalBlob(BlobCase):
    """The shared case, and what only files can do."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "deep" / "blobs"

    @pytest.fixture
    def blob(self, root: Path) -> LocalBlob:
        return LocalBlob(root)

    async def test_another_process_sees_it(self, blob: LocalBlob, root: Path) -> None:
        await blob.put("a/one", b"1")
        assert await LocalBlob(root).get("a/one") == b"1"

    async def test_no_draft_is_left_and_none_is_listed(self, blob: LocalBlob, root: Path) -> None:
        await blob.put("a/one", b"1", create=True)
        with pytest.raises(Coded):
            await blob.put("a/one", b"2", create=True)
        assert list((root / DRAFTS).iterdir()) == []
        (root / DRAFTS / "1-of-a-crash").write_bytes(b"half")
        assert [m.name for m in await blob.page("")] == ["a/one"]

    async def test_old_drafts_are_swept(self, root: Path) -> None:
        (root / DRAFTS).mkdir(parents=True)
        old, young = root / DRAFTS / "old", root / DRAFTS / "young"
        old.touch()
        young.touch()
        os.utime(old, (1, 1))
        await LocalBlob(root).put("one", b"1")
        assert [p.name for p in (root / DRAFTS).iterdir()] == ["young"]

    async def test_a_link_does_not_lead_out(
        self, blob: LocalBlob, root: Path, tmp_path: Path
    ) -> None:
        await blob.put("a/one", b"1")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"s")
        (root / "out").symlink_to(outside)
        (root / "a" / "file").symlink_to(outside / "secret")
        for name in ("out/secret", "a/file"):
            with pytest.raises(Unavailable):
                await blob.get(name)
        for call in (
            blob.put("out/new", b"1"),
            blob.put("out/deep/new", b"1"),
            blob.delete("out/secret"),
        ):
            with pytest.raises(Unavailable):
                await call
        assert [p.name for p in outside.iterdir()] == ["secret"]
        assert [m.name for m in await blob.page("")] == ["a/one"]

    async def test_a_name_is_not_a_folder_too(self, blob: LocalBlob) -> None:
        await blob.put("a/one", b"1")
        for name in ("a", "a/one/more"):
            with pytest.raises(Unavailable):
                await blob.put(name, b"2")
        assert [m.name for m in await blob.page("")] == ["a/one"]

    def test_the_folder_is_configured(self, tmp_path: Path) -> None:
        given = {"data_dir": tmp_path}
        assert LocalBlob.of(PlatformConfig(**given))._root == tmp_path / "blobs"
        named = LocalBlob.of(PlatformConfig(blob_url="file:///srv/a%20b", **given))
        assert named._root == Path("/srv/a b")
        for url in ("s3://bucket/x", "file://host/x", "file:///", "blobs"):
            with pytest.raises(ConfigError):
                LocalBlob.of(PlatformConfig(blob_url=url, **given))

    async def test_too_much_is_refused(
        self, blob: LocalBlob, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(port, "MAX_BYTES", 10)
        await blob.put("ten", b"x" * 10)
        with pytest.raises(Coded) as refusal:
            await blob.put("eleven", b"x" * 11)
        assert refusal.value.code == "API-105"
