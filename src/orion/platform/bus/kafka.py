"""The bus of the cluster profile: the log as the relay has published it to Kafka.

Offsets are those of the log, not Kafka's; who stores them with an effect needs nothing of Kafka's
own positions. Reading, waiting and tailing go over the ring, which one thread fills
(kafka_live.py); what lies further back is read from Kafka (kafka_past.py). Only committed records
are seen. While Kafka is away `read` and `ends` raise Unavailable, and everything goes on by itself
when it is back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from orion.platform.bus.abandoned import Abandoned
from orion.platform.bus.following import BATCH, Following
from orion.platform.bus.kafka_live import Live
from orion.platform.bus.kafka_past import Past, Places
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.port import Record
from orion.platform.bus.ring import Ring
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.errors import Unavailable


class KafkaBus(Following):
    """Reads the relayed log. Begins to follow a topic when it is first asked for."""

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        topics: Mapping[str, Topic] | None = None,
        ring: Ring | None = None,
        abandoned: Abandoned | None = None,
    ) -> None:
        self.ring = ring or Ring()
        self._topics = topics if topics is not None else catalogue()
        places = Places()
        abandoned = abandoned or Abandoned()
        self._past = Past(settings, self._topics, places, abandoned=abandoned)
        self._live = Live(settings, self._topics, places, self.ring.hand_over, abandoned)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, settings: KafkaSettings, abandoned: Abandoned | None = None
    ) -> AsyncIterator[KafkaBus]:
        """Opens as long as the block lasts."""
        bus = cls(settings, abandoned=abandoned)
        try:
            yield bus
        finally:
            await bus.close()

    async def read(
        self, topic: str, part: int, offset: int, limit: int = BATCH
    ) -> Sequence[Record]:
        """See the port. Ends at what this process knows of; Unavailable at a gap."""
        held = self.ring.slice(topic, part, offset, limit)
        if held is not None:
            return held
        self._spec(topic)
        await self._live.wait(self._live.follow(topic))
        end = self.ring.known(topic, part)
        if offset >= end:
            if (topic, part) in self._live.broken:
                raise Unavailable(f"{topic}/{part}: Kafka has a gap at {end}")
            return []
        return await self._past.read(topic, part, offset, limit, end)

    async def ends(self, topic: str) -> dict[int, int]:
        """See the port."""
        spec = self._spec(topic)
        await self._live.look(topic)
        return {part: self.ring.known(topic, part) for part in range(spec.partitions)}

    async def offset_at(self, topic: str, part: int, at: int) -> int:
        """See the port. Of what Kafka still has."""
        self._spec(topic)
        await self._live.wait(self._live.follow(topic))
        found = await self._past.offset_at(topic, part, at)
        return self.ring.known(topic, part) if found is None else found

    async def wait_any(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """See the port."""
        self._follow(positions)
        return await super().wait_any(positions, timeout_s)

    def behind(self, positions: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """See the port."""
        self._follow(positions)
        return super().behind(positions)

    def _follow(self, positions: Mapping[tuple[str, int], int]) -> None:
        for topic in {topic for topic, _ in positions}:
            self._live.follow(topic)

    def _spec(self, topic: str) -> Topic:
        try:
            return self._topics[topic]
        except KeyError:
            raise KeyError(f"{topic} is not in contracts/topics.toml") from None

    async def close(self) -> None:
        """Ends the thread and the readers."""
        await self._live.close()
        await self._past.close()
