"""The nursery's contents: everything imported, nothing begun, and a copy counts only its own."""

from __future__ import annotations

import json
import subprocess
import sys

from orion.platform.config import CHECKOUT

LOOK = """
import json, os, sys, threading
from orion.app import nursery
from orion.platform import telemetry
nursery.preload("embedded")
wanted = ("asyncpg", "grpc", "httpcore", "litestar", "uvicorn")
missing = [n for n in wanted if n not in sys.modules]
tasks, handles = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
whole = telemetry.exposition().decode()
telemetry.keep(["push_edge"])
print(json.dumps([missing, tasks, handles, whole, telemetry.exposition().decode()]))
"""


def test_it_imports_all_and_begins_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOK], cwd=CHECKOUT, capture_output=True, check=True
    )
    missing, tasks, handles, whole, kept = json.loads(done.stdout)
    assert missing == []
    assert tasks == 1, "a thread would be lost in every copy"
    assert handles <= 4, "stdin, stdout, stderr and the listing itself"
    assert "orion_edge_" in whole
    assert "orion_rfq_" in whole
    assert "orion_edge_" in kept
    assert "orion_rfq_" not in kept
    assert "orion_rpc_seconds" in kept
