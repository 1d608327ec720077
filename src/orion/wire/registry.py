"""The one registry: event class ↔ (event type, version), its topic and entity.

The catalogue of contracts/topics.toml, in types.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from orion.core import deadletter, identity, reference, replay, ticks, trade
from orion.core.rfq import events as rfq
from orion.wire.payloads import Shape, shape_of


@dataclass(frozen=True, slots=True)
class Kind:
    """One event type as it lies on the bus."""

    event_type: str
    version: int
    topic: str              # key of topics.toml
    entity_type: str
    shape: Shape
    decoder: msgspec.json.Decoder[Any]

    @property
    def core(self) -> type:
        """The core event."""
        return self.shape.core


_CATALOGUE: tuple[tuple[str, str, tuple[type, ...]], ...] = (
    ("rfq.lifecycle", "RFQ", rfq.LIFECYCLE),
    ("rfq.quotes", "Quote", rfq.QUOTES),
    ("execution.trades", "Trade", (trade.TradeExecuted,)),
    ("marketdata.status", "Instrument", (ticks.MarketDataStaleDetected, ticks.MarketDataRecovered)),
    ("admin.changes", "Instrument", (reference.InstrumentUpdated,)),
    ("admin.changes", "Venue", (reference.VenueUpdated,)),
    ("admin.changes", "Dealer", (reference.LPConfigUpdated,)),
    ("identity.sessions", "User", (
        identity.UserLoggedIn, identity.UserLoggedOut, identity.LoginFailed,
        identity.UserDisabled, identity.RefreshTokenReused,
    )),
    ("dlq.changes", "DeadLetter", (deadletter.DeadLetterParked, deadletter.DeadLetterReplayed)),
    ("operations.replays", "Replay", (replay.ReplayStarted, replay.ReplayEnded)),
)


def _kind(name: str, topic: str, entity_type: str, core: type) -> Kind:
    shape = shape_of(core)
    return Kind(name, 1, topic, entity_type, shape, msgspec.json.Decoder(shape.struct))


BY_CLASS: dict[type, Kind] = {
    core: _kind(core.__name__, topic, entity_type, core)
    for topic, entity_type, classes in _CATALOGUE
    for core in classes
}
# The event of the raw stream is the tick itself.
BY_CLASS[ticks.Tick] = _kind("MarketTickReceived", "marketdata.ticks", "Instrument", ticks.Tick)

BY_TYPE: dict[str, Kind] = {kind.event_type: kind for kind in BY_CLASS.values()}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[tuple[str, int], Upcast] = {}
"""(event type, version) → what makes its payload one of the next version.

Filled when a version 2 appears.
"""


def upcast(event_type: str, version: int, payload: dict[str, Any]) -> dict[str, Any] | None:
    """The payload raised to the current version step by step; None when a step is missing."""
    current = BY_TYPE[event_type].version
    while version < current:
        step = UPCASTS.get((event_type, version))
        if step is None:
            return None
        payload, version = step(payload), version + 1
    return payload
