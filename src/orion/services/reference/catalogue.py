"""What is known of instruments, venues and dealers now, and how the seed files differ from it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from orion.core.instrument import Dealer, Instrument, Venue
from orion.core.reference import InstrumentUpdated, LPConfigUpdated, VenueUpdated
from orion.services.reference.seeds import Seeds

Change = InstrumentUpdated | VenueUpdated | LPConfigUpdated
E = TypeVar("E", Instrument, Venue, Dealer)


@dataclass(slots=True)
class Catalogue:
    """The newest version of everything, in the order of the seed files where they know it."""

    instruments: dict[str, Instrument] = field(default_factory=dict)
    venues: dict[str, Venue] = field(default_factory=dict)
    dealers: dict[str, Dealer] = field(default_factory=dict)

    def apply(self, event: Change) -> bool:
        """Takes an event in. False: it was known already (events may come twice)."""
        match event:
            case InstrumentUpdated(instrument=i):
                return _newer(self.instruments, i.instrument_id, i)
            case VenueUpdated(venue=v):
                return _newer(self.venues, v.venue_id, v)
            case LPConfigUpdated(dealer=d):
                return _newer(self.dealers, d.lp_id, d)

    def changes(self, seeds: Seeds, at: int) -> list[Change]:
        """The events that make this catalogue say what the seed files say. What left the files is
        disabled, never removed.
        """
        found: list[Change] = []
        for i, changed in _differences(
            self.instruments, {s.instrument_id: s for s in seeds.instruments}
        ):
            found.append(InstrumentUpdated(at, i, changed))
        for v, changed in _differences(self.venues, {s.venue_id: s for s in seeds.venues}):
            found.append(VenueUpdated(at, v, changed))
        for d, changed in _differences(self.dealers, {s.lp_id: s for s in seeds.dealers}):
            found.append(LPConfigUpdated(at, d, changed))
        return found

    def ordered(self, seeds: Seeds) -> None:
        """Puts instruments in the order of the files: majors before crosses, short bonds before
        long ones.
        """
        ranks = {s.instrument_id: n for n, s in enumerate(seeds.instruments)}
        last = len(ranks)
        names = sorted(self.instruments, key=lambda i: (ranks.get(i, last), i))
        self.instruments = {name: self.instruments[name] for name in names}


def entity_of(event: Change) -> str:
    """The id of what an event is about."""
    match event:
        case InstrumentUpdated(instrument=i):
            return i.instrument_id
        case VenueUpdated(venue=v):
            return v.venue_id
        case LPConfigUpdated(dealer=d):
            return d.lp_id


def _newer(held: dict[str, E], name: str, entity: E) -> bool:
    before = held.get(name)
    if before is not None and before.version >= entity.version:
        return False
    held[name] = entity
    return True


def _differences(held: dict[str, E], wanted: dict[str, E]) -> list[tuple[E, tuple[str, ...]]]:
    found: list[tuple[E, tuple[str, ...]]] = []
    for name, entity in wanted.items():
        before = held.get(name)
        if before is None:
            found.append((entity, ()))
            continue
        after = replace(entity, version=before.version)
        if changed := _changed(before, after):
            found.append((replace(after, version=before.version + 1), changed))
    for name, before in held.items():
        if name not in wanted and before.enabled:
            gone: dict[str, Any] = {"enabled": False, "version": before.version + 1}
            if isinstance(before, Dealer):
                gone["reason"] = "No longer in the seed files"
            found.append((replace(before, **gone), ("enabled",)))
    return found


def _changed(before: Any, after: Any) -> tuple[str, ...]:
    return tuple(
        f.name for f in fields(before) if getattr(before, f.name) != getattr(after, f.name)
    )
