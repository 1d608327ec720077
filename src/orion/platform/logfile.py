"""A log file with a bound: when it is full it becomes `.1`, and the oldest is forgotten."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 10 * 1024 * 1024
KEEP = 4


class LogFile:
    """Appends lines. A full disk loses lines, never the process that logs."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, keep: int = KEEP):
        self.path, self._max, self._keep = path, max_bytes, keep
        self._out: BinaryIO | None = None
        self._size = 0
        self.lost = 0

    def write(self, line: bytes) -> None:
        """Writes one line (with its end)."""
        try:
            if self._out is None:
                self._open()
            elif self._size + len(line) > self._max:
                self._turn()
            assert self._out is not None
            self._out.write(line)
            self._size += len(line)
        except OSError:
            self.lost += 1

    def _open(self) -> None:
        self._out = self.path.open("ab", buffering=0)
        self._size = self.path.stat().st_size

    def _turn(self) -> None:
        self.close()
        for number in range(self._keep, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = (
                self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            )
            with suppress(FileNotFoundError):
                newer.replace(older)
        self._open()

    def close(self) -> None:
        """Closes the file; the next line opens it again."""
        if self._out is not None:
            self._out.close()
            self._out = None
