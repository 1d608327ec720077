"""How the hall builds the workstation's door."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import httpx

from orion.platform.config import BUILD, CHECKOUT
from orion.platform.module import Module, Ports
from orion.services.bff_workstation import metrics, site
from orion.services.bff_workstation.config import Config
from orion.services.bff_workstation.links import STUBS, Links
from orion.services.bff_workstation.profile import About
from orion.services.bff_workstation.readiness import Readiness
from orion.services.bff_workstation.sessions_build import build_sessions

PROBED = ("identity", *STUBS, "lp_gateway")


def build(ports: Ports, config: Config) -> Module:
    """The REST routes, the sign-in and the static web as one ASGI app, with the edge's session
    service beside it.
    """
    settings = ports.settings
    # Reading the world's certificates takes a good part of a start. An issuer on plain HTTP, such
    # as our own over loopback, needs none; trusting nobody, https is refused then.
    trusted = settings.issuer.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    http = httpx.AsyncClient(timeout=httpx.Timeout(5.0), verify=trusted)
    sign_in = build_sessions(ports, http)
    needs = site.Needs(
        links=Links(ports.directory, config),
        about=About(
            clock=ports.clock,
            environment=settings.platform.env,
            profile=settings.platform.profile,
            build=BUILD,
            session_idle_seconds=settings.platform.session_idle_seconds,
            tenant_names=dict(n.split("=", 1) for n in config.tenant_names if "=" in n),
        ),
        readiness=Readiness(
            ports.directory, PROBED, config.ready_timeout_ms / 1000, cache=ports.cache
        ),
        sources=metrics.Sources(settings.run_dir),
        authenticate=sign_in.sessions.authenticate,
        config=config,
    )
    web_dir = Path(config.web_dir) if config.web_dir else CHECKOUT / "web" / "dist"
    app = site.build(
        needs, public_url=settings.public_url, web_dir=web_dir, more_routes=sign_in.routes
    )

    async def close_client() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await http.aclose()

    return Module(
        "bff_workstation", rpc=[sign_in.rpc], tasks=[*sign_in.tasks, close_client], http=app
    )
