"""Puts the sign-in side of the door together: routes, `authenticate`, the servicer and the
sweeper."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from orion.platform import telemetry
from orion.platform.cache.aside import Aside
from orion.platform.config import Settings
from orion.platform.http.origins import allowed_origins, cookie_name
from orion.platform.module import Ports
from orion.platform.secret_files import SecretFiles
from orion.services.bff_workstation.sessions import Sessions
from orion.services.bff_workstation.sessions_ended import EndedSessions
from orion.services.bff_workstation.sessions_oidc import Client, IdentityProvider
from orion.services.bff_workstation.sessions_routes import SignIn, SignInCookies, routes
from orion.services.bff_workstation.sessions_rpc import SessionService
from orion.services.bff_workstation.sessions_store import CACHE_S, SessionStore, Vault
from orion.services.bff_workstation.sessions_trail import IdentityTrail
from orion.wire.stubs import identity_pb2_grpc

CLIENT_SECRET = "oidc-client-orion-bff"  # noqa: S105 (a file's name)
SESSION_KEY = "session.key"
SWEEP_S = 600
KEEP_US = 7 * 86_400 * 1_000_000


@dataclass(frozen=True)
class SessionParts:
    """What the BFF's module takes: `sessions.authenticate` for its guard, `routes` for its app,
    `rpc` and `tasks` as they are."""

    sessions: Sessions
    routes: list[Any]
    rpc: tuple[Callable[..., None], Any]
    tasks: list[Callable[[], Awaitable[None]]]


def build_sessions(ports: Ports, http: httpx.AsyncClient) -> SessionParts:
    """`http` speaks to the identity provider: over the network, or in tests right into its app."""
    settings: Settings = ports.settings
    secrets = SecretFiles(settings.secrets_dir, may_create=settings.is_embedded)
    key = secrets.read(SESSION_KEY)
    cookie = cookie_name(settings.public_url)
    provider = IdentityProvider(http, ports.clock, _client(settings, secrets))
    notes = Aside(ports.cache, "bff.sessions", CACHE_S) if ports.cache.is_shared else None
    store = SessionStore(ports.database, Vault(key), notes)
    # One process alone knows of each end by itself.
    has_others = ports.cache.is_shared or settings.platform.copies > 1
    ended = EndedSessions(store.ended, ports.clock) if has_others else None
    sessions = Sessions(
        store,
        provider,
        ports.verifier,
        ports.clock,
        cookie=cookie,
        origins=allowed_origins(settings.public_url),
        idle_s=settings.platform.session_idle_seconds,
        longest_s=settings.platform.session_max_seconds,
        trail=IdentityTrail(ports.directory, provider.client.client_id)
        if provider.is_external
        else None,
        ended=ended,
    )
    sign_in = SignIn(sessions, provider, ports.verifier, SignInCookies(key, ports.clock, cookie))
    servicer = SessionService(sessions)
    return SessionParts(
        sessions=sessions,
        routes=routes(sign_in),
        rpc=(identity_pb2_grpc.add_SessionServiceServicer_to_server, servicer),
        tasks=[lambda: _sweep(store, ports), *([ended.run] if ended is not None else [])],
    )


def _client(settings: Settings, secrets: SecretFiles) -> Client:
    platform = settings.platform
    if not settings.has_external_issuer:
        return Client(
            issuer=settings.issuer,
            back=_back_address(settings),
            secret=secrets.read(CLIENT_SECRET).decode(),
            public_url=settings.public_url,
        )
    named = Path(platform.oidc_client_secret_file or settings.secrets_dir / CLIENT_SECRET)
    # The issuer knows this secret: it cannot be made here.
    secret = SecretFiles(named.parent, may_create=False).read(named.name)
    return Client(
        issuer=settings.issuer,
        back=settings.issuer,
        secret=secret.decode(),
        public_url=settings.public_url,
        client_id=platform.oidc_client_id,
        scope=platform.oidc_scope,
        is_external=True,
        logout_parameter=platform.oidc_logout_parameter,
    )


def _back_address(settings: Settings) -> str:
    # The embedded provider is on this machine: no way round over the public address.
    own = settings.jwks_url.removesuffix("/jwks")
    return settings.issuer if own == settings.jwks_url else own


async def _sweep(store: SessionStore, ports: Ports) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        try:
            await store.sweep(ports.clock.now() - KEEP_US)
        except Exception as error:
            telemetry.log.warning("old sessions cannot be swept", error=str(error))
