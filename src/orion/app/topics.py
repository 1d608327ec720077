"""Kafka's topics as contracts/topics.toml wants them: compared, made, widened; never shrunk, never
deleted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka  # pyright: ignore[reportMissingImports]
import confluent_kafka.admin  # pyright: ignore[reportMissingImports]

from orion.platform.bus.kafka_ends import Ends
from orion.platform.bus.kafka_settings import KafkaSettings
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.errors import Unavailable

ck: Any = confluent_kafka
admin_api: Any = confluent_kafka.admin
ANSWER_S = 20.0
LED_S = 60.0  # a broker makes files for each partition first
LETTERS_KEPT_HOURS = 2_160
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Wanted:
    """One topic as it should be."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """What is otherwise than it should be. `can_mend`: without losing anything."""

    topic: str
    what: str
    found: str
    wanted: str
    can_mend: bool

    def __str__(self) -> str:
        end = "" if self.can_mend else "  (not changed by apply: that would lose something)"
        return f"{self.topic}: {self.what} is {self.found}, should be {self.wanted}{end}"


@dataclass
class Found:
    """One topic as it is."""

    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)


def wanted(settings: KafkaSettings, topics: Mapping[str, Topic] | None = None) -> list[Wanted]:
    """The topics of the catalogue and, for each service that consumes, the one of its dead
    letters.
    """
    specs = topics if topics is not None else catalogue()
    consumers = sorted({c for t in specs.values() for c in t.consumers})
    rows = [
        (t.name(settings.env), t.partitions, t.retention_hours, t.cleanup) for t in specs.values()
    ]
    rows += [
        (settings.topic(f"dlq.{name}"), 1, LETTERS_KEPT_HOURS, "delete")
        for name in consumers
        if f"dlq.{name}" not in specs
    ]
    copies = settings.replication
    return [
        Wanted(
            name,
            partitions,
            copies,
            {
                "cleanup.policy": cleanup,
                "retention.ms": str(hours * HOUR_MS),
                "min.insync.replicas": str(max(copies - 1, 1)),
                "message.timestamp.type": "CreateTime",
            },
        )
        for name, partitions, hours, cleanup in rows
    ]


def diff(settings: KafkaSettings, topics: Mapping[str, Topic] | None = None) -> list[Difference]:
    """Every difference. Raises Unavailable."""
    return _compare(wanted(settings, topics), _found(_client(settings), settings.env))


def apply(
    settings: KafkaSettings, topics: Mapping[str, Topic] | None = None
) -> tuple[list[Difference], list[Difference]]:
    """Mends what can be mended: (what it did, what is left). Raises Unavailable."""
    client = _client(settings)
    all_ = {w.name: w for w in wanted(settings, topics)}
    differences = _compare(list(all_.values()), _found(client, settings.env))
    todo = [d for d in differences if d.can_mend]
    new = [all_[d.topic] for d in todo if d.what == "topic"]
    if new:
        made = [
            admin_api.NewTopic(w.name, w.partitions, w.replication, config=dict(w.config))
            for w in new
        ]
        _wait(client.create_topics(made, operation_timeout=ANSWER_S))
    wide = [d for d in todo if d.what == "partitions"]
    if wide:
        more = [admin_api.NewPartitions(d.topic, int(d.wanted)) for d in wide]
        _wait(client.create_partitions(more, operation_timeout=ANSWER_S))
    _set(client, [d for d in todo if d.what not in ("topic", "partitions")])
    ends = Ends(settings)
    for name in {d.topic for d in todo if d.what in ("topic", "partitions")}:
        _led(ends, name, all_[name].partitions)
    left = _compare(list(all_.values()), _found(client, settings.env))
    return todo, left


def _led(ends: Ends, name: str, partitions: int) -> None:
    """Waits until each partition has a leader that answers: it is made a moment before that."""
    end = time.monotonic() + LED_S
    while True:
        try:
            ends.both(name, range(partitions))
            return
        except ck.KafkaException as error:
            if time.monotonic() > end:
                raise Unavailable(f"{name} has no leader: {error}") from error
            time.sleep(0.1)


def _set(client: Any, differences: Sequence[Difference]) -> None:
    resources = [
        admin_api.ConfigResource(
            admin_api.ConfigResource.Type.TOPIC,
            d.topic,
            incremental_configs=[
                admin_api.ConfigEntry(
                    d.what, d.wanted, incremental_operation=admin_api.AlterConfigOpType.SET
                )
            ],
        )
        for d in differences
    ]
    for resource in resources:  # one by one: a call takes each topic once
        _wait(client.incremental_alter_configs([resource]))


def _compare(all_: Sequence[Wanted], found: Mapping[str, Found]) -> list[Difference]:
    differences: list[Difference] = []
    for want in all_:
        have = found.get(want.name)
        if have is None:
            differences.append(Difference(want.name, "topic", "missing", "there", True))
            continue
        if have.partitions != want.partitions:
            differences.append(
                Difference(
                    want.name, "partitions", str(have.partitions), str(want.partitions),
                    have.partitions < want.partitions,
                )
            )  # fmt: skip
        if have.replication != want.replication:
            differences.append(
                Difference(
                    want.name, "replication", str(have.replication), str(want.replication), False
                )
            )
        for key, value in want.config.items():
            is_ = have.config.get(key, "")
            if is_ != value:
                differences.append(
                    Difference(want.name, key, is_, value, _is_wider(key, is_, value))
                )
    named = {w.name for w in all_}
    # Sandboxes come and go with those who replay into them.
    extra = [n for n in found if n not in named and n.split(".")[1] != "sandbox"]
    return [
        *differences,
        *(Difference(n, "topic", "there", "absent", False) for n in sorted(extra)),
    ]


def _is_wider(key: str, found: str, value: str) -> bool:
    """Longer retention keeps more; another policy, or less retention, deletes."""
    if key == "retention.ms":
        return found != "-1" and found.isdecimal() and int(found) < int(value)
    return key == "min.insync.replicas" or key == "message.timestamp.type"


def _found(client: Any, env: str) -> dict[str, Found]:
    """Our environment's topics as they are."""
    try:
        listed = client.list_topics(timeout=ANSWER_S).topics
    except ck.KafkaException as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error
    found = {
        name: Found(
            len(t.partitions), min((len(p.replicas) for p in t.partitions.values()), default=0)
        )
        for name, t in listed.items()
        if name.startswith(f"{env}.")
    }
    kind = admin_api.ConfigResource.Type.TOPIC
    asked = [admin_api.ConfigResource(kind, name) for name in found]
    if asked:
        for resource, entries in _wait(client.describe_configs(asked)).items():
            found[resource.name].config = {k: str(e.value) for k, e in entries.items()}
    return found


def _client(settings: KafkaSettings) -> Any:
    return admin_api.AdminClient(settings.client("topics"))


def _wait(futures: Mapping[Any, Future[Any]]) -> dict[Any, Any]:
    try:
        return {key: future.result(ANSWER_S) for key, future in futures.items()}
    except (ck.KafkaException, TimeoutError) as error:
        raise Unavailable(f"Kafka did not do it: {error}") from error


def remove_sandbox(settings: KafkaSettings, name: str) -> list[str]:
    """Deletes the topics of a sandbox, and nothing else; their names. Raises Unavailable."""
    client = _client(settings)
    try:
        listed = client.list_topics(timeout=ANSWER_S).topics
    except ck.KafkaException as error:
        raise Unavailable(f"Kafka does not answer: {error}") from error
    mine = sorted(n for n in listed if n.startswith(f"{settings.env}.sandbox.{name}."))
    if mine:
        _wait(client.delete_topics(mine, operation_timeout=ANSWER_S))
    return mine
