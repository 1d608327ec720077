"""The map of the house: every service by name, in which process it lives by default, and how it is
built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orion.platform.config import ConfigError
from orion.platform.module import Module, Ports


@dataclass(frozen=True, slots=True)
class Entry:
    """A service: its section of the configuration and how the hall builds it."""

    name: str
    process: str  # of the default grouping

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
    )
}


def layout(processes: str) -> dict[str, tuple[str, ...]]:
    """Process name → the services in it. `processes`: default, per-service, or a number from 1 to
    4.
    """
    if processes == "per-service":
        return {name: (name,) for name in MODULES}
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
    for entry in MODULES.values():
        grouped.setdefault(homes[entry.process], []).append(entry.name)
    return {process: tuple(names) for process, names in grouped.items()}


def copies_of(process: str, copies: int) -> tuple[str, ...]:
    """The names of a process's copies: its own where it has but one."""
    return (process,) if copies == 1 else tuple(f"{process}.{n + 1}" for n in range(copies))


def process_of(service: str, processes: str) -> str:
    """The process that runs this service."""
    return next(p for p, names in layout(processes).items() if service in names)
