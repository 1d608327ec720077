"""The forking side of the nursery: a process that has imported everything and turns copies of
itself into the processes of a platform.

It has one thread, no event loop and no gRPC channel, so there is nothing that a fork would break.
A copy is forked twice: the one in between ends at once, and the supervisor, which adopts for that
moment, becomes the parent. So a copy is waited for, signalled and ended with its supervisor
exactly as a program that was started by it, and outlives the nursery.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orion.platform.spawn import die_with_parent

AWAKE = b"awake"
GO = b"g"
FAILED = -1
MESSAGE_BYTES = 1 << 20

Become = Callable[[Sequence[str]], int]


def attend(door: socket.socket, become: Become) -> int:
    """Answers each order with the id of a new process until the supervisor goes. Returns in the
    new processes too: what `become` returned, for the program to end with.
    """
    gc.collect()
    gc.freeze()  # the copies' collector leaves these pages alone, so they stay shared
    door.send(AWAKE)
    while True:
        try:
            message, handles, _flags, _from = socket.recv_fds(door, MESSAGE_BYTES, 3)
        except ConnectionError:
            return 0
        if not message:
            return 0
        order = json.loads(message)
        pid = _fork()
        if pid == 0:
            door.close()
            _settle(order, handles)
            return become(order["words"])
        for handle in handles:
            os.close(handle)
        door.send(str(pid).encode())


def _fork() -> int:
    """0 in the new process; in this one its id, or FAILED."""
    hear, tell = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(hear)
        os.close(tell)
        return FAILED
    if between == 0:
        try:
            born = os.fork()
        except OSError:
            os._exit(1)
        if born:
            os.write(tell, str(born).encode())
            os._exit(0)
        os.close(hear)
        os.close(tell)
        return 0
    os.close(tell)
    said = os.read(hear, 32)
    os.close(hear)
    os.waitpid(between, 0)  # from here on the new one has its lasting parent
    return int(said) if said else FAILED


def _settle(order: dict[str, Any], handles: Sequence[int]) -> None:
    """Makes the copy what a started program would be: session, output, parent, environment,
    name.
    """
    out, ready, go = handles
    os.setsid()
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    # Nobody waits for a copy of which the supervisor never heard: without its word it ends.
    if os.read(go, 1) != GO:
        os._exit(0)
    os.close(go)
    die_with_parent(order["parent"], signal.SIGKILL)
    os.environ.update(order["environment"])  # over what imports have set, which stays
    os.environ[order["ready"]] = str(ready)
    rename(order["command"])
    sys.argv = [*order["command"][:1], *order["words"]]


def rename(words: Sequence[str]) -> None:
    """Writes another command line where the kernel shows this process's own; what does not fit is
    cut.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[46])
    text = b"\0".join(map(os.fsencode, words))[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)
