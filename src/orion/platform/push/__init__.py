"""WebSocket machinery of the streaming edge."""

from orion.platform.push.server import (
    BAD_FRAME,
    FORBIDDEN,
    NOT_SIGNED_IN,
    REPLACED,
    RESTARTING,
    SLOW,
    TOO_BIG,
    Handler,
    Limits,
    Peer,
    PushServer,
    reason_of,
)

__all__ = [
    "BAD_FRAME",
    "FORBIDDEN",
    "NOT_SIGNED_IN",
    "REPLACED",
    "RESTARTING",
    "SLOW",
    "TOO_BIG",
    "Handler",
    "Limits",
    "Peer",
    "PushServer",
    "reason_of",
]
