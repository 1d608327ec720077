"""Who the caller is, in the words of GET /me."""

from __future__ import annotations

from dataclasses import dataclass

from orion.core.permissions import permissions_of
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.services.bff_workstation import shapes
from orion.services.bff_workstation.links import Links
from orion.services.bff_workstation.render import time_of
from orion.wire.stubs import marketdata_pb2


@dataclass(frozen=True, slots=True)
class About:
    """What this installation is."""

    clock: Clock
    environment: str
    profile: str
    build: str
    session_idle_seconds: int
    tenant_names: dict[str, str]


async def me(caller: Caller, links: Links, about: About) -> shapes.Me:
    """The profile. The feed's state is left out (as SIM, unknown) rather than refusing when market
    data does not answer.
    """
    grants = caller.grants
    entitlements = shapes.Entitlements(
        asset_classes=sorted(grants.asset_classes) if grants else [],
        instrument_ids=None
        if grants is None or grants.instrument_ids is None
        else sorted(grants.instrument_ids),
        venue_ids=sorted(grants.venue_ids) if grants else [],
        max_notional=f"{grants.max_notional:f}" if grants else "0",
        max_notional_currency="USD",
        rfq_per_minute=grants.rfq_per_minute if grants else 0,
    )
    session = shapes.SessionInfo(
        expires_at=time_of(caller.session_expires_at * 1_000_000)
        if caller.session_expires_at
        else None,
        idle_timeout_seconds=about.session_idle_seconds,
    )
    return shapes.Me(
        user=caller.user,
        subject=caller.subject,
        display_name=caller.display_name,
        tenant_id=caller.tenant,
        tenant_name=about.tenant_names.get(caller.tenant, caller.tenant.title()),
        desk=caller.desk,
        roles=sorted(caller.roles),
        permissions=sorted(p.value for p in permissions_of(caller.roles)),
        entitlements=entitlements,
        session=session,
        environment=about.environment,
        profile=about.profile,  # type: ignore[arg-type]
        build=about.build,
        feed=await _feed(caller, links),
        server_time=time_of(about.clock.now()),
    )


async def _feed(caller: Caller, links: Links) -> shapes.Feed:
    try:
        s = await links.ask(
            caller, "marketdata_projection", "GetFeedStatus", marketdata_pb2.FeedStatusRequest()
        )
    except Coded:
        # Signing in must work while market data is down, and roles without market data have no feed
        # to see.
        return shapes.Feed(mode="SIM", scenario="unknown", seed=0, speed=None)
    mode = "REPLAY" if s.mode == "REPLAY" else "SIM"
    return shapes.Feed(
        mode=mode, scenario=s.scenario, seed=s.seed, speed=s.speed if s.HasField("speed") else None
    )
