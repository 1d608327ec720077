"""A relay in a process of its own, to be killed and stopped. Says `relaying` when it has its
partitions. Run as: python -m tests.cluster.relay_process DSN BOOTSTRAP ENVIRONMENT
"""

from __future__ import annotations

import asyncio
import sys

from orion.platform import telemetry
from orion.platform.bus.kafka_settings import KafkaSettings
from tests.cluster.conftest import World


async def main(dsn: str, bootstrap: str, env: str) -> None:
    telemetry.configure("relay", "error")
    relay = World(dsn, KafkaSettings(bootstrap, env)).relay("process")
    running = asyncio.create_task(relay.run())
    while len(relay.tenure.parts) < 8:
        await asyncio.sleep(0.01)
    print("relaying", flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
