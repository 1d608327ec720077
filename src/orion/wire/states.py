"""States of core ⇄ bytes of a state row.

The schema number grows when a change cannot be read by the code before it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orion.core.limits import Check
from orion.core.rfq.state import DealerLine, QuoteLine, Rfq
from orion.core.rfq.words import Terms
from orion.core.trade import Trade
from orion.wire.envelope import InvalidEvent
from orion.wire.payloads import shape_of
from orion.wire.positions import places_of

SCHEMAS: dict[type, int] = {Rfq: 3, Trade: 3}
"""1: the form in which events travel. 2: the state as it stands in core, by name. 3: by place, half
as long; a row is for its own service alone, and an RFQ's is written four times on its way.
"""

# What an RFQ's row carries through many writes unchanged.
_ONCE = (Terms, tuple[Check, ...], DealerLine, QuoteLine)
_ENCODER = msgspec.json.Encoder()
_PLACES = {core: places_of(core, _ONCE) for core in SCHEMAS}
_DECODERS = {core: msgspec.json.Decoder(places.struct) for core, places in _PLACES.items()}
_SECOND = {core: msgspec.json.Decoder(core) for core in SCHEMAS}
_FIRST = {core: msgspec.json.Decoder(shape_of(core).struct) for core in SCHEMAS}


def encode_state(state: Rfq | Trade) -> bytes:
    """The state as JSON bytes, of schema SCHEMAS[type(state)]."""
    return _ENCODER.encode(_PLACES[type(state)].pack(state))


def decode_state(core: type, body: bytes, schema: int | None = None) -> Any:
    """The state of these bytes; without a schema, of the newest.

    Raises InvalidEvent for a newer schema or for bytes that are no state.
    """
    if schema is not None and not 1 <= schema <= SCHEMAS[core]:
        raise InvalidEvent(f"{core.__name__} schema {schema} is not known here")
    try:
        match schema:
            case 1:
                return shape_of(core).to_core(_FIRST[core].decode(body))
            case 2:
                return _SECOND[core].decode(body)
            case _:
                return _PLACES[core].unpack(_DECODERS[core].decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise InvalidEvent(f"{core.__name__} state: {problem}") from problem
