"""What the platform's processes are forked from: `python -m orion.app.nursery DESCRIPTOR ROOM`,
where ROOM only makes the command line long enough for the names of the copies. Imports every
service with all that they need, once.
"""

from __future__ import annotations

import gc
import importlib
import socket
import sys
from collections.abc import Sequence

from orion.app.modules import MODULES
from orion.platform.config import Settings

# Libraries that others take along where they are installed: structlog for consoles, Litestar for
# models. No process of ours uses them, and they are a quarter of what there is to import.
UNUSED = ("rich", "pydantic")
# Imported by the libraries only when they are first used.
LATE = ("anyio._backends._asyncio", "httpcore", "uvicorn.lifespan.off", "uvicorn.lifespan.on")


def preload(profile: str) -> None:
    """Imports the profile's services. Must make no thread, loop, socket or channel."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # pyright: ignore (None: as if it were not there)
    gc.disable()  # nothing of this is ever garbage
    for name in ("orion.app.child", "orion.platform.handoff"):
        importlib.import_module(name)
    for entry in MODULES.values():
        if profile in entry.profiles:
            _ = entry.config_type, entry.build
    for name in LATE:
        importlib.import_module(name)
    import litestar

    litestar.Litestar(logging_config=None)  # has it look around for plugins
    gc.enable()


def become(words: Sequence[str]) -> int:
    """Goes on as a process of the platform: its name, then the services in it."""
    from orion.app import child
    from orion.platform import telemetry

    process, *services = words
    telemetry.keep(services)
    return child.main(process, services)


def main(door: int) -> int:
    """Forks on demand until the supervisor goes."""
    from orion.platform import cradle

    preload(Settings().platform.profile)
    cradle.rename(sys.orig_argv[:-2])
    return cradle.attend(socket.socket(fileno=door), become)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
