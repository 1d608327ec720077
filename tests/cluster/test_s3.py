"""Blobs and the archive on a real S3 server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("obstore")
pytest.importorskip("pyarrow")

from orion.app.servers.seaweed import SeaweedPorts, SeaweedServer
from orion.platform.blob.port import everything
from orion.platform.blob.s3 import S3Blob
from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.errors import Unavailable
from tests.platform.archive_case import (
    EVENTS,
    NOON,
    Crash,
    FrailBlob,
    Log,
    archiver,
    finish,
    key,
    lying_about,
    problems,
    read_back,
    record,
)
from tests.platform.blob_case import BlobCase

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SeaweedServer]:
    one = SeaweedServer(tmp_path_factory.mktemp("s3"), SeaweedPorts.unused())
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def running(server: SeaweedServer) -> SeaweedServer:
    """The server, started again after a test that ended it."""
    if server.process.pid is None:
        await server.process.stop()
        await server.start()
    server.process.resume()
    return server


def config(server: SeaweedServer, prefix: str, **more: Any) -> PlatformConfig:
    given = {
        "blob_url": f"s3://{server.bucket}/{prefix}",
        "blob_endpoint": server.endpoint,
        "blob_credentials_file": str(server.credentials_file),
        **more,
    }
    return PlatformConfig(**given)


@pytest.fixture
async def blob(running: SeaweedServer, request: pytest.FixtureRequest) -> AsyncIterator[S3Blob]:
    async with S3Blob.open(config(running, f"t{id(request)}")) as one:
        yield one


class TestS3Blob(BlobCase):
    """The shared case."""


async def test_prefixes_do_not_know_each_other(running: SeaweedServer) -> None:
    async with (
        S3Blob.open(config(running, "p/one")) as one,
        S3Blob.open(config(running, "p/two")) as two,
    ):
        await one.put("a/x", b"1")
        assert await two.head("a/x") is None and await two.page("") == []
        assert [m.name for m in await one.page("")] == ["a/x"]


async def test_megabytes_go_through(blob: S3Blob) -> None:
    body = bytes(range(256)) * 4 * 1024 * 20  # 20 MB
    digest = await blob.put("big", body, create=True)
    assert await blob.get("big", sha256=digest) == body
    assert await blob.read("big", 7_000_000, 300) == body[7_000_000:7_000_300]


async def test_a_wrong_key_is_refused(running: SeaweedServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("orion\nnot-the-secret-at-all-not-the-secret\n")
    async with S3Blob.open(config(running, "x", blob_credentials_file=str(wrong))) as blob:
        for call in (blob.put("a", b"1"), blob.get("a"), blob.page("")):
            with pytest.raises(Unavailable) as error:
                await call
            assert "not-the-secret" not in str(error.value)


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_a_lost_server_is_told_within_the_timeout_and_comes_back(
    running: SeaweedServer, how: str
) -> None:
    async with S3Blob.open(config(running, f"lost-{how}", blob_timeout_ms=500)) as blob:
        await blob.put("a", b"1")
        if how == "killed":
            await running.process.kill()
        else:
            running.process.pause()
        for call in (blob.get("a"), blob.put("b", b"1", create=True), blob.page("")):
            with pytest.raises(Unavailable):
                await call
        if how == "killed":
            await running.start()
        else:
            running.process.resume()
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await blob.get("a") == b"1"  # nothing acknowledged is lost
                    break
                except Unavailable:
                    await asyncio.sleep(0.05)


@pytest.mark.parametrize("url", ["", "http://bucket/x", "s3://", "s3://bucket/../x"])
async def test_settings_that_cannot_be_used_are_named(server: SeaweedServer, url: str) -> None:
    with pytest.raises(Exception) as error:
        async with S3Blob.open(config(server, "", blob_url=url)):
            pass
    assert isinstance(error.value, ConfigError) or "API-100" in str(error.value)


async def test_the_archive_on_s3_survives_crashes_and_two_writers(blob: S3Blob) -> None:
    log = Log(
        [
            record(part, i, NOON + i * 60_000_000, ("alpha", "beta", "shared")[i % 3], b"%d" % i)
            for part in range(2)
            for i in range(120)
        ]
    )
    # Every eleventh change is the last one of a life, by turns before and after it is done.
    plan = ["" if i % 11 else ("before", "after")[i % 2] for i in range(1, 200)]
    frail = FrailBlob(blob, iter(plan))
    for size in (30, 17, 23, 40, 11, 19):
        with suppress(Crash):
            await archiver(log, frail, rows=size).step(flush=True)
    assert sum(frail.crashes.values()) >= 3
    await asyncio.gather(finish(archiver(log, blob, rows=13)), finish(archiver(log, blob, rows=29)))
    assert await read_back(blob) == sorted(log.records, key=key)
    assert await problems(blob) == []
    assert Counter(map(key, log.records)) == await lying_about(blob)
    names = [m.name async for m in everything(blob, "") if f"{EVENTS}.v1/date=" in m.name]
    await blob.delete(names[len(names) // 2])
    assert len(await problems(blob)) == 1
