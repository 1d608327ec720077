"""A process of a platform: `python -m orion.app.child PROCESS ROLE…`. Without the command line's
libraries, which would lengthen every start.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

import uvloop

from orion.app.serve import notify_parent, serve
from orion.platform import telemetry
from orion.platform.config import ConfigError, Settings
from orion.platform.supervise import EX_CONFIG


def main(process: str, roles: Sequence[str]) -> int:
    """Serves until told to stop. What ends it otherwise is logged whole."""
    # A process keeps many objects for long and makes hardly any that only the collector can free;
    # looking through all of them as often as Python would was a twentieth of all the work.
    gc.set_threshold(20_000, 20, 50)
    try:
        uvloop.run(serve(process, roles, Settings(), notify_parent))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except Exception as error:
        telemetry.log.critical("process failed", error=_first(error), exc_info=True)
        return 1
    return 0


def _first(error: BaseException) -> str:
    """What began it, out of the groups that tasks end in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
