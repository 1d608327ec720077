"""What lies outside the database: the key, and the anchor file (append only, one line a minute,
flushed to disk).
"""

from __future__ import annotations

import os
from pathlib import Path

from orion.platform.secret_files import SecretFiles

KEY = "audit.key"
FILE = "anchors.jsonl"


def read_key(secrets_dir: Path, *, may_create: bool = False) -> bytes | None:
    """The key; None when there is none and none may be made. Raises ConfigError when it is too
    short.
    """
    if not may_create and not (secrets_dir / KEY).exists():
        return None
    return SecretFiles(secrets_dir, may_create=may_create).read(KEY)


class AnchorFile:
    """The file of anchors under the data folder."""

    def __init__(self, folder: Path):
        self.path = folder / FILE

    def lines(self) -> list[str]:
        """All whole lines, oldest first. A last line that was cut by a crash is not one."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            return []
        return text[: text.rfind("\n") + 1].splitlines()

    def append(self, line: str) -> None:
        """Adds one line and waits until the disk has it. Mends a line that a crash cut."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(handle).st_size
            whole = sum(len(kept) + 1 for kept in self.lines()) if size else 0
            if size > whole:
                os.ftruncate(handle, whole)
            os.write(handle, line.encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
