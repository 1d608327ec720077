"""Builds identity."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

from orion.platform import telemetry
from orion.platform.config import BUILD, ConfigError, Settings
from orion.platform.http.guard import Guard, is_loopback
from orion.platform.http.origins import allowed_origins, cookie_name
from orion.platform.module import Module, Ports
from orion.platform.publish import Publisher
from orion.platform.revocation_board import BoardWriter
from orion.platform.secret_files import SecretFiles
from orion.services.identity import demo, pages, queries
from orion.services.identity.config import DEMO_PASSWORD, Config
from orion.services.identity.external import ExternalSignIns
from orion.services.identity.feed import Feed
from orion.services.identity.journal import TOPIC, Journal
from orion.services.identity.keys import SigningKeys
from orion.services.identity.operations import Operations, Parts
from orion.services.identity.passwords import Passwords
from orion.services.identity.provider import Client
from orion.services.identity.rpc import ExternalIdentityService, IdentityService
from orion.services.identity.throttle import Throttle
from orion.services.identity.ticket import Tickets
from orion.services.identity.tokens import Tokens
from orion.services.identity.web import Site, closed_app, create_app
from orion.wire.stubs import identity_pb2_grpc

BFF_CLIENT = "orion-bff"
BFF_SECRET = "oidc-client-orion-bff"  # noqa: S105 (a file's name)
FORM_KEY = "oidc-forms"
SECOND = 1_000_000
SWEEP_S = 600
KEEP_DAYS = 7


def build(ports: Ports, config: Config) -> Module:
    """Identity as a module; its `http` answers under /oidc."""
    settings: Settings = ports.settings
    if settings.has_external_issuer:
        return _beside_another(ports, config)
    secrets = SecretFiles(settings.secrets_dir, may_create=settings.is_embedded)
    _refuse_defaults(settings, config)
    tokens = Tokens(_keys(settings), settings.issuer, ports.clock)
    feed = _feed(ports, config)
    publisher = Publisher(ports.store, ports.clock, TOPIC, log=ports.log, address=ports.address)
    journal = Journal(ports.database, publisher)
    passwords = Passwords(config)
    clients = {BFF_CLIENT: _bff(settings, secrets)}
    operations = Operations(
        Parts(
            database=ports.database,
            clock=ports.clock,
            config=config,
            session_max_s=settings.platform.session_max_seconds,
            tokens=tokens,
            passwords=passwords,
            throttle=Throttle(ports.database, ports.clock, config),
            journal=journal,
            feed=feed,
            clients=clients,
        )
    )
    site = Site(
        operations=operations,
        tokens=tokens,
        tickets=Tickets(secrets.read(FORM_KEY), ports.clock, config.login_page_s),
        verifier=ports.verifier,
        clients=clients,
        around=_surroundings(settings, config),
        public_url=settings.public_url,
        origins=allowed_origins(settings.public_url),
        cookie=cookie_name(settings.public_url, "signin-"),
        pause_minutes=max(1, config.pause_s // 60),
    )
    starting = _Start(ports, partial(_demo_users, ports, config, passwords))
    return Module(
        name="identity",
        rpc=[
            (
                identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                IdentityService(operations, feed, may_mint=settings.is_embedded),
            )
        ],
        tasks=[feed.run, publisher.run, journal.run, starting.run],
        ready=lambda: None if starting.done else "demo users are being set up",
        http=Guard(create_app(site), settings.public_url),
        leave=[publisher.leave],
    )


def _beside_another(ports: Ports, config: Config) -> Module:
    """With an external issuer: no page, no passwords, no tokens, no keys; the trail and who is kept
    out."""
    settings: Settings = ports.settings
    _refuse_plain_http(settings)
    feed = _feed(ports, config)
    publisher = Publisher(ports.store, ports.clock, TOPIC, log=ports.log, address=ports.address)
    journal = Journal(ports.database, publisher)
    sign_ins = ExternalSignIns(ports.database, ports.clock, journal, feed)
    return Module(
        name="identity",
        rpc=[
            (
                identity_pb2_grpc.add_IdentityServiceServicer_to_server,
                ExternalIdentityService(sign_ins, feed),
            )
        ],
        tasks=[feed.run, publisher.run, journal.run, _Start(ports, None).run],
        http=Guard(closed_app(), settings.public_url),
        leave=[publisher.leave],
    )


def _feed(ports: Ports, config: Config) -> Feed:
    board = BoardWriter(ports.cache) if ports.cache.is_shared else None
    return Feed(ports.database, ports.clock, config.revocation_poll_ms, board)


async def _demo_users(ports: Ports, config: Config, passwords: Passwords) -> None:
    await demo.apply(ports.database, passwords, config.demo_password, ports.clock)


class _Start:
    """Sets up what is needed first, then sweeps old rows for ever."""

    def __init__(self, ports: Ports, first: Callable[[], Awaitable[None]] | None):
        self._ports, self._first = ports, first
        self.done = first is None or not ports.settings.is_embedded

    async def run(self) -> None:
        database, clock = self._ports.database, self._ports.clock
        if not self.done and self._first is not None:
            await self._first()
            self.done = True
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                async with database.write("identity", []) as sql:
                    await queries.sweep(sql, clock.now() - KEEP_DAYS * 86_400 * SECOND)
            except Exception as error:
                telemetry.log.warning("old sign-ins cannot be swept", error=str(error))


def _refuse_defaults(settings: Settings, config: Config) -> None:
    if settings.is_embedded:
        return
    if config.demo_password != DEMO_PASSWORD:
        raise ConfigError(
            "ORION_IDENTITY_DEMO_PASSWORD",
            "there are no demo users in the cluster profile",
            "Remove it",
        )
    _refuse_plain_http(settings)


def _refuse_plain_http(settings: Settings) -> None:
    url = urlsplit(settings.public_url)
    if settings.is_embedded:
        return
    if url.scheme != "https" and not is_loopback(url.hostname or ""):
        raise ConfigError(
            "ORION_PUBLIC_URL", "sign-in needs https", "Set it to the https address of the platform"
        )


def _keys(settings: Settings) -> SigningKeys:
    return SigningKeys(settings.secrets_dir, may_create=settings.is_embedded)


def _bff(settings: Settings, secrets: SecretFiles) -> Client:
    return Client(
        client_id=BFF_CLIENT,
        secret=secrets.read(BFF_SECRET).decode(),
        redirect_uris=(f"{settings.public_url}/auth/callback",),
        post_logout_redirect_uris=(f"{settings.public_url}/",),
    )


def _surroundings(settings: Settings, config: Config) -> pages.Surroundings:
    hours = settings.platform.session_max_seconds / 3600
    embedded = settings.is_embedded
    return pages.Surroundings(
        build=BUILD,
        environment=settings.platform.env,
        session_hours=f"{hours:g} hours",
        is_simulated=embedded,
        demo_users=demo.logins() if embedded else (),
        demo_password=config.demo_password if embedded else "",
    )
