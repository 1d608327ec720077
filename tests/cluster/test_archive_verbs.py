"""`orion archive status` and `verify` as an operator calls them, over a folder."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.blob.local import LocalBlob
from orion.platform.bus.topics import catalogue
from orion.platform.clock import SystemClock
from tests.platform.archive_case import EVENTS, Log, record

pytestmark = pytest.mark.cluster
TOPIC = "rfq.quotes"


async def orion(folder: Path, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "orion.app", "archive", *words),
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("ORION_")},
            "ORION_DATA_DIR": str(folder / "data"), "ORION_BLOB_URL": f"file://{folder}/archive",
        },
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def archived(folder: Path) -> None:
    """Forty records of two partitions, in stretches of ten."""
    spec = {TOPIC: catalogue()[TOPIC]}
    log = Log()
    log._topics = spec
    log.add(record(part, offset, topic=TOPIC) for part in range(2) for offset in range(20))
    work = Archiver(
        log, LocalBlob(folder / "archive"), SystemClock(), env="dev", topics=(TOPIC,),
        limits=ArchiveLimits(rows=10, batch=10, wait_s=0.0), specs=spec,
    )  # fmt: skip
    while await work.step(flush=True):
        pass


async def test_they_say_how_far_it_is_and_what_is_missing(tmp_path: Path) -> None:
    await archived(tmp_path)
    code, told = await orion(tmp_path, "status", TOPIC)
    assert code == 0 and "40 records of 2 partitions in 4 files" in told, told
    code, told = await orion(tmp_path, "verify", TOPIC)
    assert code == 0 and "0 problems" in told and "40 records, 4 files" in told, told
    file = next((tmp_path / "archive").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    code, told = await orion(tmp_path, "verify", TOPIC)
    assert code == 1 and "was changed" in told, told
    code, told = await orion(tmp_path, "status", EVENTS)
    assert code == 1 and f"There is no topic {EVENTS}" in told
