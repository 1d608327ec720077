"""Identity and the BFF's sessions put together as in the product: real HTTP apps, real PostgreSQL,
real gRPC on a socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from joserfc.jwk import ECKey
from litestar import Request, get, post

from orion.app.front import front
from orion.app.revocations import follower
from orion.core.permissions import Role
from orion.platform.auth import HttpKeys, KeySource, ServiceTokens, Verifier
from orion.platform.bus.postgres import PostgresBus
from orion.platform.cache.memory import MemoryCache
from orion.platform.cache.port import Cache
from orion.platform.clock import ManualClock
from orion.platform.config import Settings
from orion.platform.errors import Coded
from orion.platform.issuer import issuer_of
from orion.platform.module import Module, Ports
from orion.platform.rpc import Directory, RpcServer, rpc_errors
from orion.platform.secret_files import SecretFiles
from orion.platform.store.database import PostgresDatabase
from orion.platform.store.postgres import PostgresStore
from orion.services.bff_workstation.gate import SIGNED_IN
from orion.services.bff_workstation.profile import About
from orion.services.bff_workstation.sessions_build import SessionParts, build_sessions
from orion.services.bff_workstation.sessions_oidc import Question
from orion.services.bff_workstation.site import Needs, build
from orion.services.identity.config import Config
from orion.services.identity.module import build as build_identity
from orion.wire.envelope import decode
from orion.wire.stubs import identity_pb2, identity_pb2_grpc
from tests.postgres import TestDatabase

PUBLIC = "http://localhost:8080"
COOKIE = "__Host-orion-8080"
PASSWORD = "orion-demo"
MINUTE = 60_000_000


@get("/auth/probe", opt={"permission": SIGNED_IN})
async def probe(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """A route behind the guard: says who is asking."""
    caller = request.user
    return {"user": caller.user, "session": caller.session_id, "token": caller.token}


@post("/auth/probe", status_code=200, opt={"permission": SIGNED_IN})
async def write_probe(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """A write behind the guard."""
    return {"user": request.user.user}


@dataclass
class Stack:
    """One running platform, as far as identity goes."""

    clock: ManualClock
    settings: Settings
    ports: Ports
    identity: Module
    copies: list[SessionParts]
    apps: list[Any]
    directory: Directory
    verifier: Verifier

    @property
    def parts(self) -> SessionParts:
        return self.copies[0]

    @property
    def app(self) -> Any:
        return self.apps[0]

    def browser(self, address: str = "127.0.0.1") -> Browser:
        return Browser(self, address)

    def http(self, address: str = "127.0.0.1", copy: int = 0) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.apps[copy], client=(address, 50_000))
        return httpx.AsyncClient(transport=transport, base_url=PUBLIC)

    @property
    def rpc(self) -> identity_pb2_grpc.IdentityServiceStub:
        return identity_pb2_grpc.IdentityServiceStub(self.directory.channel("identity"))

    @property
    def client_secret(self) -> str:
        return (
            SecretFiles(self.settings.secrets_dir, may_create=False)
            .read("oidc-client-orion-bff")
            .decode()
        )

    def identity_key(self) -> ECKey:
        """The key that signs the provider's tokens."""
        file = next(self.settings.secrets_dir.glob("oidc-signing-*.jwk"))
        return ECKey.import_key(json.loads(file.read_text()))

    def service_key(self) -> bytes:
        return SecretFiles(self.settings.secrets_dir, may_create=False).read("service.key")

    async def events(self, kind: type) -> list[Any]:
        """Events of this kind as they lie in the log, once everything noted has arrived there."""
        async with asyncio.timeout(20):
            while True:
                async with self.ports.database.write("identity", []) as sql:
                    if not await sql.fetchval("select count(*) from identity.outbox"):
                        break
                await asyncio.sleep(0.01)
        found = [
            decode(r.body)[1] for r in await self.ports.bus.read("identity.sessions", 0, 0, 5000)
        ]
        return [event for event in found if isinstance(event, kind)]


@dataclass(frozen=True)
class Roles:
    """How each role logs into the test's database."""

    db: TestDatabase

    def dsn(self, role: str) -> str:
        return {"orion_writer": self.db.writer, "orion_reader": self.db.reader}[role]


