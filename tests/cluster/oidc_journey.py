"""A browser without scripts, signing in to the platform at a provider that is not ours; and what
such a sign-in must hold, the same for every provider."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
from joserfc.jwk import ECKey, RSAKey
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from orion.core.permissions import Role
from orion.platform.auth import HttpKeys, Verifier
from orion.platform.clock import ManualClock, SystemClock
from orion.platform.config import Settings
from orion.platform.discovery import read_keys
from orion.platform.errors import Coded
from orion.platform.issuer import issuer_of
from orion.services.bff_workstation.sessions_oidc import Question
from tests.forged import SERVICE_KEY, Forger
from tests.stack import Stack, claims, until

PASSWORD = "orion-demo"
BFF_SECRET = "Zr8tqXw2LmVc5NbYh3JkPd7SgFa9UeQi"
PROGRAM_SECRET = "Hy6RfVt4GbTn8MjKu1WsXe3QaDc7ZpLo"
Json = dict[str, Any]


@dataclass
class Provider:
    """A provider under test: where it is, how its page's fields are called, what we set for it."""

    issuer: str
    environment: dict[str, str]
    user_field: str
    program: str
    metadata: Json = field(default_factory=dict)
    bff_secret: str = BFF_SECRET

    async def discover(self) -> Json:
        """What it says of itself."""
        if not self.metadata:
            async with httpx.AsyncClient() as http:
                answer = await http.get(f"{self.issuer}/.well-known/openid-configuration")
                self.metadata = answer.json()
        return self.metadata

    async def program_token(self) -> str:
        """A program's access token by its own credentials."""
        form = {"grant_type": "client_credentials"}
        return (await self.ask_token(self.program, PROGRAM_SECRET, **form))["access_token"]

    async def ask_token(self, client: str, secret: str, **form: str) -> Json:
        """The token endpoint's answer."""
        address = (await self.discover())["token_endpoint"]
        async with httpx.AsyncClient() as http:
            answer = await http.post(address, data=form, auth=(client, secret))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def tokens_of(self, stack: Stack, login: str) -> Json:
        """A user's tokens as the workstation would get them."""
        question, redirect = Question.new(), f"{stack.url}/auth/callback"
        query = {
            "response_type": "code",
            "client_id": "orion-bff",
            "redirect_uri": redirect,
            "scope": "openid profile",
            "state": question.state,
            "nonce": question.nonce,
            "code_challenge": question.challenge,
            "code_challenge_method": "S256",
        }
        address = (await self.discover())["authorization_endpoint"]
        browser = Visitor(self, stack)
        page = await browser.go(str(httpx.URL(address, params=query)))
        where = await browser.submit(page, login, stop_at=redirect)
        code = httpx.URL(where).params["code"]
        return await self.ask_token(
            "orion-bff",
            self.bff_secret,
            grant_type="authorization_code",
            code=code,
            redirect_uri=redirect,
            code_verifier=question.verifier,
        )

    def settings(self) -> Settings:
        """The platform's settings for this provider."""
        return Settings(environment=self.environment)

    def verifier(self, clock: Any) -> Verifier:
        """A verifier on this provider's own keys."""
        issuer = issuer_of(self.settings(), (role.value for role in Role))

        async def fetch() -> Any:
            return read_keys(issuer.url)

        return Verifier(HttpKeys(fetch, clock), issuer=issuer, clock=clock, service_key=SERVICE_KEY)


