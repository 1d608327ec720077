"""Kafka's topics against contracts/topics.toml, on a real broker."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("confluent_kafka")

from orion.app import topics
from orion.platform.bus.topics import Topic, catalogue
from orion.platform.config import CHECKOUT
from tests.cluster.conftest import environment

if TYPE_CHECKING:
    from orion.app.servers.kafka import KafkaServer

pytestmark = pytest.mark.cluster
SPECS = {
    "a.b": Topic("a.b", 2, retention_hours=10, consumers=("audit",)),
    "c.d": Topic("c.d", 1, retention_hours=20),
}


def test_the_whole_catalogue_is_made_and_found_right(kafka: KafkaServer) -> None:
    settings = environment(kafka)
    missing = topics.diff(settings)
    done, left = topics.apply(settings)
    assert done == missing and left == []
    assert topics.diff(settings) == []
    names = {d.topic for d in done}
    assert f"{settings.env}.rfq.lifecycle.v1" in names
    assert f"{settings.env}.dlq.audit.v1" in names
    assert names == {t.name(settings.env) for t in catalogue().values()}


def test_apply_widens_and_never_shrinks(kafka: KafkaServer) -> None:
    settings = environment(kafka)
    topics.apply(settings, SPECS)
    wider = {
        "a.b": replace(SPECS["a.b"], partitions=4, retention_hours=48),
        "c.d": SPECS["c.d"],
    }
    done, left = topics.apply(settings, wider)
    assert {(d.what, d.found, d.wanted) for d in done} == {
        ("partitions", "2", "4"),
        ("retention.ms", "36000000", "172800000"),
    }
    assert left == []
    done, left = topics.apply(settings, SPECS)  # less of everything
    assert done == [] and {d.what for d in left} == {"partitions", "retention.ms"}
    assert {d.found for d in left} == {"4", "172800000"}
    compacted = {**wider, "c.d": replace(SPECS["c.d"], cleanup="compact")}
    done, left = topics.apply(settings, compacted)
    assert done == [] and [d.what for d in left] == ["cleanup.policy"]


def test_a_topic_that_nobody_wants_is_told_and_stays(kafka: KafkaServer) -> None:
    settings = environment(kafka)
    topics.apply(settings, SPECS)
    done, left = topics.apply(settings, {"a.b": SPECS["a.b"]})
    assert done == []
    assert [str(d).split(":")[0] for d in left] == [f"{settings.env}.c.d.v1"]
    assert topics.diff(settings, SPECS) == []


def test_the_command_line_says_each_difference(kafka: KafkaServer) -> None:
    settings = environment(kafka)
    before = orion(kafka, settings.env, "diff")
    assert before.returncode == 1
    assert f"{settings.env}.rfq.quotes.v1: topic is missing, should be there" in before.stdout
    applied = orion(kafka, settings.env, "apply")
    assert applied.returncode == 0, applied.stderr
    after = orion(kafka, settings.env, "diff")
    assert (after.returncode, after.stdout) == (0, "Kafka's topics are as they should be.\n")


def test_without_brokers_the_command_line_says_what_is_missing(kafka: KafkaServer) -> None:
    said = orion(None, "dev", "diff")
    assert said.returncode == 78
    assert "ORION_KAFKA_BOOTSTRAP" in said.stderr


def orion(kafka: KafkaServer | None, env: str, verb: str) -> subprocess.CompletedProcess[str]:
    """`orion topics VERB`."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("ORION_")}
    mine |= {"PYTHONPATH": "src", "ORION_ENV": env, "ORION_KAFKA_REPLICATION": "1"}
    if kafka is not None:
        mine["ORION_KAFKA_BOOTSTRAP"] = kafka.bootstrap
    return subprocess.run(
        [sys.executable, "-P", "-m", "orion.app.cli", "topics", verb],
        env=mine, cwd=CHECKOUT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
