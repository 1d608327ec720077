"""What the log says of dead letters: the words of core and the bytes of wire for what the platform
only knows as changes.
"""

from __future__ import annotations

from typing import Any

from orion.core.deadletter import DeadLetterParked, DeadLetterReplayed
from orion.core.ids import derived, event_id, slot_of
from orion.platform.store.port import LETTER_TOPIC, LetterChange
from orion.platform.transact_words import Fact
from orion.wire.envelope import InvalidEvent, decode_envelope, encode

PRODUCER = "platform"
ENTITY = "DeadLetter"
REASON = 500  # the whole of it stays with the letter


def letter_fact(change: LetterChange) -> Fact:
    """The event of a change. It belongs to the story of the record: its tenant, its correlation."""
    letter, record = change.letter, change.letter.record
    entity = derived(
        slot_of(record.tenant, ENTITY), "letter", record.tenant, letter.consumer, record.topic,
        str(record.part), str(record.offset),
    )  # fmt: skip
    try:
        correlation = decode_envelope(record.body).correlation_id
    except InvalidEvent:
        correlation = entity
    event = _event(change)
    name = event_id(record.tenant, ENTITY, entity, change.sequence)
    body = encode(
        event, tenant=record.tenant, entity_id=entity, sequence=change.sequence, at=change.at,
        producer=PRODUCER, correlation_id=correlation or entity, causation_id=record.event_id,
        event_id_=name,
    )  # fmt: skip
    return Fact(LETTER_TOPIC, entity, change.sequence, type(event).__name__, name, body)


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
    return text[:REASON].encode("utf-8", "replace").decode()
