"""An answer of Kafka's that says nothing is not taken for a place."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("confluent_kafka")

import confluent_kafka  # pyright: ignore[reportMissingImports]

from orion.platform.bus.kafka_ends import Ends
from orion.platform.bus.kafka_settings import KafkaSettings

pytestmark = pytest.mark.cluster
ck: Any = confluent_kafka


class Answering(Ends):
    """A broker's answers, as they came: the first offset, then the one after the last."""

    def __init__(self, *answers: int) -> None:
        super().__init__(KafkaSettings("127.0.0.1:1"))
        self._answers = iter(answers)

    def _ask(self, places: list[Any], spec: Any, seconds: float) -> dict[int, int]:
        offset = next(self._answers)
        return {place.partition: offset for place in places}


@pytest.mark.parametrize("answers", [(-1001, 0), (-1, 5), (0, -1001)])
def test_a_place_that_was_not_told_is_asked_for_again(answers: tuple[int, int]) -> None:
    with pytest.raises(ck.KafkaException):
        Answering(*answers).both("dev.rfq.lifecycle.v1", [0, 1])


def test_what_was_told_is_taken() -> None:
    assert Answering(3, 7).both("dev.rfq.lifecycle.v1", [0, 1]) == {0: (3, 7), 1: (3, 7)}
