"""A copy of the toy service in a process of its own, to be killed, stopped and continued.

Speaks lines on stdin and stdout: `add ENTITY KEY` → `ok KEY TOTAL` or `err KEY TEXT`; `owns` →
`owns N`. Run as: python -m tests.platform.copy DSN ADDRESS
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from orion.platform import telemetry
from orion.platform.bus.postgres import PostgresBus
from orion.platform.clock import SystemClock
from orion.platform.store.postgres import PostgresStore
from orion.platform.transact import Key, Limits, Owner
from tests.platform.toy import TOPICS, Add, ToyAggregate


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def one(owner: Owner, entity: str, key: str) -> None:
    try:
        reply = await owner.submit("alpha", entity, Add(entity), Key("s", "add", key, b"h"))
        say(f"ok {key} {reply['total']}")
    except Exception as error:
        say(f"err {key} {type(error).__name__} {error}")


async def main(dsn: str, address: str) -> None:
    telemetry.configure(address, "error")
    store, bus = PostgresStore(dsn), PostgresBus(dsn, topics=TOPICS)
    owner = Owner(
        ToyAggregate(), store, bus, SystemClock(), partitions=8, address=address, share=False,
        limits=Limits(lease_ms=1_000, renew_ms=200),
    )  # fmt: skip
    running = asyncio.create_task(owner.run())
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tasks: set[asyncio.Task[None]] = set()
    while line := (await lines.readline()).decode().split():
        if line[0] == "owns":
            say(f"owns {len(owner.open)}")
            continue
        task = asyncio.create_task(one(owner, line[1], line[2]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await bus.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
