"""A full disk: nothing is half done, everybody is told, and with space it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.stack import Stack, until
from tests.stack_clients import Desk, desk_of, new_key, rfq_terms

DISK_MB = 900


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, a few hundred megabytes large."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def own(small_disk: Path, calm_dealers: dict[str, str]) -> AsyncIterator[Stack]:
    """A platform on that disk."""
    stack = Stack("disk", environment=calm_dealers, folder=small_disk / "data")
    async with stack as running:
        await running.allow("trader@alpha", 1_000_000)
        yield running


def fill(file: Path) -> None:
    """Takes every free byte."""
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"\0" * 1_048_576)
    with file.open("ab", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"\0" * 4_096)


async def code_of_a_try(desk: Desk, key: str = "") -> str:
    """201, or the code with which an RFQ is refused; no answer: the exception's name."""
    try:
        answer = await desk.command("POST", "/rfqs", rfq_terms(), key)
    except httpx.HTTPError as error:
        return type(error).__name__
    return "201" if answer.status_code == 201 else answer.json()["code"]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_full_disk_is_told_and_survived(own: Stack) -> None:
    ballast = own.data_dir.parent / "ballast"
    async with desk_of(own, "trader@alpha") as desk:
        kept = await desk.trade()
        fill(ballast)
        seen: set[str] = set()

        async def is_full() -> bool:
            # What is left of files already made is used up first.
            seen.add(await code_of_a_try(desk))
            fill(ballast)
            return "SYS-903" in seen or "full" in own.screen()

        await until(is_full, 240, f"somebody says that the disk is full; seen {seen}", 0.01)
        assert "SYS-900" not in seen, "a full disk is no bug of ours"
        key = new_key()
        assert await code_of_a_try(desk, key) != "201"
        ballast.unlink()

        async def goes_on() -> bool:
            return await code_of_a_try(desk, key) == "201"

        await until(goes_on, 120, "with space it goes on, with the same key", 0.5)
        assert (await desk.trade())["status"] == "TRADED"
        assert (await desk.rfq(kept["rfqId"]))["tradeId"] == kept["tradeId"]
    code, out, err = await own.orion("verify")
    assert code == 0, out + err


async def test_a_start_on_a_full_disk_is_a_sentence(small_disk: Path) -> None:
    stack = Stack("full", folder=small_disk / "data")
    stack.data_dir.mkdir()
    fill(small_disk / "ballast")
    process = await stack.launch()
    assert await process.wait() != 0
    stack.process = None
    assert "The disk is full" in stack.screen()
    assert "Traceback" not in stack.screen()
    await stack.abandon()
