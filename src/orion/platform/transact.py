"""The owner: decide on live state, then state + events + idempotency key (+ checkpoint) in one
grouped, fenced transaction.

The door to it; transact_words.py holds the agreement that services write against, transact_owner.py
the owner itself.
"""

from __future__ import annotations

from orion.platform.transact_owner import Limits, Owner
from orion.platform.transact_words import (
    Aggregate,
    Commit,
    Context,
    Decided,
    Fact,
    Follow,
    Key,
    Snapshot,
)

__all__ = [
    "Aggregate",
    "Commit",
    "Context",
    "Decided",
    "Fact",
    "Follow",
    "Key",
    "Limits",
    "Owner",
    "Snapshot",
]