class Visitor:
    """A browser: cookies by host (they know no ports), redirections, forms; no scripts."""

    def __init__(self, provider: Provider, stack: Stack):
        self.provider, self.stack = provider, stack
        self.cookies: dict[str, dict[str, str]] = {}

    async def send(self, method: str, url: str, **more: Any) -> httpx.Response:
        """One request."""
        kept = self.cookies.setdefault(urlsplit(url).hostname or "", {})
        headers = {"accept": "text/html", **more.pop("headers", {})}
        if kept:
            headers["cookie"] = "; ".join(f"{k}={v}" for k, v in kept.items())
        async with httpx.AsyncClient(timeout=30.0) as http:
            answer = await http.request(method, url, headers=headers, **more)
        for line in answer.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    kept.pop(name, None)
                else:
                    kept[name] = morsel.coded_value
        return answer

    async def go(self, url: str, stop_at: str = "", **more: Any) -> httpx.Response:
        """To a page, through redirections; no further than to `stop_at`."""
        answer = await self.send("GET", url, **more)
        for _ in range(12):
            if not answer.is_redirect:
                return answer
            url = urljoin(str(answer.url), answer.headers["location"])
            if stop_at and url.startswith(stop_at):
                return answer
            answer = await self.send("GET", url)
        raise AssertionError("redirected without end")

    async def submit(
        self, page: httpx.Response, login: str, password: str = PASSWORD, stop_at: str = ""
    ) -> str | httpx.Response:
        """Sends the provider's form; where it leads, as an address when it is `stop_at`."""
        fields = {self.provider.user_field: login, "password": password}
        answer = await self.send("POST", form_of(page)[0], data={**form_of(page)[1], **fields})
        for _ in range(12):
            if not answer.is_redirect:
                return answer
            url = urljoin(str(answer.url), answer.headers["location"])
            if stop_at and url.startswith(stop_at):
                return url
            answer = await self.send("GET", url)
        raise AssertionError("redirected without end")

    async def sign_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        """The whole way from our door to our door."""
        page = await self.go(f"{self.stack.url}/auth/login")
        assert page.status_code == 200 and "password" in page.text.lower(), page.text
        answer = await self.submit(page, login, password)
        assert isinstance(answer, httpx.Response)
        return answer

    async def api(self, path: str) -> httpx.Response:
        """A request of a page of ours."""
        return await self.send("GET", f"{self.stack.url}/api/v1{path}")

    async def sign_out(self) -> httpx.Response:
        """The workstation's sign-out, on to the provider and through its question if it asks."""
        headers = {"origin": self.stack.url}
        answer = await self.send("POST", f"{self.stack.url}/auth/logout", headers=headers)
        assert answer.status_code == 200, answer.text
        page = await self.go(urljoin(self.stack.url, answer.json()["logoutUrl"]))
        if "<form" in page.text:
            address, hidden = form_of(page)
            answer = await self.send("POST", address, data={**hidden, "logout": "yes"})
            while answer.is_redirect:
                there = urljoin(str(answer.url), answer.headers["location"])
                answer = await self.send("GET", there)
            return answer
        return page


def form_of(page: httpx.Response) -> tuple[str, dict[str, str]]:
    """(address, hidden fields) of the page's form."""
    found = re.search(r'<form[^>]*?\baction="([^"]*)"', page.text)
    assert found, page.text
    hidden: dict[str, str] = {}
    for field_ in re.findall(r"<input[^>]*>", page.text):
        name, value = (re.search(rf'\b{k}="([^"]*)"', field_) for k in ("name", "value"))
        if 'type="hidden"' in field_ and name:
            hidden[name[1]] = html.unescape(value[1]) if value else ""
    return urljoin(str(page.url), html.unescape(found[1])), hidden


# -- what must hold


async def a_browser_signs_in(stack: Stack, provider: Provider) -> None:
    """Page, code with PKCE, callback, cookie; who one is comes from the provider's claims."""
    visitor = Visitor(provider, stack)
    assert (await visitor.api("/me")).status_code == 401
    done = await visitor.sign_in("trader@alpha")
    assert done.status_code == 200 and "Signed in" in done.text, done.text
    me = (await visitor.api("/me")).json()
    assert (me["user"], me["tenantId"], me["desk"]) == ("trader@alpha", "alpha", "macro")
    assert (me["displayName"], me["roles"]) == ("Ada Alder", ["ROLE_TRADER"])
    assert me["entitlements"]["maxNotional"] == "100000000"
    assert set(me["entitlements"]["assetClasses"]) == {"FX", "RATES", "CREDIT", "EQUITY"}
    assert me["session"]["expiresAt"], "the workstation knows when its session ends"
    assert (await visitor.api("/instruments")).json()["items"]
    other = Visitor(provider, stack)
    await other.sign_in("risk@beta")
    me = (await other.api("/me")).json()
    assert (me["tenantId"], me["roles"]) == ("beta", ["ROLE_RISK"])


async def a_wrong_password_makes_no_session(stack: Stack, provider: Provider) -> None:
    """The provider says so on its own page."""
    visitor = Visitor(provider, stack)
    answer = await visitor.sign_in("trader@alpha", "not the password")
    assert urlsplit(str(answer.url)).port == urlsplit(provider.issuer).port
    assert (await visitor.api("/me")).status_code == 401


