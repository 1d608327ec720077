"""What the command line does with Kafka; the client library is imported when a verb is called."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from orion.platform.bus.kafka_settings import kafka_settings
from orion.platform.config import Settings
from orion.platform.datadir import StartError

if TYPE_CHECKING:
    from orion.app.topics import Difference


def _topics() -> Any:
    try:
        return importlib.import_module("orion.app.topics")
    except ModuleNotFoundError as error:
        raise StartError(
            f"The package {error.name} is not installed. Run `./orion setup --cluster`."
        ) from None


async def differences(settings: Settings) -> list[Difference]:
    """Where Kafka's topics are not as they should be. Raises ConfigError, Unavailable."""
    kafka = kafka_settings(settings.platform)
    return await asyncio.to_thread(_topics().diff, kafka)


async def mend(settings: Settings) -> tuple[list[Difference], list[Difference]]:
    """(what was done, what is left)."""
    kafka = kafka_settings(settings.platform)
    return await asyncio.to_thread(_topics().apply, kafka)
