"""Events as they lie on the bus: every type there and back, the envelope's form, what cannot be
read.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from orion.core import ids, rfq, trade
from orion.core.ticks import Tick
from orion.wire import registry
from orion.wire.envelope import (
    Envelope,
    InvalidEvent,
    decode,
    decode_envelope,
    encode,
    iso_ms,
    payload_json,
)
from tests.core.rfq_world import RFQ_ID, T0, accept, create, play, quote
from tests.core.test_rfq_rows import LOOK, answer
from tests.wire.samples import sample

ROOT = Path(__file__).resolve().parents[2]


def seal(event, **more):
    about = {
        "tenant": "alpha", "entity_id": "e-1", "sequence": 3, "at": T0 + 789_999,
        "producer": "rfq", "correlation_id": "corr", "causation_id": "cmd", **more,
    }
    # A copy: the bytes that were just made are known without being read.
    return bytes(bytearray(encode(event, **about)))


@pytest.mark.parametrize("kind", registry.BY_CLASS.values(), ids=lambda k: k.event_type)
def test_what_was_just_written_is_known_as_if_it_had_been_read(kind):
    event = sample(kind.core, full=True)
    body = encode(
        event, tenant="alpha", entity_id="e-1", sequence=3, at=T0, producer="rfq",
        correlation_id="corr", causation_id="cmd",
    )
    made, read = decode(body), decode(bytes(bytearray(body)))
    assert made[1] == read[1] == event
    fields = Envelope.__struct_fields__
    assert [getattr(made[0], f) for f in fields] == [getattr(read[0], f) for f in fields]
    assert decode_envelope(body).entity == read[0].entity


@pytest.mark.parametrize("full", [True, False], ids=["full", "bare"])
@pytest.mark.parametrize("kind", registry.BY_CLASS.values(), ids=lambda k: k.event_type)
def test_every_event_goes_there_and_back(kind, full):
    event = sample(kind.core, full=full)
    envelope, back = decode(seal(event))
    assert back == event
    assert type(back) is kind.core
    assert envelope.event_type == kind.event_type


def test_the_envelope_has_exactly_these_fields():
    body = json.loads(seal(sample(trade.TradeExecuted, full=True)))
    assert list(body) == [
        "eventId", "eventType", "eventVersion", "occurredAt", "producer", "tenantId",
        "correlationId", "causationId", "entity", "payload",
    ]
    assert body["entity"] == {"entityType": "Trade", "entityId": "e-1", "sequence": 3}
    assert (body["eventType"], body["eventVersion"]) == ("TradeExecuted", 1)
    assert body["occurredAt"] == "2026-02-09T10:30:00.789Z"
    assert body["eventId"] == ids.event_id("alpha", "Trade", "e-1", 3)


def test_payloads_are_camel_case_with_plain_decimals_and_whole_instants():
    payload = payload_json(seal(sample(Tick, full=True)))
    assert payload["instrumentId"] == "text ❖"
    assert payload["bid"] == "0.00000001"
    assert payload["receivedAt"] == "2026-02-09T10:30:00.000123Z"


def test_time_is_cut_to_milliseconds_not_rounded():
    assert iso_ms(T0 + 999_999) == "2026-02-09T10:30:00.999Z"
    assert iso_ms(0) == "1970-01-01T00:00:00.000Z"
    assert decode_envelope(seal(sample(Tick, full=True))).occurred_at_us == T0 + 789_000


def play_created():
    return rfq.decide(None, create()).events[0]


def test_unknown_fields_are_ignored_at_every_depth():
    body = json.loads(seal(play_created()))
    body["new"] = body["entity"]["new"] = body["payload"]["new"] = {"x": [1]}
    body["payload"]["terms"]["new"] = 1
    _, back = decode(json.dumps(body).encode())
    assert back == play_created()


def broken(**changes):
    body = json.loads(seal(play_created()))
    for path, value in changes.items():
        node = body
        *way, last = path.split("__")
        for step in way:
            node = node[step]
        if value is KeyError:
            del node[last]
        else:
            node[last] = value
    return json.dumps(body).encode()


BAD = [
    ("not JSON", b"{", "not an event envelope"),
    ("not UTF-8", b'{"eventId":"\xff"}', "not an event envelope"),
    ("no object", b"[]", "not an event envelope"),
    ("no entity", broken(entity=KeyError), "not an event envelope"),
    ("unknown type", broken(eventType="RFQImagined"), "unknown event type"),
    ("next version", broken(eventVersion=2), "version 2 is not known"),
    ("version zero", broken(eventVersion=0), "version 0 is not known"),
    ("missing field", broken(payload__terms__side=KeyError), "payload"),
    ("wrong value", broken(payload__terms__side="HOLD"), "payload"),
    ("wrong type", broken(payload__terms__size=[5]), "payload"),
    ("no number", broken(payload__terms__size="five"), "payload"),
    ("NaN", broken(payload__terms__size="NaN"), "payload"),
    ("no zone", broken(payload__at="2026-02-09T10:30:00"), "payload"),
    ("deep", b'{"payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not an event envelope"),
]


@pytest.mark.parametrize(("body", "says"), [r[1:] for r in BAD], ids=[r[0] for r in BAD])
def test_what_cannot_be_read_is_named(body, says):
    with pytest.raises(InvalidEvent, match=says):
        decode(body)


def test_diagnostics_go_along():
    with pytest.raises(InvalidEvent) as caught:
        decode(broken(eventVersion=9))
    found = caught.value.diagnostics
    assert found["known_version"] == 1
    assert found["producer"] == "rfq"
    assert "event_id" in found


def test_an_old_version_is_raised_step_by_step(monkeypatch):
    kind = registry.BY_TYPE["UserLoggedOut"]
    third = replace(kind, version=3)
    monkeypatch.setitem(registry.BY_TYPE, "UserLoggedOut", third)
    monkeypatch.setitem(registry.UPCASTS, ("UserLoggedOut", 1), lambda p: {**p, "user": "a@alpha"})
    monkeypatch.setitem(
        registry.UPCASTS, ("UserLoggedOut", 2),
        lambda p: {("reason" if k == "why" else k): v for k, v in p.items()},
    )
    body = json.loads(seal(sample(kind.core, full=True)))
    body["payload"] = {
        "at": "2026-02-09T10:30:00Z", "subject": "s", "sessionId": "x", "why": "IDLE",
    }
    _, event = decode(json.dumps(body).encode())
    assert (event.user, event.reason) == ("a@alpha", "IDLE")
    monkeypatch.delitem(registry.UPCASTS, ("UserLoggedOut", 2))
    with pytest.raises(InvalidEvent, match="no way"):
        decode(json.dumps(body).encode())


def test_the_registry_is_the_catalogue_of_the_topics():
    topics = tomllib.loads((ROOT / "contracts/topics.toml").read_text())["topics"]
    catalogue = {event: topic for topic, row in topics.items() for event in row["events"]}
    assert {k.event_type: k.topic for k in registry.BY_TYPE.values()} == catalogue
    for kind in registry.BY_TYPE.values():
        expected = topics[kind.topic]["entity"]
        assert kind.entity_type == expected or expected == "Reference"


def test_a_whole_history_replays_from_its_bytes():
    state, stored = None, []
    for command in (*LOOK, answer(False), accept("BIRCH", 5, key="again")):
        decision = rfq.decide(state, command)
        state, recorded = rfq.fold(state, decision.events)
        stored += [
            seal(r.event, entity_id=r.entity_id, sequence=r.sequence, entity_type=r.entity_type)
            for r in recorded
        ]
    assert state is not None
    assert state.acceptance is not None
    replayed, _ = rfq.fold(None, [decode(body)[1] for body in stored])
    assert replayed == state


def test_event_ids_are_unique_within_a_history():
    state = play(create(), quote("ASH", "1.14640"))
    _, recorded = rfq.fold(state, rfq.decide(state, quote("ASH", "1.14639", ref="2")).events)
    sealed = [seal(r.event, entity_id=r.entity_id, sequence=r.sequence) for r in recorded]
    seen = {decode_envelope(body).event_id for body in sealed}
    assert len(seen) == len(recorded) == 2
    assert RFQ_ID not in seen
