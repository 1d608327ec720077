"""Starts a child that cannot outlive its parent, and where asked, as another user. Run as a
program; imports nothing of ours.

    python -I -S spawn.py --parent PID --death SIGNAL [--user UID:GID] [--keep-access] -- PROGRAM
    ARGUMENT…

It replaces itself by the program, so the child's pid is the program's. Doing this between fork
and exec of the parent would run
Python code in a copy of a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def die_with_parent(parent: int, number: int) -> None:
    """Linux tells this process with a signal when its parent ends; elsewhere the next start finds
    the orphan.
    """
    if sys.platform == "linux":
        _call(_libc().prctl(PR_SET_PDEATHSIG, number, 0, 0, 0))
    if os.getppid() != parent:  # it ended before we asked
        sys.exit(0)


def permitted() -> int:
    """The capabilities that this process may use, as bits."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1], 16) for line in lines if line.startswith("CapPrm"))


def become(uid: int, gid: int, *, keep_access: bool) -> None:
    """Gives up root. `keep_access`: may still pass folders that only root may enter (data below a
    private parent).
    """
    capability = CAP_DAC_OVERRIDE
    if keep_access:
        _call(_libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
        # The lesser one where we have it; containers often hold only the other.
        if permitted() >> CAP_DAC_READ_SEARCH & 1:
            capability = CAP_DAC_READ_SEARCH
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if keep_access:
        bit = 1 << capability
        sets = (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
        header = _Header(CAPABILITY_VERSION_3, 0)
        _call(_libc().capset(ctypes.byref(header), sets))
        _call(_libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0))


def main(arguments: list[str]) -> None:
    """Reads the options, does what they say, becomes the program."""
    end = arguments.index("--")
    options, program = arguments[:end], arguments[end + 1 :]
    os.umask(0o077)
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # one descriptor for each subscriber
    if "--user" in options:
        uid, gid = options[options.index("--user") + 1].split(":")
        become(int(uid), int(gid), keep_access="--keep-access" in options)
    # After the change of user: that clears the wish.
    parent = int(options[options.index("--parent") + 1])
    die_with_parent(parent, int(options[options.index("--death") + 1]))
    os.execv(program[0], program)


if __name__ == "__main__":
    main(sys.argv[1:])
