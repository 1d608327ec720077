"""What happens to sessions and users goes to the log, and from there into the audit trail. No
secret ever goes along.

An event is noted in the transaction that makes it true, so neither can be without the other; one
copy of identity, the owner of the topic, brings the notes to the log in order, each exactly once.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import msgspec

from orion.core.identity import (
    LoginFailed,
    RefreshTokenReused,
    UserDisabled,
    UserLoggedIn,
    UserLoggedOut,
)
from orion.core.ids import event_id
from orion.platform import telemetry
from orion.platform.errors import NotOwner
from orion.platform.publish import Publisher
from orion.platform.transact_words import Fact
from orion.services.identity import queries
from orion.services.identity.records import Note
from orion.wire.envelope import encode

SessionEvent = UserLoggedIn | UserLoggedOut | LoginFailed | UserDisabled | RefreshTokenReused
TOPIC = "identity.sessions"
NOBODY = "unknown"
BATCH = 200
POLL_S = 0.5
_KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (UserLoggedIn, UserLoggedOut, LoginFailed, UserDisabled, RefreshTokenReused)
}
_EVENTS = telemetry.counter("identity_events", "Sign-ins, sign-outs and failures", ("type",))


class Journal:
    """Notes events and brings them to the log."""

    def __init__(self, database: Any, publisher: Publisher):
        self._database, self._publisher = database, publisher
        self._woken = asyncio.Event()

    async def note(self, sql: Any, tenant: str, event: SessionEvent) -> None:
        """Notes the event in the caller's transaction."""
        kind, entity = type(event).__name__, event.subject or NOBODY
        await queries.add_note(sql, tenant, entity, kind, msgspec.json.encode(event))
        _EVENTS.labels(kind).inc()
        session = getattr(event, "session_id", None)
        telemetry.log.info(kind, tenant=tenant, entity_id=entity, user=event.user, session=session)

    def wake(self) -> None:
        """Something was noted and committed."""
        self._woken.set()

    async def run(self) -> None:
        """Brings notes to the log for ever, while this copy owns the topic."""
        while True:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes with the wake-up.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()
            self._woken.clear()
            if self._publisher.ready() is not None:
                continue
            try:
                while await self._relay() == BATCH:
                    pass
            except NotOwner:
                continue  # another copy is the one now
            except Exception as error:
                telemetry.log.warning("events wait for the log", error=str(error))

    async def _relay(self) -> int:
        # What was accepted before and was slow is durable after this, or the topic is no longer
        # ours.
        await self._publisher.flush()
        async with self._database.write("identity", []) as sql:
            notes = await queries.notes(sql, BATCH)
        if not notes:
            return 0
        gone = [note for note in notes if self._went_already(note)]
        going = self._numbered([note for note in notes if note not in gone])
        tenants = sorted({note.tenant for note in notes})
        async with self._database.write("identity", tenants) as sql:
            await queries.number_notes(sql, going)
            await queries.drop_notes(sql, gone)
        results = await asyncio.gather(*(self._publish(n) for n in going), return_exceptions=True)
        done = [n for n, result in zip(going, results, strict=True) if result is None]
        async with self._database.write("identity", tenants) as sql:
            await queries.drop_notes(sql, done)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(notes)

    def _went_already(self, note: Note) -> bool:
        if note.sequence is None:
            return False
        return note.sequence < self._publisher.sequence(note.tenant, note.entity_id)

    def _numbered(self, notes: list[Note]) -> list[Note]:
        following: dict[tuple[str, str], int] = {}
        numbered = []
        for note in notes:
            name = (note.tenant, note.entity_id)
            sequence = following.get(name) or self._publisher.sequence(*name)
            following[name] = sequence + 1
            numbered.append(note.with_sequence(sequence))
        return numbered

    async def _publish(self, note: Note) -> None:
        await self._publisher.publish(note.tenant, note.entity_id, fact_of(note))


def fact_of(note: Note) -> Fact:
    """The event as it goes into the log."""
    assert note.sequence is not None
    event = msgspec.json.decode(note.body, type=_KINDS[note.event_type])
    name = event_id(note.tenant, "User", note.entity_id, note.sequence)
    correlation = getattr(event, "session_id", None) or f"user-{note.entity_id}"
    body = encode(
        event,
        tenant=note.tenant,
        entity_id=note.entity_id,
        sequence=note.sequence,
        at=event.at,
        producer="identity",
        correlation_id=correlation,
        causation_id=correlation,
        event_id_=name,
    )
    return Fact(TOPIC, note.entity_id, note.sequence, note.event_type, name, body)
