"""Takes sockets that the acceptor has accepted, and feeds them to the protocols that speak on
them.

A socket comes as one datagram with one descriptor (SCM_RIGHTS) on a unix socket of this process.
Nothing was read from it: every byte is still in the kernel. A datagram socket knows no
connection, so a target that died or hangs is seen by the very next send.
"""

from __future__ import annotations

import array
import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from orion.platform import telemetry

HELLO = b"orion1"
AT_ONCE = 64  # sockets taken per turn of the loop


class Gone(Exception):
    """The target does not take sockets: it is not there."""


class Busy(Gone):
    """The target is there, and its queue is full (the kernel keeps ten or so): try again soon."""


def give_away(out: socket.socket, accepted: socket.socket, path: str, hello: bytes = HELLO) -> None:
    """Sends one descriptor. Raises OSError. (`socket.send_fds` forgets the address.)"""
    handles = array.array("i", [accepted.fileno()])
    out.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)], 0, path)


class Sender:
    """Hands sockets to the process that listens at `path`."""

    def __init__(self, path: Path):
        self.path = path
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._out.setblocking(False)

    def send(self, accepted: socket.socket) -> None:
        """Gives the socket away; the caller closes its own copy. Raises Gone or Busy."""
        try:
            give_away(self._out, accepted, str(self.path))
        except BlockingIOError as error:
            raise Busy(f"{self.path.name}: busy") from error
        except OSError as error:
            raise Gone(f"{self.path.name}: {error.strerror}") from error

    def close(self) -> None:
        self._out.close()


class Ring:
    """Hands each socket to the next of several targets that takes it: one that is not there, hangs
    or has shut its door is passed over.
    """

    def __init__(self, targets: Sequence[Sender]):
        self._targets = tuple(targets)
        self._turn = 0

    def send(self, accepted: socket.socket) -> None:
        """See Sender. Raises Busy where one of them is only busy, else Gone."""
        self._turn += 1
        refusals: list[Gone] = []
        for number in range(len(self._targets)):
            try:
                self._targets[(self._turn + number) % len(self._targets)].send(accepted)
            except Gone as gone:
                refusals.append(gone)
            else:
                return
        raise next((r for r in refusals if isinstance(r, Busy)), refusals[-1])

    def close(self) -> None:
        """Lets go of all of them."""
        for target in self._targets:
            target.close()


class Receiver:
    """`with Receiver(path, on_socket)`: calls `on_socket` in the loop with each socket. Replaces
    what a dead predecessor left at `path`.
    """

    def __init__(self, path: Path, on_socket: Callable[[socket.socket], None]):
        self._path, self._on_socket = path, on_socket
        self._in = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self) -> Receiver:
        self._path.unlink(missing_ok=True)
        self._in.setblocking(False)
        self._in.bind(str(self._path))
        self._path.chmod(0o600)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._in.fileno(), self._take)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._path.unlink(missing_ok=True)  # first: a send from now on is refused, not lost
        self._take()
        self._loop.remove_reader(self._in.fileno())
        self._in.close()

    def _take(self) -> None:
        for _ in range(AT_ONCE):
            try:
                hello, handles, _flags, _from = socket.recv_fds(self._in, len(HELLO), 1)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    telemetry.log.error("no descriptor left for a new connection")
                    return
                raise
            for handle in handles:
                accepted = socket.socket(fileno=handle)
                if hello != HELLO:
                    accepted.close()
                    continue
                accepted.setblocking(False)
                self._on_socket(accepted)
