"""The tables of reference data: the newest version of each entity, by its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from orion.core.instrument import Dealer, Instrument, Venue
from orion.core.reference import InstrumentUpdated, LPConfigUpdated, VenueUpdated
from orion.platform.bus.port import Record
from orion.platform.project import RowOperation, Upsert
from orion.wire.envelope import decode
from orion.wire.payloads import shape_of

TOPIC = "admin.changes"
_encode = msgspec.json.Encoder(order="deterministic").encode


def body_of(entity: Instrument | Venue | Dealer) -> str:
    """The whole entity as JSON."""
    return _encode(shape_of(type(entity)).to_wire(entity)).decode()


def entity_in(kind: type, body: str) -> Any:
    """The entity of a row's body."""
    shape = shape_of(kind)
    return shape.to_core(msgspec.json.decode(body, type=shape.struct))


class ReferenceTables:
    """instruments, venues and liquidity_providers."""

    name = "reference_tables"
    service = "reference"
    topics: tuple[str, ...] = (TOPIC,)
    tables: tuple[str, ...] = ("instruments", "venues", "liquidity_providers")

    def rows(self, record: Record) -> Sequence[RowOperation]:
        """One row per event."""
        _, event = decode(record.body)
        tenant = record.tenant
        match event:
            case InstrumentUpdated(instrument=i):
                key = {"tenant": tenant, "instrument_id": i.instrument_id}
                more = {"asset_class": i.asset_class.value, "symbol": i.symbol, "isin": i.isin}
                return (_row("instruments", key, i, record.at, more),)
            case VenueUpdated(venue=v):
                key = {"tenant": tenant, "venue_id": v.venue_id}
                return (_row("venues", key, v, record.at, {"mic": v.mic}),)
            case LPConfigUpdated(dealer=d):
                key = {"tenant": tenant, "lp_id": d.lp_id}
                return (_row("liquidity_providers", key, d, record.at, {"name": d.name}),)
            case _:
                return ()


def _row(
    table: str,
    key: dict[str, Any],
    entity: Instrument | Venue | Dealer,
    at: int,
    more: dict[str, Any],
) -> Upsert:
    values = {
        "version": entity.version,
        "enabled": entity.enabled,
        "updated_at": at,
        "body": body_of(entity),
        **more,
    }
    return Upsert(table, key, values)


PROJECTIONS = (ReferenceTables(),)