async def a_browser_signs_out_here_and_there(stack: Stack, provider: Provider) -> None:
    """Its tokens are dead, and the provider asks for the password again."""
    visitor = Visitor(provider, stack)
    await visitor.sign_in("sales@alpha")
    assert (await visitor.api("/me")).status_code == 200
    last = await visitor.sign_out()
    assert "You are signed out" in last.text, f"{last.url} {last.text}"
    assert (await visitor.api("/me")).status_code == 401
    page = await visitor.go(f"{stack.url}/auth/login")
    assert "password" in page.text.lower(), "no silent sign-in follows a sign-out"


async def the_trail_has_it(stack: Stack, provider: Provider) -> None:
    """Sign-ins and sign-outs are in the audit trail of their tenant."""
    visitor = Visitor(provider, stack)
    await visitor.sign_in("analyst@beta")
    subject = (await visitor.api("/me")).json()["subject"]
    await visitor.sign_out()

    async def told() -> bool:
        rows = await stack.sql(
            "select type from audit.audit_log where tenant = 'beta' and entity = $1",
            subject,
        )
        return {"UserLoggedIn", "UserLoggedOut"} <= {r["type"] for r in rows}

    await until(told, 30, "both are in the trail")


async def a_session_outlives_its_access_token(stack: Stack, provider: Provider) -> None:
    """Renewed with the rotating refresh token, silently."""
    visitor = Visitor(provider, stack)
    await visitor.sign_in("trader2@alpha")
    subject = (await visitor.api("/me")).json()["subject"]

    async def renewed() -> bool:
        assert (await visitor.api("/me")).status_code == 200
        rows = await stack.sql(
            "select max(tokens_version) as v from bff_workstation.sessions where subject = $1",
            subject,
        )
        return rows[0]["v"] >= 3

    await until(renewed, 60, "renewed twice", 0.5)


async def a_program_comes_with_its_token(stack: Stack, provider: Provider) -> None:
    """By REST and by the stream, without a cookie."""
    token = await provider.program_token()
    bearer = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=bearer) as http:
        me = (await http.get(f"{stack.url}/api/v1/me")).json()
        assert (me["tenantId"], me["roles"]) == ("alpha", ["ROLE_TRADER"]), me
        assert (await http.get(f"{stack.url}/api/v1/trades")).status_code == 200
    address = stack.url.replace("http:", "ws:") + "/api/v1/stream"
    async with connect(address, additional_headers=bearer, proxy=None) as socket:
        await socket.send('{"op":"ping"}')
        assert await socket.recv()


async def one_who_is_kept_out_stays_out(stack: Stack, provider: Provider) -> None:
    """`orion user disable`: the session, the socket, tokens given later; until enabled again."""
    visitor = Visitor(provider, stack)
    await visitor.sign_in("trader2@beta")
    held = await provider.tokens_of(stack, "trader2@beta")

    async def status(token: str) -> int:
        bearer = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(headers=bearer) as http:
            return (await http.get(f"{stack.url}/api/v1/me")).status_code

    assert await status(held["access_token"]) == 200
    address = stack.url.replace("http:", "ws:") + "/api/v1/stream"
    bearer = {"authorization": f"Bearer {held['access_token']}"}
    async with connect(address, additional_headers=bearer, proxy=None) as socket:
        code, _, error = await stack.orion("user", "disable", "trader2@beta")
        assert code == 0, error
        with_end: list[Any] = []
        try:
            while True:
                with_end.append(await socket.recv())
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 4401, closed

    async def out() -> bool:
        return (await visitor.api("/me")).status_code == 401

    await until(out, 10, "the session is over")
    later = await provider.tokens_of(stack, "trader2@beta")
    assert await status(later["access_token"]) == 401, "the provider goes on giving tokens"
    assert (await Visitor(provider, stack).sign_in("trader2@beta")).status_code == 400
    code, _, error = await stack.orion("user", "enable", "trader2@beta")
    assert code == 0, error

    async def again() -> bool:
        fresh = await provider.tokens_of(stack, "trader2@beta")
        return await status(fresh["access_token"]) == 200

    await until(again, 20, "enabled again", 0.5)
    assert await status(later["access_token"]) == 401, "what was given meanwhile stays dead"


