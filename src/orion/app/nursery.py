"""What the platform's processes are forked from: `python -m orion.app.nursery DESCRIPTOR
ROOM`, where ROOM only makes the command line long enough for the names of the copies.
Imports every service with all that they need, once.
"""

from __future__ import annotations

import importlib
import socket
import sys
from collections.abc import Sequence

import litestar

from orion.app import child
from orion.app.modules import MODULES
from orion.platform import (
    cradle,
    handoff,  # noqa: F401 (imported here, so that no process has to)
    telemetry,
)

# Imported by the libraries only when they are first used.
LATE = ("anyio._backends._asyncio", "httpcore", "uvicorn.lifespan.on", "uvicorn.lifespan.off")


def preload() -> None:
    """Imports the services. Must make no thread, loop, socket or channel."""
    for entry in MODULES.values():
        _ = entry.config_type, entry.build
    for name in LATE:
        importlib.import_module(name)
    litestar.Litestar(logging_config=None)  # looks around for what it can serve: pydantic, attrs …


def become(words: Sequence[str]) -> int:
    """Goes on as a process of the platform: its name, then the services in it."""
    process, *services = words
    telemetry.keep(services)
    return child.main(process, services)


def main(door: int) -> int:
    """Forks on demand until the supervisor goes."""
    preload()
    cradle.rename(sys.orig_argv[:-2])
    return cradle.attend(socket.socket(fileno=door), become)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
