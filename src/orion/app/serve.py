"""Runs a set of services in this process: ports, RPC, metrics, tasks, and the sockets that the
acceptor hands over.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from orion.app.certs import peers_of
from orion.app.front import front
from orion.app.modules import MODULES
from orion.app.profiles import open_ports, own_address, ports_of
from orion.app.revocations import follower
from orion.platform import telemetry
from orion.platform.config import ConfigError, Settings
from orion.platform.faults import Faults, faults_of
from orion.platform.leaving import Leaving
from orion.platform.module import Module, Ports
from orion.platform.rpc import RpcServer
from orion.platform.rpc.tls import follow_files
from orion.platform.tcp_door import TcpDoor, probe_port

READY_POLL_S = 0.02
LEAVE_S = 8.0  # for others to take over what this process has
SETTLE_S = 0.5
APART = "Run the edge in a process of its own"


class Stop(Exception):
    """Someone asked this process to end."""


async def serve(
    process: str, names: Sequence[str], settings: Settings, on_ready: Callable[[], None]
) -> None:
    """Serves until SIGTERM or SIGINT. Raises what a task raised: the process then ends and the
    supervisor starts it anew.
    """
    platform = settings.platform
    telemetry.configure(process, platform.log_level, platform.otlp_endpoint)
    settings.run_dir.mkdir(mode=0o700, exist_ok=True)
    readiness = _Readiness()
    async with AsyncExitStack() as stack:
        if platform.metrics_listen:  # first, so that a start that takes long is seen to be one
            port = probe_port(platform.metrics_listen, lambda: readiness.reasons)
            await stack.enter_async_context(port)
        ports = await stack.enter_async_context(open_ports(process, settings))
        ports.verifier.revocations.await_first()
        modules = [_build(name, ports, settings) for name in names]
        rpc = RpcServer(
            own_address(settings, process)[0],
            ports.verifier.verify,
            ports.directory.home,
            credentials=ports.directory.credentials,
            peers=peers_of(settings, names),
        )
        for module in modules:
            for register, servicer in module.rpc:
                rpc.add(register, servicer)
        await rpc.start()
        stack.push_async_callback(rpc.stop)
        metrics = await telemetry.serve_metrics(settings.run_dir / f"{process}.metrics.sock")
        stack.callback(metrics.close)
        readiness.reasons = [f"{module.name}: starting" for module in modules]

        def is_ready() -> None:
            readiness.reasons = []
            on_ready()

        try:
            await _run(process, modules, ports, rpc, settings, is_ready)
        finally:
            readiness.reasons = ["stopping"]


@dataclass
class _Readiness:
    """Why this process is not ready; nobody: it is."""

    reasons: list[str] = field(default_factory=lambda: ["starting"])


def _build(name: str, ports: Ports, settings: Settings) -> Module:
    entry = MODULES[name]
    config = settings.section(name, entry.config_type)
    return entry.build(ports_of(ports, name, settings), config)


async def _run(
    process: str,
    modules: Sequence[Module],
    ports: Ports,
    rpc: RpcServer,
    settings: Settings,
    on_ready: Callable[[], None],
) -> None:
    tasks = [task for module in modules for task in module.tasks]
    doors = _doors(process, settings, modules, faults_of(settings.platform, process))
    tasks += doors.tasks
    tasks.append(lambda: follow_revocations(ports))
    if (credentials := ports.directory.credentials) is not None:
        tasks.append(lambda: follow_files(credentials))
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks:
                group.create_task(_until_told(task))
            group.create_task(_announce(modules, doors, rpc, on_ready))
            group.create_task(_signalled())
            group.create_task(_leave_when_told(modules, doors, rpc))
    except* Stop:
        telemetry.log.info("stopping")


@dataclass
class _Doors:
    """What takes connections, in a process that talks to the outside."""

    tasks: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    leaving: list[Leaving] = field(default_factory=list)
    opened: list[asyncio.Event] = field(default_factory=list)

    def add(self, serve_at: Callable[..., Awaitable[None]], door: Any, what: Any) -> None:
        """One more, of which `opened` tells when it takes sockets."""
        is_open = asyncio.Event()
        self.opened.append(is_open)
        self.leaving.append(Leaving())
        self.tasks.append(partial(serve_at, door, what, is_open.set, self.leaving[-1]))

    async def leave(self) -> None:
        """Takes no more connections; returns when those that are kept open for more have ended."""
        await asyncio.gather(*(one.leave() for one in self.leaving))


def _doors(
    process: str, settings: Settings, modules: Sequence[Module], faults: Faults | None
) -> _Doors:
    doors = _Doors()
    app = front(modules)
    if app is not None and faults is not None:
        app = faults.app(app)
    if app is None and not any(module.stream for module in modules):
        return doors
    from orion.platform.handoff import serve_asgi, serve_stream  # brings a web server along

    streams = [module.stream for module in modules if module.stream is not None]
    if listen := settings.platform.http_listen:
        if app is not None and streams:
            raise ConfigError("ORION_HTTP_LISTEN", "one port takes HTTP or the stream", APART)
        door = TcpDoor.of("ORION_HTTP_LISTEN", listen)
        for serve_at, whats in ((serve_asgi, [app] if app else []), (serve_stream, streams)):
            for what in whats:
                doors.add(serve_at, door, what)
        return doors
    if app is not None:
        # Alone in a process, the identity provider has a door of its own.
        web = any(module.name == "bff_workstation" for module in modules)
        doors.add(serve_asgi, settings.door("web" if web else "oidc", process), app)
    for stream in streams:
        doors.add(serve_stream, settings.door("stream", process), stream)
    return doors


async def follow_revocations(ports: Ports) -> None:
    """Keeps this process's verifier told of ended sessions and disabled users."""

    revocations = ports.verifier.revocations
    await follower(ports.directory, revocations, ports.clock, ports.cache)()


async def _until_told(task: Callable[[], Awaitable[None]]) -> None:
    await task()
    raise RuntimeError(f"{task} ended by itself")


async def _announce(
    modules: Sequence[Module], doors: _Doors, rpc: RpcServer, on_ready: Callable[[], None]
) -> None:
    """Waits for every module and door, then says once that this process is ready."""
    waiting = list(modules)
    while waiting:
        waiting = [m for m in waiting if m.ready() is not None]
        if waiting:
            await asyncio.sleep(READY_POLL_S)
    for is_open in doors.opened:
        await is_open.wait()
    await rpc.set_ready(True)
    telemetry.log.info("ready", modules=[m.name for m in modules])
    on_ready()


async def _signalled() -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    await told.wait()
    raise Stop


async def _leave_when_told(modules: Sequence[Module], doors: _Doors, rpc: RpcServer) -> None:
    """SIGUSR1: another copy does this one's work from now on, and nobody who calls shall notice."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, told.set)
    await told.wait()
    telemetry.log.info("leaving")
    await rpc.set_ready(False)  # callers who have a choice take another copy
    try:
        async with asyncio.timeout(LEAVE_S):
            leaving = [leave() for module in modules for leave in module.leave]
            await asyncio.gather(doors.leave(), *leaving)
    except TimeoutError:
        telemetry.log.warning("leaving though not everything was taken over")
    await asyncio.sleep(SETTLE_S)  # calls that were on their way here are answered
    raise Stop


def notify_parent() -> None:
    """Tells the supervisor that this process is ready, over the descriptor it named."""
    fd = os.environ.get("ORION_READY_FD")  # noqa: TID251 (not configuration)
    if fd:
        with suppress(OSError):
            os.write(int(fd), b"ready\n")
            os.close(int(fd))
