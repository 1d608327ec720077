"""Where Kafka's partitions begin and end. Asked over connections of their own: on a reader's own
connection the answer would wait behind its long poll.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

import confluent_kafka  # pyright: ignore[reportMissingImports]
import confluent_kafka.admin  # pyright: ignore[reportMissingImports]

from orion.platform.bus.kafka_settings import KafkaSettings

ck: Any = confluent_kafka
admin: Any = confluent_kafka.admin
ANSWER_S = 5.0


class Ends:
    """Blocks; may be used by several threads. Raises KafkaException."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._made: Any = None

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = admin.AdminClient(self._settings.client("ends"))
            return self._made

    def close(self) -> None:
        """Lets the connections go."""
        with self._lock:
            self._made = None

    def both(
        self, name: str, parts: Iterable[int], seconds: float = ANSWER_S
    ) -> dict[int, tuple[int, int]]:
        """The first offset and the one after the last that is committed, by partition."""
        places = [ck.TopicPartition(name, part) for part in parts]
        low = self._ask(places, admin.OffsetSpec.earliest(), seconds)
        high = self._ask(places, admin.OffsetSpec.latest(), seconds)
        ends = {part: (low[part], high[part]) for part in low}
        if any(first < 0 or after < 0 for first, after in ends.values()):
            # Under load a broker can answer without saying where; a reader that is begun at such a
            # place is refused again and again.
            self.close()
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT))
        return ends

    def at(self, name: str, part: int, at_ms: int) -> int | None:
        """The first offset whose record is not older; None when there is none."""
        spec = admin.OffsetSpec.for_timestamp(at_ms)
        found = self._ask([ck.TopicPartition(name, part)], spec, ANSWER_S)[part]
        return found if found >= 0 else None

    def _ask(self, places: list[Any], spec: Any, seconds: float) -> dict[int, int]:
        try:
            asked = self._client().list_offsets(
                dict.fromkeys(places, spec),
                isolation_level=ck.IsolationLevel.READ_COMMITTED,
                request_timeout=seconds,
            )
            return _results(asked, seconds)
        except ck.KafkaException:
            self.close()  # it would go on asking with the leaders that it knew
            raise


def _results(asked: Mapping[Any, Any], seconds: float) -> dict[int, int]:
    try:
        return {p.partition: f.result(seconds + 1).offset for p, f in asked.items()}
    except TimeoutError as error:
        raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)) from error
