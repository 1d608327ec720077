"""ReferenceService: what the caller may see of instruments, venues and dealers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from orion.core.entitlement import Grants, may_see
from orion.core.permissions import Permission, may
from orion.core.settlement import trade_day
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import current_caller
from orion.services.reference.catalogue import Catalogue
from orion.wire.proto import dealer_to_proto, instrument_to_proto, venue_to_proto
from orion.wire.stubs import reference_pb2, reference_pb2_grpc


class Known(Protocol):
    """What is known now: None while it is still being read."""

    catalogue: Catalogue | None
    replayed: frozenset[str]


class ReferenceRpc(reference_pb2_grpc.ReferenceServiceServicer):
    """Reads only. What a caller may not see does not exist for it."""

    def __init__(self, known: Known, clock: Clock):
        self._known, self._clock = known, clock

    async def ListInstruments(self, request: Any, context: Any) -> Any:
        caller, now = _caller(Permission.REFERENCE_READ), self._clock.now()
        today = trade_day(now)
        answer = reference_pb2.ListInstrumentsResponse(as_of_us=now)
        for i in self._catalogue().instruments.values():
            if _sees(caller, i.instrument_id, i.asset_class.value):
                source = "REPLAY" if i.instrument_id in self._known.replayed else "SIM"
                answer.instruments.append(instrument_to_proto(replace(i, source=source), today))
        return answer

    async def ListVenues(self, request: Any, context: Any) -> Any:
        caller = _caller(Permission.REFERENCE_READ)
        grants = caller.grants
        answer = reference_pb2.ListVenuesResponse(as_of_us=self._clock.now())
        for v in self._catalogue().venues.values():
            if caller.service or (grants is not None and v.venue_id in grants.venue_ids):
                answer.venues.append(venue_to_proto(v))
        return answer

    async def ListDealers(self, request: Any, context: Any) -> Any:
        caller = _caller(Permission.DEALERS_READ)
        known = self._catalogue()
        classes = {i.instrument_id: i.asset_class.value for i in known.instruments.values()}
        answer = reference_pb2.ListDealersResponse(as_of_us=self._clock.now())
        for d in known.dealers.values():
            if caller.service:
                answer.dealers.append(dealer_to_proto(d))
            elif not d.tenant_ids or caller.tenant in d.tenant_ids:
                seen = tuple(i for i in d.instrument_ids if _sees(caller, i, classes.get(i, "")))
                # Which other tenants a dealer serves is nobody's business.
                answer.dealers.append(
                    dealer_to_proto(replace(d, instrument_ids=seen, tenant_ids=()))
                )
        return answer

    def _catalogue(self) -> Catalogue:
        if self._known.catalogue is None:
            raise Unavailable("Reference data is still being read")
        return self._known.catalogue


def _caller(permission: Permission) -> Caller:
    caller = current_caller()
    if caller.service is None and not may(caller.roles, permission):
        raise Coded("AUTH-103")
    return caller


def _sees(caller: Caller, instrument_id: str, asset_class: str) -> bool:
    if caller.service:
        return True
    g = caller.grants
    if g is None or not asset_class:
        return False
    grants = Grants(
        g.asset_classes, g.instrument_ids, g.venue_ids, g.max_notional, g.rfq_per_minute
    )
    return may_see(grants, instrument_id, asset_class)
