"""The embedded PostgreSQL on bad days: kills, orphans, lying pid files, full disks."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from orion.platform.datadir import DataFolder, InUse, StartError
from orion.platform.embedded import (
    ADMIN,
    SPAWN,
    Access,
    EmbeddedPostgres,
    _unprivileged,
    binaries,
    stop_orphan,
)

ROOT = Path(__file__).resolve().parents[2]
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="orion-e", ignore_cleanup_errors=True) as name:
        yield Path(name)


def server(home: Path, **more: Any) -> EmbeddedPostgres:
    return EmbeddedPostgres(home / "private" / "data", home / "run", **more)


@asynccontextmanager
async def session(access: Access, role: str = ADMIN) -> AsyncIterator[asyncpg.Connection]:
    sql = await asyncpg.connect(access.dsn(role), timeout=10)
    try:
        yield sql
    finally:
        await sql.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)


async def connects(access: Access) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with session(access):
                    return
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)


async def test_first_start_restart_and_what_it_leaves_alone(home: Path) -> None:
    private = home / "private"
    private.mkdir(mode=0o700)
    home.chmod(0o700)
    async with server(home) as pg:
        async with session(pg.access) as sql:
            assert await sql.fetchval("show data_checksums") == "on"
            assert await sql.fetchval("show listen_addresses") == ""
            assert await sql.fetchval("show server_encoding") == "UTF8"
            await sql.execute("create table kept (x int); insert into kept values (7)")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(pg.dsn(ADMIN).replace(":", ":wrong", 2), timeout=10)
        assert pg.pid is not None
        assert psutil.Process(pg.pid).uids().effective != 0
    async with server(home, connections=137) as pg, session(pg.access) as sql:
        assert await sql.fetchval("select x from kept") == 7
        assert await sql.fetchval("show max_connections") == "137"
    assert stat.S_IMODE(home.stat().st_mode) == stat.S_IMODE(private.stat().st_mode) == 0o700
    secrets = private / "data" / "secrets"
    assert {stat.S_IMODE(f.stat().st_mode) for f in secrets.iterdir()} == {0o600}


async def test_a_killed_server_is_brought_back_with_what_was_committed(home: Path) -> None:
    told: list[str] = []
    async with server(home, notice=told.append) as pg:
        async with session(pg.access) as sql:
            await sql.execute("create table kept (x int)")
        for round_ in range(3):
            async with session(pg.access) as sql:
                await sql.execute("insert into kept values ($1)", round_)
            assert pg.pid is not None
            os.kill(pg.pid, signal.SIGKILL)
            await until(lambda n=round_: pg.restarts == n + 1)
            await connects(pg.access)
        async with session(pg.access) as sql:
            assert await sql.fetchval("select count(*) from kept") == 3
    assert told.count("PostgreSQL is back") == 3


OWNER = """
import asyncio, sys
from pathlib import Path
from typing import Any
from orion.platform.embedded import EmbeddedPostgres
async def main():
    home = Path(sys.argv[1])
    async with EmbeddedPostgres(home / "private" / "data", home / "run") as pg:
        print(pg.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_killed_owner_leaves_no_server_and_the_next_start_works(home: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", OWNER, str(home)), env=env, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    first = int(await asyncio.wait_for(owner.stdout.readline(), 60))
    access = Access(home / "private" / "data", home / "run")
    async with session(access) as sql:
        await sql.execute("create table kept (x int); insert into kept values (7)")
    owner.kill()
    await owner.wait()
    async with server(home) as pg:  # at once: the old one may still be shutting down
        assert pg.pid != first
        async with session(pg.access) as sql:
            assert await sql.fetchval("select x from kept") == 7
    assert _is_gone(first)


async def test_an_orphan_is_found_by_its_folder_and_stopped(home: Path) -> None:
    pg = server(home)
    await pg.start()
    await pg.stop()
    cluster = pg.cluster
    orphan = _orphan(cluster)
    try:
        await until(lambda: "ready" in _text(cluster / "postmaster.pid"))
        assert await stop_orphan(cluster)
        async with server(home) as again, session(again.access) as sql:
            assert await sql.fetchval("select 1") == 1
        assert not await stop_orphan(cluster)
    finally:
        orphan.wait(20)


def _orphan(cluster: Path) -> subprocess.Popen[bytes]:
    """A server started as the platform starts it, but deaf to its parent's end."""
    command = [sys.executable, "-I", "-S", str(SPAWN), "--parent", str(os.getpid()), "--death", "0"]
    user = _unprivileged(cluster)
    if user is not None:
        command += ["--user", f"{user[0]}:{user[1]}", "--keep-access"]
    command += ["--", str(binaries() / "postgres"), "-D", str(cluster)]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)


def _idle() -> subprocess.Popen[bytes]:
    """Some other program."""
    return subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])


