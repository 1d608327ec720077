"""The data folder and the run folder: made, checked and locked before anything is started in
them.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from pathlib import Path
from typing import TextIO

LAYOUT = 1  # of the data folder; raised when an older Orion could not use it any more
LEAST_FREE_BYTES = 256 * 1024 * 1024
PRIVATE = 0o700


class StartError(Exception):
    """The platform cannot start; the text is a sentence that says what to do."""

    exit_code = 1


class InUse(StartError):
    """Another process holds the folder."""


def explain(error: OSError, what: str) -> StartError:
    """What an error of the operating system means to the person who starts the platform."""
    if error.errno == errno.ENOSPC:
        return StartError(f"The disk is full: {what} could not be written. Free some space.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StartError(
            f"{what} is not writable for this user. Mend its owner or mode, or choose another "
            "folder with --data-dir."
        )
    if error.errno == errno.ENOTDIR or isinstance(error, FileExistsError):
        return StartError(f"{what} is not a folder. Choose another with --data-dir.")
    return StartError(f"{what} cannot be used: {error.strerror or error}.")


class DataFolder:
    """`with DataFolder(path) as folder:` holds the folder for this process alone. Raises
    StartError.
    """

    def __init__(self, path: Path):
        self.path = path
        self._lock: TextIO | None = None

    def __enter__(self) -> DataFolder:
        try:
            self._make()
            self._take()
        except OSError as error:
            raise explain(error, str(self.path)) from error
        try:
            self._check_version()
            self._check_space()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._lock is not None:
            self.say("")
            self._lock.close()
            self._lock = None

    def _make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        for name in ("secrets", "audit-anchors", "logs"):
            (self.path / name).mkdir(exist_ok=True, mode=PRIVATE)

    def _take(self) -> None:
        lock = (self.path / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read(200).strip()
            lock.close()
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise InUse(
                f"Orion already runs on {self.path}{f' ({holder})' if holder else ''}. Stop it "
                "with Ctrl-C, or choose another folder with --data-dir and another --port."
            ) from None
        self._lock = lock

    def say(self, text: str) -> None:
        """What the next one who wants this folder is told about its holder."""
        assert self._lock is not None
        self._lock.truncate(0)
        self._lock.write(text)
        self._lock.flush()

    def _check_version(self) -> None:
        file = self.path / "version"
        try:
            written = json.loads(file.read_text())
            layout = int(written["layout"])
        except FileNotFoundError:
            file.write_text(json.dumps({"layout": LAYOUT}) + "\n")
            return
        except (ValueError, KeyError, TypeError):
            raise StartError(
                f"{file} cannot be read, so this may not be a data folder of Orion. Choose "
                "another with --data-dir."
            ) from None
        except OSError as error:
            raise explain(error, str(file)) from error
        if layout > LAYOUT:
            raise StartError(
                f"{self.path} was written by a newer version of Orion (layout {layout}, this one "
                f"knows {LAYOUT}). Start the newer version, or choose another folder with "
                "--data-dir."
            )

    def _check_space(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE_BYTES:
            raise StartError(
                f"The disk is full: {self.path} has {free // 1_000_000} MB left and Orion needs "
                f"{LEAST_FREE_BYTES // 1_000_000} MB to start. Free some space."
            )


def make_run_dir(path: Path) -> Path:
    """Makes the private folder for sockets; refuses one that somebody else prepared. Raises
    StartError.
    """
    try:
        path.mkdir(mode=PRIVATE, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise explain(error, str(path)) from error
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not own or stat.S_IMODE(found.st_mode) & 0o077:
        raise StartError(f"{path} belongs to someone else or is open to others. Remove it.")
    return path


def read_or_make_secret(file: Path, make: str) -> str:
    """The secret in this file; the first time, `make` is stored there (0600). Atomic: all
    processes see one value.
    """
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    file.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as out:
        out.write(make)
        out.flush()
        os.fsync(out.fileno())
    try:
        os.link(draft, file)  # fails where another was first
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return file.read_text().strip()
