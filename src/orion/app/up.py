"""`orion up`: everything, in the foreground, until Ctrl-C; and what a person sees meanwhile."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from orion.app import certs, revision
from orion.app.modules import connections, copies_of, layout
from orion.app.preflight import check
from orion.app.restart import attend
from orion.app.running import announce, withdraw
from orion.platform import telemetry
from orion.platform.acceptor import Acceptor, by_path, listen
from orion.platform.clock import SystemClock
from orion.platform.config import BUILD, ConfigError, Settings
from orion.platform.datadir import DataFolder, StartError, make_run_dir
from orion.platform.descriptors import Ring, Sender
from orion.platform.embedded import Access, EmbeddedPostgres
from orion.platform.logfile import LogFile
from orion.platform.nursery import Nursery
from orion.platform.retention import Retention
from orion.platform.supervise import Spec, Supervisor

DEMO_USERS = "trader, trader2, sales, risk, analyst, admin, platform"
DEMO_PASSWORD = "orion-demo"  # noqa: S105 (printed on purpose; refused in the cluster profile)
OUTER = ("bff", "edge", "bff_workstation", "push_edge")  # stopped first: no new commands


class Screen:
    """The start-up as a person reads it. Plain lines where there is no terminal."""

    def __init__(self, console: Console):
        self._console = console
        self._begun = time.monotonic()

    @contextmanager
    def step(self, doing: str, width: int = 12) -> Iterator[Callable[[str], None]]:
        """Shows what is being done, then what was done and how long it took."""
        begun, said = time.monotonic(), [doing]
        with self._console.status(f"{doing} …"):
            yield lambda text: said.__setitem__(0, text)
        label, _, rest = said[0].partition(": ")
        took = time.monotonic() - begun
        self._console.print(
            f"  [green]✓[/] {label:<{width}} [dim]{rest}[/]  {took:.1f} s", highlight=False
        )

    def notice(self, text: str) -> None:
        """Something happened while the platform runs."""
        at = time.strftime("%H:%M:%S")
        self._console.print(f"[yellow]{at}  {text}[/]", highlight=False, markup=True)

    def say(self, text: str) -> None:
        """A plain line."""
        self._console.print(text, highlight=False)

    def title(self, settings: Settings) -> None:
        """The first line."""
        self.say(f"[bold]Orion[/] {BUILD}  [dim]{settings.platform.profile} profile[/]\n")

    def ready(self, settings: Settings) -> None:
        """Where to go, as whom, and how to stop."""
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim")
        rows.add_column(overflow="fold")
        rows.add_row("Open", f"[bold]{settings.public_url}[/]")
        if settings.is_embedded and not settings.platform.oidc_issuer:
            rows.add_row("Sign in as", f"[bold]trader@alpha[/]   password [bold]{DEMO_PASSWORD}[/]")
            rows.add_row("", f"{DEMO_USERS} · each @alpha and @beta")
        if settings.platform.oidc_issuer:
            rows.add_row("Sign in at", settings.platform.oidc_issuer)
        rows.add_row("Prices", _prices(settings))
        rows.add_row("Data", f"{settings.data_dir}  [dim](logs in logs/)[/]")
        rows.add_row("Stop", "Ctrl-C; the data stays")
        took = time.monotonic() - self._begun
        title = f"Ready in {took:.1f} s"
        self._console.print()
        self._console.print(
            Panel(rows, title=title, border_style="green", expand=False, padding=(1, 2)),
            highlight=False,
        )


def _prices(settings: Settings) -> str:
    platform = settings.platform
    simulated = f"simulated, scenario {platform.scenario}, seed {platform.seed}"
    if not platform.replay:
        return simulated
    return f"replay of {Path(platform.replay).name} at {platform.speed}×, the rest {simulated}"


async def up(settings: Settings, console: Console) -> None:
    """Starts everything, waits for the end, stops everything. Raises StartError or ConfigError
    with a sentence.
    """
    meaningless = check(settings)
    screen = Screen(console)
    screen.title(settings)
    for sentence in meaningless:
        screen.notice(sentence)
    stop = _Stop(screen)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(DataFolder(settings.data_dir))
        make_run_dir(settings.run_dir)
        stack.callback(shutil.rmtree, settings.run_dir, ignore_errors=True)
        folder.say(f"pid {os.getpid()}, {settings.public_url}")
        _more_descriptors()
        telemetry.configure("supervisor", settings.platform.log_level, file=_log(settings, stack))
        metrics = await telemetry.serve_metrics(settings.run_dir / "supervisor.metrics.sock")
        stack.callback(metrics.close)
        # First of all: a port in use should be told before anything is started.
        listeners = listen(settings.platform.bind, settings.platform.port)
        for sock in listeners:
            stack.callback(sock.close)
        nursery = await stack.enter_async_context(_nursery(settings))
        work = asyncio.ensure_future(_serve(settings, screen, listeners, stop, nursery))
        await stop.watch(work)
    screen.say("Stopped. Everything is kept; the next start goes on from here.")


async def _serve(
    settings: Settings,
    screen: Screen,
    listeners: list[socket.socket],
    stop: _Stop,
    nursery: Nursery,
) -> None:
    """The platform from the first step to the last; returns after an orderly stop."""
    async with _database(settings, screen, stop):
        with screen.step("Database: looking for migrations") as done:
            done(f"Database: {await _migrate(settings)}")
        if certs.makes_its_own(settings):
            certs.make(settings)
        supervisor = Supervisor(
            specs(settings),
            settings.data_dir / "logs",
            partial(_happened, screen),
            nursery,
        )
        stop.supervisor = supervisor
        acceptor, control = _acceptor(settings, listeners), None
        keepers = [asyncio.create_task(_keep_log(settings), name="retention")]
        if certs.makes_its_own(settings):
            keepers.append(asyncio.create_task(certs.keep(settings), name="certificates"))
        try:
            # Before the children: identity's keys are read through the public port.
            acceptor.start()
            names = list(supervisor.children)
            with screen.step(f"Processes: starting {', '.join(names)}") as done:
                await supervisor.start()
                done(f"Processes: {', '.join(names)}")
            control = await attend(settings, supervisor)
            announce(settings)
            telemetry.log.info("ready", address=settings.public_url, processes=names)
            screen.ready(settings)
            await stop.asked.wait()
            screen.say("\nStopping … [dim](Ctrl-C again ends it at once)[/]")
        finally:
            withdraw(settings)
            if control is not None:
                control.close()
            acceptor.close()
            for keeper in keepers:
                keeper.cancel()
            await supervisor.stop(fast=stop.hard)


def _happened(screen: Screen, process: str, text: str) -> None:
    """Tells the person in front, and the log for who comes later."""
    telemetry.log.warning(text, of=process)
    screen.notice(text)


async def _keep_log(settings: Settings) -> None:
    """Makes the log's partitions ahead of time and removes old ones, as long as the platform
    runs."""
    door = Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)
    await Retention(door.dsn("orion_owner"), SystemClock()).run()


@asynccontextmanager
async def _database(settings: Settings, screen: Screen, stop: _Stop) -> AsyncIterator[None]:
    if settings.platform.postgres_dsn:
        with screen.step("PostgreSQL: connecting to ORION_POSTGRES_DSN") as done:
            done(f"PostgreSQL: {await _external(settings.platform.postgres_dsn)}")
        yield
        return
    postgres = EmbeddedPostgres(
        settings.data_dir,
        settings.run_dir,
        notice=screen.notice,
        connections=connections(settings.platform),
    )
    first = not (settings.data_dir / "pg" / "PG_VERSION").exists()
    with screen.step(
        "PostgreSQL: making the database" if first else "PostgreSQL: starting"
    ) as done:
        await postgres.start()
        done("PostgreSQL: made and started" if first else "PostgreSQL: started")
    try:
        yield
    finally:
        await postgres.stop(fast=stop.hard)


async def _external(dsn: str) -> str:
    try:
        sql = await asyncpg.connect(dsn, timeout=5)
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError) as error:
        reason = str(error) or type(error).__name__
        raise ConfigError(
            "ORION_POSTGRES_DSN",
            f"the server does not take the connection ({reason})",
            "Mend the address or unset it to use the embedded PostgreSQL",
        ) from error
    try:
        return f"external, version {await sql.fetchval('show server_version')}"
    finally:
        await sql.close()


async def _migrate(settings: Settings) -> str:
    door = Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)
    if await revision.found(door.admin_dsn) == revision.newest():
        return "up to date"
    from orion.platform.store.migrate import NewerDatabase, migrate

    try:
        applied = await migrate(door.admin_dsn, door.passwords)
    except NewerDatabase as error:
        raise StartError(f"{settings.data_dir}: {error}.") from error
    return f"{len(applied)} migrations applied" if applied else "up to date"


def specs(settings: Settings) -> list[Spec]:
    """The processes of the configured grouping, as commands."""
    platform, environment = settings.platform, settings.child_environment()
    return [
        Spec(
            name,
            (sys.executable, "-P", "-m", "orion.app.child", name, *services),
            environment,
            last=process not in OUTER,
            words=(name, *services),
        )
        for process, services in layout(platform.processes, platform.profile).items()
        for name in copies_of(process, platform.copies)
    ]


def _nursery(settings: Settings) -> Nursery:
    longest = max(len(" ".join(spec.command)) for spec in specs(settings))
    return Nursery(
        (sys.executable, "-P", "-m", "orion.app.nursery"),
        settings.child_environment(),
        settings.data_dir / "logs" / "nursery.log",
        room=longest,
    )


def _acceptor(settings: Settings, listeners: list[socket.socket]) -> Acceptor:
    grouped = layout(settings.platform.processes, settings.platform.profile)
    apart = not any({"identity", "bff_workstation"} <= set(names) for names in grouped.values())

    def doors(kind: str) -> Ring:
        names = copies_of(kind, settings.platform.copies)
        return Ring([Sender(settings.door(kind, name)) for name in names])

    targets = {kind: doors(kind) for kind in ("web", "stream", "oidc")}
    return Acceptor(listeners, targets, by_path("stream", "web", "oidc" if apart else "web"))


def _more_descriptors() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Stop:
    """Turns the first signal into an orderly stop and the second into a hard one."""

    def __init__(self, screen: Screen):
        self.asked = asyncio.Event()
        self.hard = False
        self.supervisor: Supervisor | None = None
        self._screen = screen
        self._work: asyncio.Future[None] | None = None
        self._hurry: asyncio.Task[None] | None = None

    async def watch(self, work: asyncio.Future[None]) -> None:
        """Waits for the work; during its start a signal cancels it."""
        self._work = work
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        try:
            await work
        except asyncio.CancelledError:
            if not self.asked.is_set():
                raise

    def _signalled(self) -> None:
        ready = self.supervisor is not None and all(
            child.was_ready for child in self.supervisor.children.values()
        )
        if not self.asked.is_set():
            self.asked.set()
            if not ready and self._work is not None:
                self._work.cancel()
        elif not self.hard:
            self.hard = True
            self._screen.say("Ending at once.")
            if self.supervisor is not None:
                self._hurry = asyncio.ensure_future(self.supervisor.stop(fast=True))


def _log(settings: Settings, stack: AsyncExitStack) -> _TextLog:
    log = LogFile(settings.data_dir / "logs" / "supervisor.log")
    stack.callback(log.close)
    return _TextLog(log)


class _TextLog:
    """A LogFile as the text stream that the logger writes to."""

    def __init__(self, log: LogFile):
        self._log = log

    def write(self, text: str) -> int:
        """Writes whole lines, as the logger does."""
        self._log.write(text.encode())
        return len(text)

    def flush(self) -> None:
        """Every line is written at once."""
