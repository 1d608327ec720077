"""The database takes as many connections as the processes of a platform may open together."""

from __future__ import annotations

from inspect import signature
from typing import Any

from orion.app.modules import PROCESS_CONNECTIONS, connections, layout
from orion.platform.bus.postgres import PostgresBus
from orion.platform.config import PlatformConfig
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore

VOICE_AND_EAR = 2  # to tell and to hear that something was written, each a connection of its own


def sizes(of: Any, *names: str) -> int:
    return sum(signature(of).parameters[name].default for name in names)


def test_full_pools_of_every_process_find_room() -> None:
    pools = sizes(PostgresDatabase, "readers", "writers") + VOICE_AND_EAR
    pools += sizes(PostgresStore, "connections") + sizes(PostgresBus, "connections")
    assert pools == PROCESS_CONNECTIONS
    for processes in ("default", "per-service", "1"):
        for copies in (1, 2, 4):
            platform = PlatformConfig(processes=processes, copies=copies)
            grouped = layout(processes)
            most = copies * sum(pools + len(services) for services in grouped.values())
            assert connections(platform) > most
