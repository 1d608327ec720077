"""The folders that tests' PostgreSQL servers live in: each says whose it is, and what a killed test
run left behind is swept away by the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

PLACE = Path("/tmp")  # a socket's path must be short
PREFIX = "orion-pg-"
OWNER = "owner"
UNOWNED_S = 3_600  # a folder without an owner's name is somebody's start, or old


def make() -> Path:
    """A folder of this process."""
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=PLACE))
    (root / OWNER).write_text(_name(os.getpid()))
    return root


def sweep(place: Path = PLACE) -> list[Path]:
    """Removes the folders of dead owners, with a server that may still run there."""
    gone = [f for f in place.glob(f"{PREFIX}*") if _is_left_behind(f)]
    for folder in gone:
        _end_server(folder)
        shutil.rmtree(folder, ignore_errors=True)
    return gone


def _name(pid: int) -> str:
    """The process, so that another one with its number is not taken for it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return f"{pid} -"
    return f"{pid} {stat.rpartition(')')[2].split()[19]}"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_left_behind(folder: Path) -> bool:
    try:
        owner = (folder / OWNER).read_text()
    except OSError:
        with contextlib.suppress(OSError):
            is_old = time.time() - folder.stat().st_mtime > UNOWNED_S
            return is_old and _server(folder) is None
        return False
    pid = int(owner.split()[0])
    return not _is_alive(pid) or _name(pid) != owner


def _server(folder: Path) -> int | None:
    """The server that runs on the folder."""
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        is_ours = str(folder) in Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError, IndexError):
        return None
    return pid if is_ours else None


def _end_server(folder: Path) -> None:
    pid = _server(folder)
    if pid is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGQUIT)
        for _ in range(100):
            if not _is_alive(pid):
                return
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
