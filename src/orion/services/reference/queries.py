"""What reference reads from its tables."""

from __future__ import annotations

from orion.core.instrument import Dealer, Instrument, Venue
from orion.platform.store.port import Database
from orion.services.reference.catalogue import Catalogue
from orion.services.reference.projections import entity_in
from orion.services.reference.seeds import SHARED


async def stored(database: Database) -> Catalogue:
    """What the tables hold."""
    async with database.read(SHARED) as sql:
        instruments = await sql.fetch(
            "select instrument_id as id, body from reference.instruments"
            " where tenant = $1 order by 1",
            SHARED,
        )
        venues = await sql.fetch(
            "select venue_id as id, body from reference.venues where tenant = $1 order by 1", SHARED
        )
        dealers = await sql.fetch(
            "select lp_id as id, body from reference.liquidity_providers"
            " where tenant = $1 order by 1",
            SHARED,
        )
    return Catalogue(
        {r["id"]: entity_in(Instrument, r["body"]) for r in instruments},
        {r["id"]: entity_in(Venue, r["body"]) for r in venues},
        {r["id"]: entity_in(Dealer, r["body"]) for r in dealers},
    )
