"""A sandbox's records on Kafka: topics `<env>.sandbox.<name>.<topic>.v<major>`, which no service
hears. Partitions, keys, headers and log positions are those of the real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from orion.platform.bus.kafka import KafkaBus
from orion.platform.bus.kafka_past import Past
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.topics import Topic
from orion.platform.errors import Unavailable
from orion.platform.relay_line import FencedProducer, Line
from orion.platform.sandbox import SandboxError

FOREVER_HOURS = 24 * 365 * 100  # records keep their own old times: Kafka must not go by them


def sandbox_topics(name: str, specs: Mapping[str, Topic]) -> dict[str, Topic]:
    """The sandbox's topics, by the real ones' keys."""
    return {
        key: replace(
            spec, key=f"sandbox.{name}.{key}", retention_hours=FOREVER_HOURS, cap_mb=None,
            owner="sandbox", consumers=(), hourly=True,  # may begin anywhere
        )
        for key, spec in specs.items()
    }  # fmt: skip


class KafkaTarget:
    """Publishes as the relay does: in transactions, behind what is there already."""

    kind = "kafka"

    def __init__(self, settings: KafkaSettings, name: str, specs: Mapping[str, Topic]) -> None:
        self._settings = settings
        self.topics = sandbox_topics(name, specs)
        self._past = Past(settings, {t.key: t for t in self.topics.values()}, readers=1)
        self._line: tuple[str, int, Line] | None = None

    async def next(self, topic: str, part: int, first: int) -> int:
        """See the port. Ends whoever else still publishes there. Raises Unavailable."""
        await self._close_line()
        line = Line(self._settings, self.topics[topic], part)
        self._line = (topic, part, line)
        await asyncio.to_thread(line.open)
        last, _ = await self._past.last(self.topics[topic].key, part)
        return first if last is None else max(first, last.offset + 1)

    async def put(self, records: Sequence[Record]) -> None:
        """See the port. Raises Unavailable, SandboxError when another one took its place."""
        assert self._line is not None
        try:
            await asyncio.to_thread(self._line[2].publish, records)
        except FencedProducer as error:
            raise SandboxError(f"somebody else replays into the same topic: {error}") from error

    async def _close_line(self) -> None:
        if self._line is not None:
            await asyncio.to_thread(self._line[2].close)
            self._line = None

    async def close(self) -> None:
        """Lets go of Kafka."""
        await self._close_line()
        await self._past.close()


class KafkaSource:
    """The sandbox's topics, read as if they were the real ones."""

    def __init__(self, settings: KafkaSettings, name: str, specs: Mapping[str, Topic]) -> None:
        self._topics = sandbox_topics(name, specs)
        self._bus = KafkaBus(settings, topics={t.key: t for t in self._topics.values()})
        self._known: set[str] = set()

    async def read(self, topic: str, part: int, offset: int, limit: int = 500) -> list[Record]:
        """As a bus's. Raises Unavailable."""
        key = self._topics[topic].key
        if key not in self._known:
            await self._bus.ends(key)
            self._known.add(key)
        found = await self._bus.read(key, part, offset, limit)
        return [replace(r, topic=topic) for r in found]

    async def ends(self, topic: str) -> dict[int, int]:
        """As a bus's."""
        return await self._bus.ends(self._topics[topic].key)

    async def close(self) -> None:
        """Lets go of Kafka."""
        await self._bus.close()


__all__ = ["KafkaSource", "KafkaTarget", "Unavailable", "sandbox_topics"]
