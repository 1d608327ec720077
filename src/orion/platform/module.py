"""What a service is to the hall: a name, RPC servicers, tasks, perhaps an HTTP app. And what the
hall gives it: ports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from orion.platform.clock import Clock


@dataclass(frozen=True)
class Ports:
    """Everything a service may touch of the machine. Chosen once, in orion.app.profiles."""

    clock: Clock
    bus: Any  # what happened: orion.platform.bus.port.Bus
    store: Any  # orion.platform.store.port.Store (for transact)
    database: Any  # orion.platform.store.port.Database: sessions with SQL for queries.py
    cache: Any  # orion.platform.cache.port.Cache
    directory: Any  # orion.platform.rpc: channels to other services by name
    verifier: Any  # orion.platform.auth.Verifier
    settings: Any  # orion.platform.config.Settings: `settings.section("rfq", RfqConfig)`
    telemetry: Any  # orion.platform.telemetry
    log: Any = None  # the same, as who writes it must read what is its own; None: the bus
    marks: Any = None  # cluster: orion.platform.relay_marks.RelayMarks
    blobs: Any = None  # orion.platform.blob.port.Blob, where the profile has them
    address: str = ""  # where this process's gRPC server listens: owners tell it to other copies

    def __post_init__(self) -> None:
        if self.log is None:
            object.__setattr__(self, "log", self.bus)


@dataclass
class Module:
    """A built service. `rpc`: pairs (add_…Servicer_to_server, servicer). `tasks` run until
    cancelled; one that returns or raises ends the process, and the supervisor brings it back.
    `ready` gives None, or the reason why not yet. `leave` hands over what this copy has to others,
    while it still answers, and returns when they have it.
    """

    name: str
    rpc: list[tuple[Callable[..., None], Any]] = field(default_factory=list)
    tasks: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    ready: Callable[[], str | None] = lambda: None
    leave: Sequence[Callable[[], Awaitable[None]]] = ()
    http: Any | None = None  # an ASGI app (bff) …
    stream: Any | None = None  # … or a picows listener factory (edge)
    rpc_interceptors: list[Any] = field(default_factory=list)
