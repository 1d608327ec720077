"""The map of the house: every service by name, in which process it lives by default, and how it is
built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orion.platform.config import ConfigError, PlatformConfig
from orion.platform.embedded import CONNECTIONS
from orion.platform.module import Module, Ports

# Of a process: queries 4, tables 2, store 4 and its voice, bus 3 and its ear. Each service has one
# for its writes.
PROCESS_CONNECTIONS = 15
OTHERS_CONNECTIONS = 30  # the keeper of the log, verbs, the relay's marks, persons


@dataclass(frozen=True, slots=True)
class Entry:
    """A service: its section of the configuration and how the hall builds it."""

    name: str
    process: str  # of the default grouping
    profiles: tuple[str, ...] = ("embedded", "cluster")  # in which it is part of a platform

    def _part(self, file: str, attribute: str) -> Any:
        module = importlib.import_module(f"orion.services.{self.name}.{file}")
        return getattr(module, attribute)

    @property
    def config_type(self) -> type:
        """The service's configuration: `Config` in its config.py."""
        return self._part("config", "Config")

    @property
    def build(self) -> Callable[[Ports, Any], Module]:
        """`build` in its module.py."""
        return self._part("module", "build")


MODULES: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("identity", "bff"),
        Entry("workspace", "bff"),
        Entry("bff_workstation", "bff"),
        Entry("push_edge", "edge"),
        Entry("reference", "core"),
        Entry("marketdata_ingest", "core"),
        Entry("marketdata_projection", "core"),
        Entry("rfq", "core"),
        Entry("lp_gateway", "core"),
        Entry("execution", "core"),
        Entry("audit", "core"),
        Entry("notifications", "core"),
        Entry("lp_bots", "bots"),
        Entry("relay", "relay", ("cluster",)),
        Entry("archive", "archive", ("cluster",)),
    )
}


def layout(processes: str, profile: str = "embedded") -> dict[str, tuple[str, ...]]:
    """Process name → the services in it. `processes`: default (on a cluster: each service by
    itself), per-service, or a number from 1 to 4.
    """
    entries = [entry for entry in MODULES.values() if profile in entry.profiles]
    if processes == "per-service" or (processes == "default" and profile == "cluster"):
        return {entry.name: (entry.name,) for entry in entries}
    homes = {name: name for name in ("bff", "edge", "core", "bots")}
    if processes != "default":
        if processes not in ("1", "2", "3", "4"):
            raise ConfigError(
                "ORION_PROCESSES", f"{processes!r} is not known", "Use default, per-service or 1-4"
            )
        if int(processes) <= 3:
            homes["bots"] = "core"
        if int(processes) <= 2:
            homes["edge"] = "bff"
        if int(processes) == 1:
            homes = dict.fromkeys(homes, "core")
    grouped: dict[str, list[str]] = {}
    for entry in entries:
        grouped.setdefault(homes.get(entry.process, "core"), []).append(entry.name)
    return {process: tuple(names) for process, names in grouped.items()}


def copies_of(process: str, copies: int) -> tuple[str, ...]:
    """The names of a process's copies: its own where it has but one."""
    return (process,) if copies == 1 else tuple(f"{process}.{n + 1}" for n in range(copies))


def connections(platform: PlatformConfig) -> int:
    """How many connections to the database its processes may open together, when all pools are
    full: too few of them, and a process that starts anew finds none.
    """
    grouped = layout(platform.processes, platform.profile)
    services = sum(map(len, grouped.values()))
    wanted = (len(grouped) * PROCESS_CONNECTIONS + services) * platform.copies
    return max(CONNECTIONS, OTHERS_CONNECTIONS + wanted)
