"""One shape for one thing: what the stream says equals what REST answers, field by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from orion.services.bff_workstation import render
from orion.services.push_edge import frames
from orion.services.push_edge.asyncapi import FILE, document
from orion.wire.stubs import common_pb2, marketdata_pb2, notifications_pb2, rfq_pb2, trade_pb2

AT = 1_770_000_000_123_456


def filled(message: Any, *, optional: bool) -> Any:
    """A message with something in every field; the optional ones only when asked."""
    words = {"status": "QUOTING", "severity": "WARN", "kind": "RFQ_EXPIRED", "side": common_pb2.BUY}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and field.message_type is None and not optional:
            continue
        if field.is_repeated:
            target = getattr(message, field.name)
            if field.message_type is not None:
                filled(target.add(), optional=optional)
                filled(target.add(), optional=not optional)
            else:
                target.append("LATE")
        elif field.message_type is not None:
            if optional:
                filled(getattr(message, field.name), optional=True)
        elif field.name in words:
            setattr(message, field.name, words[field.name])
        elif field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
            setattr(message, field.name, AT)
        elif field.cpp_type == field.CPPTYPE_STRING:
            setattr(message, field.name, "1.25")
        elif field.cpp_type == field.CPPTYPE_BOOL:
            setattr(message, field.name, True)
        else:
            setattr(message, field.name, 3)
    if isinstance(message, rfq_pb2.RoutedDealer):
        message.status = "QUOTED"
    if isinstance(message, rfq_pb2.Quote):
        message.status = "LOST"
    return message


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize(
    ("message", "told", "answered"),
    [
        (rfq_pb2.RFQDetails, frames.rfq, render.rfq),
        (trade_pb2.TradeDetails, frames.trade, render.trade),
        (notifications_pb2.Notification, frames.notification, render.notification),
    ],
)
def test_stream_and_rest_say_the_same(
    message: Any, told: Any, answered: Any, optional: bool
) -> None:
    made = filled(message(), optional=optional)
    assert json.loads(told(made)) == json.loads(msgspec.json.encode(answered(made)))


@pytest.mark.parametrize("optional", [True, False])
def test_ticks_too(optional: bool) -> None:
    made = filled(marketdata_pb2.MarketTick(), optional=optional)
    told = frames.tick(made, AT if optional else 0, False)
    assert json.loads(told) == json.loads(msgspec.json.encode(render.tick(made)))


def test_frames_match_the_published_contract() -> None:
    schemas = document()["components"]["schemas"]

    def check(name: str, frame: bytes) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.validate(json.loads(frame), schema)

    tick = frames.tick(filled(marketdata_pb2.MarketTick(), optional=True), AT, True)
    check("TickFrame", frames.frame("update", "ticks", 3, [tick, tick]))
    change = filled(marketdata_pb2.StatusChange(), optional=True)
    check("StaleChangeFrame", frames.frame("stale", "ticks", 3, [frames.stale(change)]))
    rfq = frames.rfq(filled(rfq_pb2.RFQDetails(), optional=True))
    check("RfqFrame", frames.frame("snapshot", "rfqs", 1, [rfq]))
    trade = frames.trade(filled(trade_pb2.TradeDetails(), optional=True))
    check("TradeFrame", frames.frame("update", "trades", 2, [trade]))
    note = frames.notification(filled(notifications_pb2.Notification(), optional=True))
    check("NotificationFrame", frames.frame("update", "notifications", 2, [note]))
    check("Error", frames.error_frame("WS-501", "x", "subscribe"))
    refused = frames.error_frame("MD-402", "x", "subscribe", "ticks")
    check("Error", refused)
    assert json.loads(refused)["channel"] == "ticks"
    check("Pong", frames.pong_frame(1, AT))
    beat = {"sessions": 1, "ticksInPerSecond": 1.5, "flushHz": 10.0, "degraded": ["ticks"]}
    check("Heartbeat", frames.heartbeat_frame(1, AT, beat))
    with pytest.raises(jsonschema.ValidationError):
        check("TickFrame", frames.frame("update", "ticks", 3, [b'{"instrumentId":"EURUSD"}']))


def test_the_checked_in_contract_is_the_generated_one() -> None:
    assert json.loads(Path(FILE).read_text()) == document()
