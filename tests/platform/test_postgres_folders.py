"""Tests' PostgreSQL servers end with the tests, and what a killed run leaves is swept away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import postgres_folders

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import time
from tests.postgres import Server
server = Server()
server.initialise()
server.start()
print(server.root, server.process.pid, flush=True)
time.sleep(600)
"""


def poll(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_killed_run_takes_its_server_along_and_the_next_one_its_folder() -> None:
    paths = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=paths
    )
    assert run.stdout is not None
    folder, pid = run.stdout.readline().split()
    root, server = Path(folder), int(pid)
    try:
        assert is_running(server) and (root / "data" / "postmaster.pid").exists()
        assert root not in postgres_folders.sweep() and root.exists()
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    assert poll(lambda: not is_running(server))
    assert root in postgres_folders.sweep()
    assert not root.exists()


def test_a_number_given_again_is_not_taken_for_the_owner(tmp_path: Path) -> None:
    folder = tmp_path / f"{postgres_folders.PREFIX}x"
    folder.mkdir()
    (folder / postgres_folders.OWNER).write_text(f"{os.getpid()} 1")
    mine = tmp_path / f"{postgres_folders.PREFIX}y"
    mine.mkdir()
    unowned = tmp_path / f"{postgres_folders.PREFIX}z"
    unowned.mkdir()
    (mine / postgres_folders.OWNER).write_text(postgres_folders._name(os.getpid()))
    assert postgres_folders.sweep(tmp_path) == [folder]
    assert mine.exists() and unowned.exists()
