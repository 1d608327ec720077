"""How the hall builds the archive."""

from __future__ import annotations

from orion.platform.archive import ArchiveLimits, Archiver
from orion.platform.archive_turn import ArchiveTurn
from orion.platform.bus.topics import catalogue
from orion.platform.config import ConfigError
from orion.platform.module import Module, Ports
from orion.services.archive.config import Config


def build(ports: Ports, config: Config) -> Module:
    """One of the copies archives, the others stand by."""
    unknown = [topic for topic in config.topics if topic not in catalogue()]
    if unknown:
        raise ConfigError(
            "ORION_ARCHIVE_TOPICS", f"there is no topic {', '.join(unknown)}", "Name known ones"
        )
    limits = ArchiveLimits(
        rows=config.rows, bytes=config.megabytes * 1024 * 1024, wait_s=config.wait_s
    )
    env = ports.settings.platform.env
    archiver = Archiver(
        ports.bus, ports.blobs, ports.clock,
        env=env, topics=config.topics or tuple(catalogue()), limits=limits,
    )  # fmt: skip
    turn = ArchiveTurn(archiver, ports.store, ports.clock, ports.address)
    return Module("archive", tasks=[turn.run], ready=turn.ready, leave=[turn.leave])
