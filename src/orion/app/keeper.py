"""Keeps the log where there is no supervisor to do it: `python -m orion.app.keeper`, one per
platform. Makes the log's partitions ahead of time and removes old ones; the only process that runs
all the time with the right to.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from orion.platform import telemetry
from orion.platform.clock import SystemClock
from orion.platform.config import ConfigError, Settings
from orion.platform.datadir import StartError
from orion.platform.embedded import Access
from orion.platform.retention import Retention
from orion.platform.supervise import EX_CONFIG
from orion.platform.tcp_door import probe_port

NAME = "keeper"


async def keep(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises ConfigError, StartError."""
    platform = settings.platform
    telemetry.configure(NAME, platform.log_level, platform.otlp_endpoint)
    door = Access(settings.data_dir, settings.run_dir, platform.postgres_dsn)
    retention = Retention(door.dsn("orion_owner"), SystemClock())
    told, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waiting = ["the first round is not over"]
    async with probe_port(platform.metrics_listen or "127.0.0.1:0", lambda: waiting):
        await retention.sweep()  # a database that is not there is told at once, not in ten minutes
        waiting.clear()
        telemetry.log.info("ready", modules=[NAME])
        working = asyncio.create_task(retention.run(), name="retention")
        await told.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    telemetry.log.info("stopping")


def main() -> int:
    """The entry point."""
    try:
        uvloop.run(keep(Settings()))
    except (ConfigError, StartError) as error:
        print(error, file=sys.stderr)
        return EX_CONFIG
    except Exception as error:
        telemetry.log.critical("process failed", error=str(error), exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
