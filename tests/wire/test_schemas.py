"""Published schemas: those of the types, fitted by real events, and breaks of readers are found."""

from __future__ import annotations

import copy
import json

import jsonschema
import pytest

from orion.wire import registry, schemas
from orion.wire.schemas import breaks
from tests.wire.samples import sample
from tests.wire.test_envelope import seal


def test_the_files_are_those_of_the_types():
    assert schemas.stale() == []


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("kind", registry.BY_TYPE.values(), ids=lambda k: k.event_type)
def test_events_fit_their_schema(kind, full):
    body = json.loads(seal(sample(kind.core, full=full)))
    for name, part in (("envelope", body), (kind.event_type, body["payload"])):
        schema = json.loads((schemas.FOLDER / f"{name}.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(part)


def test_a_wrong_event_does_not_fit():
    schema = json.loads((schemas.FOLDER / "RFQCreated.json").read_text())
    assert list(jsonschema.Draft202012Validator(schema).iter_errors({"rfqId": 5}))


def created():
    return schemas.generate()["RFQCreated.json"]


def terms(schema):
    return schema["$defs"]["Terms"]


def remove(schema):
    del terms(schema)["properties"]["desk"]
    terms(schema)["required"].remove("desk")


def rename(schema):
    properties = terms(schema)["properties"]
    properties["size2"] = properties.pop("size")
    terms(schema)["required"] = ["size2" if r == "size" else r for r in terms(schema)["required"]]


def demand(schema):
    terms(schema)["required"].append("minSize")


def add_required(schema):
    terms(schema)["properties"]["book"] = {"type": "string"}
    terms(schema)["required"].append("book")


def relax(schema):
    terms(schema)["required"].remove("desk")


def retype(schema):
    terms(schema)["properties"]["expirySeconds"] = {"type": "string"}


def nullable(schema):
    terms(schema)["properties"]["desk"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def narrow(schema):
    schema["$defs"]["Side"]["enum"].remove("SELL")


def deep(schema):
    del schema["$defs"]["Check"]["properties"]["actual"]


PLANTED = [
    (remove, "desk: removed"), (rename, "size: removed or renamed"),
    (demand, "minSize: made required"), (add_required, "book: added as required"),
    (relax, "desk: no longer required"), (retype, "expirySeconds: type"),
    (nullable, "desk"), (narrow, "value SELL is gone"), (deep, "actual: removed"),
]


@pytest.mark.parametrize(("plant", "says"), PLANTED, ids=lambda p: getattr(p, "__name__", ""))
def test_each_planted_break_is_found(plant, says):
    changed = copy.deepcopy(created())
    plant(changed)
    found = breaks(created(), changed)
    assert len([b for b in found if says in b]) >= 1, found


def test_what_is_allowed_passes():
    changed = copy.deepcopy(created())
    maybe = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
    terms(changed)["properties"]["book"] = maybe
    changed["$defs"]["RFQCreated"]["properties"]["note"] = {"type": "string", "default": ""}
    assert breaks(created(), changed) == []
    assert breaks(created(), created()) == []


def test_a_breaking_type_is_not_written(tmp_path, monkeypatch):
    schemas.write(tmp_path)
    assert schemas.stale(tmp_path) == []
    made = schemas.generate()
    remove(made["RFQCreated.json"])
    monkeypatch.setattr(schemas, "generate", lambda: made)
    before = (tmp_path / "RFQCreated.json").read_text()
    assert any("desk" in b for b in schemas.write(tmp_path))
    assert (tmp_path / "RFQCreated.json").read_text() == before
    del made["TradeExecuted.json"]
    assert any("TradeExecuted" in b for b in schemas.write(tmp_path))
    assert "TradeExecuted.json" in schemas.stale(tmp_path)
