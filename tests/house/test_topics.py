"""The catalogue of topics, the event types and the schemas say the same."""

from __future__ import annotations

import json
import tomllib

from orion.app.modules import MODULES
from orion.platform.errors import CONTRACTS
from orion.wire.registry import BY_TYPE

TOPICS = tomllib.loads((CONTRACTS / "topics.toml").read_text())["topics"]
SCHEMAS = {
    p.name.removesuffix(".json").removesuffix(".schema")
    for p in (CONTRACTS / "schemas" / "v1").glob("*.json")
}
BINARY = {
    "MarketTickReceived"
}  # ticks travel in their own compact form, see the registry's neighbour


def test_every_event_of_a_topic_has_a_schema():
    missing = {e for row in TOPICS.values() for e in row["events"]} - SCHEMAS
    assert missing == set()


def test_every_event_type_stands_in_its_topic():
    wrong = {t: kind.topic for t, kind in BY_TYPE.items() if t not in TOPICS[kind.topic]["events"]}
    assert wrong == {}
    homeless = {e for row in TOPICS.values() for e in row["events"]} - set(BY_TYPE) - BINARY
    assert homeless == set()


def test_owners_and_consumers_are_services():
    known = {*MODULES, "platform"}
    for topic, row in TOPICS.items():
        assert row["owner"] in known, topic
        assert set(row["consumers"]) <= known, topic
        assert row["owner"] != "audit", "audit only hears"


def test_everything_but_ticks_is_audited():
    assert {t for t, row in TOPICS.items() if "audit" not in row["consumers"]} == {
        "marketdata.ticks"
    }


def test_every_schema_is_a_schema():
    import jsonschema

    for path in (CONTRACTS / "schemas" / "v1").glob("*.json"):
        jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