class Browser:
    """A browser as far as signing in needs one: cookies with their attributes, redirections,
    forms, the refresh of a page.
    """

    def __init__(self, stack: Stack, address: str):
        self._stack, self._address = stack, address
        self.copy = 0  # of the workstation's door that it is led to
        self.cookies: dict[str, Morsel[str]] = {}
        self.trail: list[httpx.Response] = []

    async def send(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        jar = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        sent = {**({"cookie": jar} if jar else {}), **(headers or {})}
        async with self._stack.http(self._address, self.copy) as client:
            answer = await client.request(method, url, headers=sent, **more)
        for line in answer.headers.get_list("set-cookie"):
            self._take(line)
        self.trail.append(answer)
        return answer

    def _take(self, line: str) -> None:
        parsed: SimpleCookie = SimpleCookie(line)
        for name, morsel in parsed.items():
            if name.startswith("__Host-"):
                assert morsel["secure"] and morsel["path"] == "/" and not morsel["domain"], line
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = morsel

    async def go(self, url: str, **more: Any) -> httpx.Response:
        """Goes to a page, through redirections and refreshes of our own site, as a browser does."""
        answer = await self.send("GET", url, **more)
        for _ in range(10):
            if answer.status_code in (302, 303, 307, 308):
                answer = await self.send("GET", urljoin(url, answer.headers["location"]))
            else:
                return answer
        raise AssertionError("redirected without end")

    async def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Sends the page's form with these values filled in."""
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text)
        data = {**{k: html.unescape(v) for k, v in hidden}, **fields}
        return await self.send("POST", "/oidc/login", data=data, headers={"origin": PUBLIC})

    async def open_login(self, return_to: str | None = None) -> httpx.Response:
        params = {"returnTo": return_to} if return_to is not None else {}
        page = await self.go("/auth/login", params=params)
        assert page.status_code == 200 and "Password" in page.text, page.text
        return page

    async def sign_in(
        self, user: str = "trader@alpha", password: str = PASSWORD, return_to: str | None = None
    ) -> httpx.Response:
        """The whole way; gives the page after the callback."""
        answer = await self.submit(await self.open_login(return_to), user=user, password=password)
        assert answer.status_code == 303, answer.text
        return await self.go(answer.headers["location"])

    @property
    def session(self) -> str | None:
        return self.cookies[COOKIE].value if COOKIE in self.cookies else None


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}


async def until(condition: Callable[[], Any], bound_s: float = 10) -> None:
    """Waits for a condition."""
    async with asyncio.timeout(bound_s):
        while not condition():
            await asyncio.sleep(0.01)


QUICK = Config(argon2_memory_kib=64, argon2_passes=1, revocation_poll_ms=50)


@contextlib.asynccontextmanager
async def running(
    db: TestDatabase,
    folder: Path,
    config: Config = QUICK,
    keys: KeySource | None = None,
    elsewhere: Any = None,
    caches: Sequence[Cache] = (),
    **environment: str,
) -> AsyncIterator[Stack]:
    """Starts it all. `keys`: of another issuer, which the environment then names, and whose ASGI
    app is `elsewhere`. `caches`: a copy of the workstation's door for each.
    """
    clock = ManualClock()
    settings = Settings(environment={"ORION_DATA_DIR": str(folder), **environment})
    key = SecretFiles(settings.secrets_dir, may_create=True).read("service.key")
    socket = f"unix:{folder}/r.sock"
    directory = Directory(
        dict.fromkeys(("identity", "bff_workstation"), socket), ServiceTokens(key, "test", clock)
    )
    database = PostgresDatabase(db.reader, db.writer)
    there: dict[str, Any] = {}

    async def to_app(scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope["headers"]).get(b"host", b"").decode()
        is_ours = elsewhere is None or host == urlsplit(PUBLIC).netloc
        await (there["app"] if is_ours else elsewhere)(scope, receive, send)

    back = httpx.AsyncClient(transport=httpx.ASGITransport(to_app))

    async def jwks() -> Any:
        return (await back.get(settings.jwks_url)).json()

    issuer = issuer_of(settings, (role.value for role in Role))
    verifier = Verifier(keys or HttpKeys(jwks, clock), issuer=issuer, clock=clock, service_key=key)
    nothing: Any = None
    opened = contextlib.AsyncExitStack()
    store = await opened.enter_async_context(PostgresStore.open(Roles(db)))
    bus = await opened.enter_async_context(PostgresBus.open(Roles(db)))
    caches = caches or (MemoryCache(),)
    ports = Ports(clock, bus, store, database, caches[0], directory, verifier, settings, nothing)
    identity = build_identity(ports, config)
    copies = [build_sessions(replace(ports, cache=cache), back) for cache in caches]
    apps = [_front(identity, parts, settings, clock, folder) for parts in copies]
    there["app"] = apps[0]
    server = RpcServer(socket, verifier.verify)
    for register, servicer in [*identity.rpc, copies[0].rpc]:
        register(servicer, server.server)
    await server.start()
    long = [*identity.tasks, *(task for parts in copies for task in parts.tasks)]
    tasks = [asyncio.create_task(t()) for t in long]  # type: ignore[arg-type]
    told = follower(directory, verifier.revocations, clock, caches[0])
    tasks.append(asyncio.create_task(told()))  # type: ignore[arg-type]
    stack = Stack(clock, settings, ports, identity, copies, apps, directory, verifier)
    try:
        await until(lambda: identity.ready() is None)
        yield stack
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await directory.close()
        await server.stop(0)
        await back.aclose()
        await database.close()
        await opened.aclose()


