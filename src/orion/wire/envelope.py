"""The envelope: core events ⇄ the JSON that lies on the bus. Unknown fields are ignored;
what cannot be read raises InvalidEvent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from orion.core.ids import event_id
from orion.core.ticks import Tick
from orion.wire.payloads import instant, make_room, whole_second
from orion.wire.registry import BY_CLASS, BY_TYPE, Kind, upcast


class Entity(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What the event happened to. `sequence` is gap-free from 1 per entity (ticks: per source run).

    """

    entity_type: str
    entity_id: str
    sequence: int


class Envelope(msgspec.Struct, rename="camel", frozen=True, gc=False):
    """What every event carries around its payload."""

    event_id: str
    event_type: str
    event_version: int
    occurred_at: str            # ISO 8601 UTC with milliseconds
    producer: str
    tenant_id: str
    correlation_id: str
    causation_id: str
    entity: Entity

    @property
    def occurred_at_us(self) -> int:
        """The instant, to the millisecond. Events that need it finer carry `at`."""
        return instant(_TIME.decode(f'"{self.occurred_at}"'.encode()))


class _Sealed(Envelope, frozen=True, gc=False):
    payload: Any


class _Opened(Envelope, frozen=True, gc=False):
    payload: msgspec.Raw


class InvalidEvent(Exception):
    """Bytes that cannot be read as an event. A consumer makes a dead letter of it;
    `diagnostics` go along.
    """

    def __init__(self, reason: str, **diagnostics: object) -> None:
        self.reason = reason
        self.diagnostics = {k: v for k, v in diagnostics.items() if v is not None}
        super().__init__(reason)


class _Lately:
    """Events that this process wrote or read a moment ago, by the identity of their bytes.

    All readers in a process are handed the same bytes object, so each event is read at most once
    in it, and not at all where it was made.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[int, tuple[bytes, Envelope, Any]] = {}

    def find(self, body: bytes) -> tuple[bytes, Envelope, Any] | None:
        """What these bytes say, if it is known."""
        return self._kept.get(id(body))

    def keep(self, body: bytes, envelope: Envelope, event: Any) -> None:
        """Keeps them; the bytes too, so that their identity cannot pass to others."""
        if type(body) is not bytes:
            return
        make_room(self._kept, self._most)
        self._kept[id(body)] = (body, envelope, event)


MAX_LATELY = 4_096
_LATELY = _Lately(MAX_LATELY)
# Ticks are many and read within milliseconds; among the others they would leave room for none.
_TICKS = _Lately(MAX_LATELY // 2)
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Opened)
_ENVELOPE = msgspec.json.Decoder(Envelope)
_LOOSE = msgspec.json.Decoder(dict[str, Any])
_TIME = msgspec.json.Decoder(datetime)


def iso_ms(at: int) -> str:
    """The instant as ISO 8601 UTC with milliseconds, cut, not rounded: "2026-02-09T12:34:56.789Z".

    """
    second, micros = divmod(at, 1_000_000)
    return f"{whole_second(second)}.{micros // 1000:03d}Z"


def encode(
    event: object, *, tenant: str, entity_id: str, sequence: int, at: int, producer: str,
    correlation_id: str, causation_id: str, entity_type: str | None = None,
    event_id_: str | None = None,
) -> bytes:
    """The bytes of an event. `at` in microseconds. Raises KeyError for a class that is no event."""
    kind = BY_CLASS[type(event)]
    entity = Entity(entity_type or kind.entity_type, entity_id, sequence)
    sealed = _Sealed(
        event_id_ or event_id(tenant, entity.entity_type, entity_id, sequence),
        kind.event_type, kind.version, iso_ms(at), producer, tenant,
        correlation_id, causation_id, entity, kind.shape.to_wire(event),
    )
    body = _ENCODER.encode(sealed)
    (_TICKS if type(event) is Tick else _LATELY).keep(body, sealed, event)
    return body


def decode(body: bytes) -> tuple[Envelope, Any]:
    """The envelope and the core event. Raises InvalidEvent with diagnostics:
    not JSON, not an envelope, unknown type or version, bad payload.
    """
    known = _LATELY.find(body) or _TICKS.find(body)
    if known is not None:
        return known[1], known[2]
    opened = _open(body)
    kind = _kind_of(opened)
    event = _payload(kind, opened)
    (_TICKS if type(event) is Tick else _LATELY).keep(body, opened, event)
    return opened, event


def decode_envelope(body: bytes) -> Envelope:
    """The envelope alone: for readers that need no payload. Raises InvalidEvent."""
    known = _LATELY.find(body)
    if known is not None:
        return known[1]
    try:
        return _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidEvent(f"not an event envelope: {problem}", bytes=len(body)) from problem


def payload_json(body: bytes) -> dict[str, Any]:
    """The payload as plain JSON, of any event type, known or not. Raises InvalidEvent."""
    try:
        return _LOOSE.decode(_open(body).payload)
    except msgspec.MsgspecError as problem:
        raise InvalidEvent(f"the payload is not an object: {problem}") from problem


def _open(body: bytes) -> _Opened:
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidEvent(f"not an event envelope: {problem}", bytes=len(body)) from problem


def _kind_of(opened: Envelope) -> Kind:
    kind = BY_TYPE.get(opened.event_type)
    if kind is None:
        raise InvalidEvent(
            f"unknown event type {opened.event_type!r}",
            event_id=opened.event_id, event_version=opened.event_version, producer=opened.producer,
        )
    if not 1 <= opened.event_version <= kind.version:
        raise InvalidEvent(
            f"{opened.event_type} version {opened.event_version} is not known here",
            event_id=opened.event_id, known_version=kind.version, producer=opened.producer,
        )
    return kind


def _payload(kind: Kind, opened: _Opened) -> Any:
    try:
        if opened.event_version == kind.version:
            struct = kind.decoder.decode(opened.payload)
        else:
            raised = upcast(kind.event_type, opened.event_version, _LOOSE.decode(opened.payload))
            if raised is None:
                raise InvalidEvent(
                    f"no way from {kind.event_type} {opened.event_version} to {kind.version}",
                    event_id=opened.event_id,
                )
            struct = msgspec.convert(raised, kind.shape.struct)
        return kind.shape.to_core(struct)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
        raise InvalidEvent(
            f"{kind.event_type} payload: {problem}",
            event_id=opened.event_id, producer=opened.producer,
        ) from problem
