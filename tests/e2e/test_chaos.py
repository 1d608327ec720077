"""`orion chaos`: processes die, stand, are cut off and live by wrong clocks under load, and what
clients were told is what happened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.stack import CHECKOUT


@pytest.mark.slow
@pytest.mark.timeout(1500)
async def test_nothing_is_lost_or_doubled_whatever_dies(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos", "--short", "--results", str(tmp_path)),
        cwd=CHECKOUT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode()
    print(said)
    assert process.returncode == 0, said[-6000:]
    (kept,) = (json.loads(p.read_text()) for p in tmp_path.glob("chaos-*.json"))
    assert kept["verdict"] == "held"
    assert kept["counts"]["kills"] >= 30
    assert kept["counts"]["acknowledged commands"] >= 20_000
    (leg,) = kept["legs"]
    assert all(fault["proof"] for fault in leg["faults"]), "each proves that it happened"
