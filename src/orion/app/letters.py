"""What the log says of dead letters: the words of core and the bytes of wire for what the platform
only knows as changes.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

from orion.core.deadletter import DeadLetterParked, DeadLetterReplayed
from orion.core.ids import derived, event_id, slot_of
from orion.platform.bus.topics import catalogue
from orion.platform.store.port import LETTER_TOPIC, LetterChange
from orion.platform.transact_words import Fact
from orion.wire.envelope import InvalidEvent, decode_envelope, encode

PRODUCER = "platform"
ENTITY, COPY = "DeadLetter", "DeadLetterCopy"
REASON = 500  # the whole of it stays with the letter


def letter_fact(change: LetterChange) -> Fact:
    """The event of a change. It belongs to the story of the record: its tenant, its correlation."""
    return _fact(change, _event(change), LETTER_TOPIC, ENTITY)


def letter_copy(change: LetterChange) -> Fact | None:
    """A new letter with everything needed to see why, and the record's bytes: what lies on the
    topic of its service's dead letters.
    """
    letter = change.letter
    topic = f"dlq.{letter.service}"
    event = _event(change)
    if topic not in catalogue() or not isinstance(event, DeadLetterParked):
        return None
    original, encoding = _text(letter.record.body)
    whole = replace(
        event, reason=_clean(letter.error[:4_000]), stack=_clean(letter.trace[-8_000:]),
        original=original, encoding=encoding,
    )  # fmt: skip
    return _fact(change, whole, topic, COPY)


def _text(body: bytes) -> tuple[str, str]:
    try:
        return body.decode(), "utf-8"
    except UnicodeError:
        return b64encode(body).decode(), "base64"


def _fact(
    change: LetterChange, event: DeadLetterParked | DeadLetterReplayed, topic: str, kind: str
) -> Fact:
    letter, record = change.letter, change.letter.record
    entity = derived(
        slot_of(record.tenant, ENTITY), "letter", record.tenant, letter.consumer, record.topic,
        str(record.part), str(record.offset),
    )  # fmt: skip
    try:
        correlation = decode_envelope(record.body).correlation_id
    except InvalidEvent:
        correlation = entity
    name = event_id(record.tenant, kind, entity, change.sequence)
    body = encode(
        event, tenant=record.tenant, entity_id=entity, sequence=change.sequence, at=change.at,
        producer=PRODUCER, correlation_id=correlation or entity, causation_id=record.event_id,
        event_id_=name,
    )  # fmt: skip
    return Fact(topic, entity, change.sequence, type(event).__name__, name, body)


def _event(change: LetterChange) -> DeadLetterParked | DeadLetterReplayed:
    letter, record = change.letter, change.letter.record
    where: dict[str, Any] = {
        "at": change.at,
        "consumer": letter.consumer,
        "topic": record.topic,
        "partition": record.part,
        "offset": record.offset,
        "event_id": record.event_id,
    }
    if change.outcome:
        by = change.by or letter.asked_by
        return DeadLetterReplayed(**where, by=by, outcome=change.outcome)
    return DeadLetterParked(
        **where,
        event_type=record.type,
        parked_entity=record.entity,
        reason=_short(letter.error),
        attempts=letter.attempts,
        consumer_version=letter.version,
    )


def _short(text: str) -> str:
    return _clean(text[:REASON])


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
