"""Changes of reference data, as events.

Each carries the whole new version, so a reader needs no history.
"""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.instrument import Dealer, Instrument, Venue
from orion.core.values import Instant


@dataclass(frozen=True, slots=True)
class InstrumentUpdated:
    """An instrument was added or changed."""

    at: Instant
    instrument: Instrument
    # names of the fields that differ from the version before; empty: it is new
    changed: tuple[str, ...] = ()
    by: str = "seed"


@dataclass(frozen=True, slots=True)
class VenueUpdated:
    """A venue was added or changed."""

    at: Instant
    venue: Venue
    changed: tuple[str, ...] = ()
    by: str = "seed"


@dataclass(frozen=True, slots=True)
class LPConfigUpdated:
    """A dealer was added or its rules changed."""

    at: Instant
    dealer: Dealer
    changed: tuple[str, ...] = ()
    by: str = "seed"