def _front(
    identity: Module, parts: SessionParts, settings: Settings, clock: ManualClock, folder: Path
) -> Any:
    nothing: Any = None
    about = About(clock, "test", "embedded", "0", settings.platform.session_idle_seconds, {})
    needs = Needs(nothing, about, nothing, nothing, parts.sessions.authenticate)
    door = build(
        needs,
        public_url=settings.public_url,
        web_dir=folder / "web",
        more_routes=[*parts.routes, probe, write_probe],
    )
    return front([identity, Module("bff_workstation", http=door)])


CALLBACK = f"{PUBLIC}/auth/callback"


def authorization(question: Question, **changes: Any) -> dict[str, str]:
    """The parameters of a good authorization request, with changes; None removes one."""
    given: dict[str, Any] = {
        "response_type": "code",
        "client_id": "orion-bff",
        "redirect_uri": CALLBACK,
        "scope": "openid profile",
        "state": question.state,
        "nonce": question.nonce,
        "code_challenge": question.challenge,
        "code_challenge_method": "S256",
        **changes,
    }
    return {k: v for k, v in given.items() if v is not None}


async def code_for(stack: Stack, question: Question, user: str = "trader@alpha") -> str:
    """A code from the provider, as its own client would get it."""
    browser = stack.browser()
    page = await browser.go("/oidc/authorize", params=authorization(question))
    answer = await browser.submit(page, user=user, password=PASSWORD)
    found = query_of(answer.headers["location"])
    assert found["state"] == question.state and found["iss"] == f"{PUBLIC}/oidc"
    return found["code"]


async def token(stack: Stack, secret: str | None = None, **form: str) -> Any:
    """The token endpoint's answer."""
    auth = ("orion-bff", stack.client_secret if secret is None else secret)
    async with stack.http() as client:
        return await client.post("/oidc/token", data=form, auth=auth)


async def exchange(stack: Stack, given: str, question: Question, **changes: str) -> Any:
    form = {
        "grant_type": "authorization_code",
        "code": given,
        "redirect_uri": CALLBACK,
        "code_verifier": question.verifier,
        **changes,
    }
    return await token(stack, **form)


async def refresh(stack: Stack, value: str) -> Any:
    return await token(stack, grant_type="refresh_token", refresh_token=value)


async def refused(stack: Stack, token: str) -> None:
    """Waits until the token is dead at the verifier; it is revoked, not expired."""

    async def dead() -> bool:
        try:
            await stack.verifier.verify(token)
        except Coded as refusal:
            assert refusal.code == "AUTH-105", refusal
            return True
        return False

    async with asyncio.timeout(10):
        while not await dead():
            await asyncio.sleep(0.01)


async def disable(stack: Stack, user: str, disabled: bool, metadata: Any = None) -> Any:
    async with rpc_errors():
        return await stack.rpc.DisableUser(
            identity_pb2.DisableUserRequest(user=user, disabled=disabled),
            timeout=5,
            metadata=metadata or stack.directory.as_service(),
        )
