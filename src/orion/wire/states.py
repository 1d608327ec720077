"""States of core ⇄ bytes of a state row.

The schema number grows when a change cannot be read by the code before it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from orion.core.rfq.state import Rfq
from orion.core.trade import Trade
from orion.wire.envelope import InvalidEvent
from orion.wire.payloads import shape_of

SCHEMAS: dict[type, int] = {Rfq: 1, Trade: 1}

_ENCODER = msgspec.json.Encoder()
_DECODERS = {core: msgspec.json.Decoder(shape_of(core).struct) for core in SCHEMAS}


def encode_state(state: Rfq | Trade) -> bytes:
    """The state as JSON bytes, of schema SCHEMAS[type(state)]."""
    return _ENCODER.encode(shape_of(type(state)).to_wire(state))


def decode_state(core: type, body: bytes, schema: int = 1) -> Any:
    """The state of these bytes.

    Raises InvalidEvent for a newer schema or for bytes that are no state.
    """
    if not 1 <= schema <= SCHEMAS[core]:
        raise InvalidEvent(f"{core.__name__} schema {schema} is not known here")
    try:
        return shape_of(core).to_core(_DECODERS[core].decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise InvalidEvent(f"{core.__name__} state: {problem}") from problem
