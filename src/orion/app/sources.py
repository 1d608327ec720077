"""Where a verb reads what was said: the log, Kafka, or the archive and what is newer than it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from orion.app.blobs import cluster_part, open_blobs
from orion.app.origin import Origin
from orion.platform.bus.abandoned import Abandoned
from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.bus.postgres import PostgresBus
from orion.platform.bus.ring import Ring
from orion.platform.config import Settings
from orion.platform.embedded import Access
from orion.platform.relay_marks import RelayMarks


@asynccontextmanager
async def open_source(settings: Settings, origin: Origin, door: Access) -> AsyncIterator[Any]:
    """A bus over that place. Raises ConfigError, StartError."""
    async with AsyncExitStack() as stack:
        newer: Any
        abandoned = await _abandoned(door) if origin is not Origin.LOG else None
        if origin is Origin.KAFKA or (
            origin is Origin.ARCHIVE and settings.platform.kafka_bootstrap
        ):
            kafka = cluster_part("orion.platform.bus.kafka").KafkaBus
            newer = await stack.enter_async_context(
                kafka.open(kafka_settings(settings.platform), abandoned)
            )
        else:
            newer = PostgresBus(door.dsn("orion_owner"), ring=Ring(), connections=1)
            stack.push_async_callback(newer.close)
        if origin is not Origin.ARCHIVE:
            yield newer
            return
        from orion.platform.archive_bus import ArchivedBus
        from orion.platform.archive_read import ArchiveReader

        cluster_part("pyarrow")
        blobs = await stack.enter_async_context(open_blobs(settings))
        yield ArchivedBus(ArchiveReader(blobs, env=settings.platform.env), newer, abandoned)


async def _abandoned(door: Access) -> Abandoned:
    marks = RelayMarks(door.dsn("orion_writer"))
    try:
        return await marks.abandoned()
    finally:
        await marks.close()
