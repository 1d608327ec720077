"""What happens to sessions and users goes to the log, and from there into the audit trail. No
secret ever goes along."""

from __future__ import annotations

from typing import Any, Protocol

from orion.core.identity import (
    LoginFailed,
    RefreshTokenReused,
    UserDisabled,
    UserLoggedIn,
    UserLoggedOut,
)
from orion.platform import telemetry

SessionEvent = UserLoggedIn | UserLoggedOut | LoginFailed | UserDisabled | RefreshTokenReused
NOBODY = "unknown"

_EVENTS = telemetry.counter("identity_events", "Sign-ins, sign-outs and failures", ("type",))


class Journal(Protocol):
    """Where identity tells what happened."""

    async def tell(self, tenant: str, event: SessionEvent) -> None:
        """Records the event. Returns when it is durable, or when it was logged that it could not
        be."""
        ...


class LogJournal:
    """Counts and logs; the base of the journal that also publishes."""

    async def tell(self, tenant: str, event: SessionEvent) -> None:
        _EVENTS.labels(type(event).__name__).inc()
        telemetry.log.info(
            type(event).__name__,
            tenant=tenant,
            entity_id=entity_of(event),
            user=event.user,
            session=getattr(event, "session_id", None),
            reason=getattr(event, "reason", None),
        )


def entity_of(event: Any) -> str:
    """The entity the event belongs to: the user, or nobody."""
    return event.subject or NOBODY
