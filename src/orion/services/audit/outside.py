"""What lies outside the database: the key, and the anchor file (append only, one line a minute, flushed to disk)."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orion.platform.config import ConfigError

KEY_BYTES = 32
FILE = "anchors.jsonl"


def key_file(secrets_dir: Path) -> Path:
    """Where the key is."""
    return secrets_dir / "audit.key"


def read_key(secrets_dir: Path) -> bytes | None:
    """The key, or None when there is none. Raises ConfigError when it is not one."""
    path = key_file(secrets_dir)
    try:
        key = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigError(str(path), "is not a key", "Restore it from a backup") from None
    if len(key) < KEY_BYTES:
        raise ConfigError(str(path), "is too short", "Restore it from a backup")
    return key


def missing_key(secrets_dir: Path) -> ConfigError:
    """What to say when there are anchors and no key."""
    remedy = "Restore it from a backup; without it the audit log cannot be verified"
    return ConfigError(str(key_file(secrets_dir)), "is missing though there are anchors", remedy)


def make_key(secrets_dir: Path) -> bytes:
    """A new key, readable by this user only. Of two makers at once the first wins."""
    secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = key_file(secrets_dir)
    scratch = path.with_suffix(f".{os.getpid()}")
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(os.urandom(KEY_BYTES).hex())
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(scratch, path)
    scratch.unlink()
    key = read_key(secrets_dir)
    assert key is not None
    return key


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