async def the_embedded_provider_is_off(stack: Stack, provider: Provider) -> None:
    """No page, no token endpoint, no keys, no demo password, no tokens by the command line."""
    async with httpx.AsyncClient() as http:
        for method, path in (
            ("GET", "/oidc/.well-known/openid-configuration"),
            ("GET", "/oidc/jwks"),
            ("GET", "/oidc/authorize"),
            ("POST", "/oidc/login"),
            ("POST", "/oidc/token"),
            ("POST", "/oidc/revoke"),
            ("GET", "/oidc/assets/login.css"),
        ):
            answer = await http.request(method, stack.url + path)
            assert answer.status_code == 404, f"{method} {path}: {answer.status_code}"
    code, _, error = await stack.orion("token", "trader@alpha")
    assert code != 0 and "identity provider" in error, error
    assert PASSWORD not in stack.screen()
    assert not list(stack.settings.secrets_dir.glob("oidc-*")), "no keys, no secrets of its own"
    assert not await stack.sql("select 1 from identity.users")


async def forged_tokens_are_refused(
    stack: Stack, provider: Provider, strangers: dict[str, str]
) -> None:
    """The table of forged tokens under the provider's own issuer, kid and key; and `strangers`:
    real tokens that are not for us. At the verifier and at the door."""
    real = await provider.tokens_of(stack, "trader@alpha")
    good, now = real["access_token"], int(claims(real["access_token"])["iat"])
    clock = ManualClock()
    clock.advance(SystemClock().now() - clock.now())
    verifier = provider.verifier(clock)
    assert (await verifier.verify(good)).user == "trader@alpha"
    document = read_keys(provider.issuer)
    signing = next(k for k in document["keys"] if k.get("use", "sig") == "sig")
    thief = ECKey.generate_key("P-256", {"kid": signing["kid"]})
    kind: Any = ECKey if signing["kty"] == "EC" else RSAKey
    public = kind.import_key(signing).as_pem(private=False)
    rows = {
        **Forger(thief, now, issuer=provider.issuer).rows(),
        "their claims, another key": Forger(thief, now, provider.issuer).user(),
        "HS256 with their public key": _mac(signing["kid"], good, public),
        "an ID token": real["id_token"],
        "a refresh token": real["refresh_token"],
        **strangers,
    }
    for name, token in rows.items():
        try:
            caller = await verifier.verify(token)
        except Coded as refusal:
            assert refusal.code in ("AUTH-102", "AUTH-109"), name
        else:
            raise AssertionError(f"{name} is taken as {caller}")
    async with httpx.AsyncClient() as http:
        for name in ("an ID token", "HS256 with their public key", *strangers):
            bearer = {"authorization": f"Bearer {rows[name]}"}
            answer = await http.get(f"{stack.url}/api/v1/me", headers=bearer)
            assert answer.status_code in (401, 403), name
    clock.advance(310_000_000)
    assert await _refusal(verifier, good) == "AUTH-102", "expired"


async def _refusal(verifier: Verifier, token: str) -> str:
    try:
        await verifier.verify(token)
    except Coded as refusal:
        return refusal.code
    return ""


def _mac(kid: str, token: str, secret: bytes) -> str:
    header = json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": kid}).encode()
    head = base64.urlsafe_b64encode(header).decode().rstrip("=")
    text = f"{head}.{token.split('.')[1]}"
    mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


JOURNEYS: Sequence[Any] = (
    a_browser_signs_in,
    a_wrong_password_makes_no_session,
    a_browser_signs_out_here_and_there,
    the_trail_has_it,
    a_session_outlives_its_access_token,
    a_program_comes_with_its_token,
    one_who_is_kept_out_stays_out,
    the_embedded_provider_is_off,
)


def environment_for(issuer: str, folder: Path, **more: str) -> dict[str, str]:
    """The platform's settings for an issuer, with the workstation's secret in a file."""
    secret = folder / "bff-client-secret"
    secret.touch(mode=0o600)
    secret.write_text(BFF_SECRET)
    return {
        "ORION_OIDC_ISSUER": issuer,
        "ORION_OIDC_CLIENT_SECRET_FILE": str(secret),
        **more,
    }
