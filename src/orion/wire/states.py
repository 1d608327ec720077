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

SCHEMAS: dict[type, int] = {Rfq: 2, Trade: 2}
"""Schema 1 was the form in which events travel. A row is for its own service alone, so since 2 it
is the state as it stands in core: written and read without a step in between.
"""

_ENCODER = msgspec.json.Encoder()
_DECODERS = {core: msgspec.json.Decoder(core) for core in SCHEMAS}
_FIRST = {core: msgspec.json.Decoder(shape_of(core).struct) for core in SCHEMAS}


def encode_state(state: Rfq | Trade) -> bytes:
    """The state as JSON bytes, of schema SCHEMAS[type(state)]."""
    return _ENCODER.encode(state)


def decode_state(core: type, body: bytes, schema: int = 2) -> Any:
    """The state of these bytes.

    Raises InvalidEvent for a newer schema or for bytes that are no state.
    """
    if not 1 <= schema <= SCHEMAS[core]:
        raise InvalidEvent(f"{core.__name__} schema {schema} is not known here")
    try:
        if schema == 1:
            return shape_of(core).to_core(_FIRST[core].decode(body))
        return _DECODERS[core].decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as problem:
        raise InvalidEvent(f"{core.__name__} state: {problem}") from problem
