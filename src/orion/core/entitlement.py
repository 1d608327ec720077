"""What a user may deal beside the roles:
asset classes, instruments, venues, largest notional, RFQs per minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from orion.core.instrument import AssetClass, Instrument


@dataclass(frozen=True, slots=True)
class Grants:
    """The entitlements of one user. Deny by default: what is not in a set is not allowed."""

    asset_classes: frozenset[str] = frozenset()
    instrument_ids: frozenset[str] | None = None    # None: all of the asset classes
    venue_ids: frozenset[str] = frozenset()
    max_notional: Decimal = Decimal(0)              # USD
    rfq_per_minute: int = 0


NOTHING = Grants()


def may_see(grants: Grants, instrument_id: str, asset_class: AssetClass | str) -> bool:
    """True when the instrument may be seen and dealt:
    its class, and itself when the grants name instruments.
    """
    if AssetClass(asset_class).value not in grants.asset_classes:
        return False
    return grants.instrument_ids is None or instrument_id in grants.instrument_ids


def visible(grants: Grants, instruments: tuple[Instrument, ...]) -> tuple[Instrument, ...]:
    """The instruments these grants let someone see, in the order given."""
    return tuple(i for i in instruments if may_see(grants, i.instrument_id, i.asset_class))