def _mount(folder: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    subprocess.run(command, check=True)


def _unmount(folder: Path) -> None:
    subprocess.run(["umount", str(folder)], check=True)


def _is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("kind", ["zombie", "another program", "nobody", "rubbish"])
async def test_a_pid_file_that_lies_does_not_stop_a_start(home: Path, kind: str) -> None:
    pg = server(home)
    await pg.start()
    await pg.stop()
    child = _idle()
    try:
        if kind in ("zombie", "nobody"):
            child.kill()
            await until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        if kind == "nobody":
            child.wait()
        liar = "what?" if kind == "rubbish" else str(child.pid)
        (pg.cluster / "postmaster.pid").write_text(f"{liar}\n{pg.cluster}\n1\n5432\n\n\n\nready\n")
        async with server(home) as again, session(again.access) as sql:
            assert await sql.fetchval("select 1") == 1
    finally:
        child.kill()
        child.wait()


async def test_an_interrupted_first_start_is_begun_anew(home: Path) -> None:
    draft = home / "private" / "data" / "pg.new"
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    async with server(home) as pg, session(pg.access) as sql:
        assert await sql.fetchval("select 1") == 1
    assert not draft.exists()


async def test_a_cluster_of_another_major_version_is_a_sentence(home: Path) -> None:
    pg = server(home)
    await pg.start()
    await pg.stop()
    (pg.cluster / "PG_VERSION").write_text("99\n")
    with pytest.raises(StartError, match="another major version"):
        await server(home).start()


@pytest.mark.skipif(not IS_ROOT, reason="mounts a small file system")
async def test_a_full_disk_is_a_sentence(home: Path) -> None:
    small = home / "private"
    small.mkdir()
    _mount(small)
    try:
        with pytest.raises(StartError, match="The disk is full"):
            await server(home).start()
        with pytest.raises(StartError, match="The disk is full"), DataFolder(small / "data"):
            pass
    finally:
        _unmount(small)


def test_a_folder_is_held_by_one(tmp_path: Path) -> None:
    with DataFolder(tmp_path / "d") as folder:
        folder.say("pid 4711")
        with pytest.raises(InUse, match=r"already runs.*pid 4711"), DataFolder(tmp_path / "d"):
            pass
    with DataFolder(tmp_path / "d"):
        pass


def test_a_folder_of_a_newer_version_or_of_something_else_is_a_sentence(tmp_path: Path) -> None:
    with DataFolder(tmp_path):
        pass
    (tmp_path / "version").write_text('{"layout": 99}')
    with pytest.raises(StartError, match="newer version of Orion"), DataFolder(tmp_path):
        pass
    (tmp_path / "version").write_text("hello")
    with pytest.raises(StartError, match="may not be a data folder"), DataFolder(tmp_path):
        pass
    with pytest.raises(StartError, match="not a folder"), DataFolder(tmp_path / "version" / "x"):
        pass


def test_an_external_address_keeps_its_host_and_changes_its_role(tmp_path: Path) -> None:
    dsn = "postgresql://boss:secret@db.example:6432/orion?sslmode=require"
    access = Access(tmp_path, tmp_path, dsn)
    assert access.admin_dsn == dsn
    reader = access.dsn("orion_reader")
    assert reader.startswith("postgresql://orion_reader:")
    assert reader.endswith("@db.example:6432/orion?sslmode=require")
    assert access.dsn("orion_reader") == reader
