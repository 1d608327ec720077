"""Dead letters, as events: what could not be processed was parked, later replayed."""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.values import Instant


@dataclass(frozen=True, slots=True)
class DeadLetterParked:
    """A consumer could not process a record;
    the record and what follows it of the same entity wait.
    """

    at: Instant
    consumer: str
    topic: str
    partition: int
    offset: int
    event_type: str
    event_id: str
    parked_entity: str
    reason: str
    attempts: int
    consumer_version: str
    stack: str = ""         # on a service's own topic of dead letters only, like
    original: str = ""      # the record's bytes:
    encoding: str = ""      # utf-8, or base64 where they are no text


@dataclass(frozen=True, slots=True)
class DeadLetterReplayed:
    """A parked record went through its consumer again."""

    at: Instant
    consumer: str
    topic: str
    partition: int
    offset: int
    event_id: str
    by: str
    outcome: str            # APPLIED, DUPLICATE, FAILED
