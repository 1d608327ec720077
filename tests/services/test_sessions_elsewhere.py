"""The workstation as a client of another issuer: what differs from the embedded one, and what an
issuer may do that we must stand. (The real ones are in tests/cluster.)"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import msgspec
import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from orion.platform.auth import StaticKeys
from orion.platform.clock import ManualClock
from tests.forged import Forger
from tests.postgres import Server, TestDatabase
from tests.services.identity_stack import MINUTE, PUBLIC, Browser, Stack, query_of, refused, running

ISSUER = "https://id.example/realms/orion"
SECRET = "Zr8tqXw2LmVc5NbYh3JkPd7SgFa9Ue:i"  # with a colon: it must be encoded in Basic
KEY = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"})
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"


class Issuer:
    """An issuer as an ASGI app: gives what it is told to give, and remembers what it was asked."""

    def __init__(self) -> None:
        self.clock: ManualClock | None = None
        self.nonce = ""
        self.user: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}  # over what it would answer
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.is_down = False
        self.status = 200

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth?client=a",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/certs",
            "revocation_endpoint": f"{ISSUER}/revoke",
            "end_session_endpoint": f"{ISSUER}/logout",
        }

    def forger(self) -> Forger:
        assert self.clock is not None
        return Forger(KEY, self.clock.now() // 1_000_000, issuer=ISSUER)

    def signed(self, **claims: Any) -> str:
        now = self.forger().now
        given = {"iss": ISSUER, "aud": "orion-bff", "iat": now, "exp": now + 300, **claims}
        header = {"alg": "ES256", "kid": "k1"}
        body = msgspec.json.encode({k: v for k, v in given.items() if v is not None})
        return jws.serialize_compact(header, body, KEY, algorithms=["ES256"])

    def tokens(self) -> dict[str, Any]:
        who = {"sub": "ext-1", "sid": "sso-1", "user": "ada@alpha", **self.user}
        return {
            "access_token": self.forger().user(**who),
            "id_token": self.signed(sub=who["sub"], sid=who["sid"], nonce=self.nonce),
            "refresh_token": f"refresh-{len(self.asked)}",
            "expires_in": 300,
            "token_type": "Bearer",
            **self.answers,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.is_down:
            raise httpx.ConnectError("down")
        body = (await receive()).get("body", b"").decode()
        path: str = scope["path"].removeprefix("/realms/orion")
        authorization = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.asked.append((path, dict(parse_qsl(body)), authorization))
        answer: Any = b""
        if path == "/.well-known/openid-configuration":
            answer = msgspec.json.encode(self.metadata())
        elif path == "/token":
            answer = msgspec.json.encode({k: v for k, v in self.tokens().items() if v is not None})
        status = self.status if path == "/token" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    def last(self, path: str) -> tuple[dict[str, str], str]:
        return next((form, auth) for p, form, auth in reversed(self.asked) if p == path)


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0002", "0008", "0014", "0016") as database:
        yield database


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
async def running_stack(
    db: TestDatabase, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("e")
    secret = folder / "client-secret"
    secret.write_text(SECRET)
    environment = {"ORION_OIDC_ISSUER": ISSUER, "ORION_OIDC_CLIENT_SECRET_FILE": str(secret)}
    keys = StaticKeys({"keys": [KEY.as_dict(private=False)]})
    async with running(db, folder, keys=keys, elsewhere=issuer, **environment) as stack:
        issuer.clock = stack.clock
        yield stack


@pytest.fixture
def stack(running_stack: Stack, issuer: Issuer) -> Stack:
    """A second later for each test, with an issuer that behaves."""
    running_stack.clock.advance(2_000_000)
    issuer.is_down, issuer.status, issuer.user, issuer.answers = False, 200, {}, {}
    return running_stack


async def sign_in(stack: Stack, issuer: Issuer, browser: Browser, **more: str) -> Any:
    """To the issuer and back."""
    there = await browser.send("GET", "/auth/login")
    assert there.status_code == 303, there.text
    asked = query_of(there.headers["location"])
    issuer.nonce = asked["nonce"]
    params = {"code": "c1", "state": asked["state"], **more}
    return await browser.send("GET", "/auth/callback", params=params)


async def probe(browser: Browser) -> Any:
    return await browser.send("GET", "/auth/probe")


async def test_the_way_in(stack: Stack, issuer: Issuer) -> None:
    browser = stack.browser()
    more = {"session_state": "x", "iss": ISSUER, "scope": "openid"}
    done = await sign_in(stack, issuer, browser, **more)
    assert done.status_code == 200 and browser.session, done.text
    assert (await probe(browser)).json()["user"] == "ada@alpha"
    form, authorization = issuer.last("/token")
    assert form["redirect_uri"] == f"{PUBLIC}/auth/callback" and form["code_verifier"]
    pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
    assert [unquote(part) for part in pair.split(":")] == ["orion-bff", SECRET]
    there = await stack.browser().send("GET", "/auth/login", params={"reason": "expired"})
    where = there.headers["location"]
    assert where.startswith(f"{ISSUER}/auth?client=a&") and "orion_notice" not in where
    assert query_of(where)["code_challenge_method"] == "S256"


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://evil.example"},
        {"error": "access_denied"},
        {"state": "of another"},
    ],
)
async def test_another_answer_makes_no_session(stack: Stack, issuer: Issuer, wrong) -> None:
    browser = stack.browser()
    assert (await sign_in(stack, issuer, browser, **wrong)).status_code == 400
    assert browser.session is None


async def test_tokens_that_do_not_belong_together_make_no_session(
    stack: Stack, issuer: Issuer
) -> None:
    for name, answers in {
        "another's ID token": {"id_token": issuer.signed(sub="ext-2", nonce="?")},
        "an ID token of another sign-in": {"id_token": issuer.signed(sub="ext-1", nonce="old")},
        "no ID token": {"id_token": None},
        "the access token as ID token": {"id_token": issuer.forger().user(sub="ext-1")},
    }.items():
        issuer.answers = answers
        browser = stack.browser()
        assert (await sign_in(stack, issuer, browser)).status_code in (400, 401), name
        assert browser.session is None, name


async def test_an_account_without_a_role_here_is_told_so(stack: Stack, issuer: Issuer) -> None:
    issuer.user = {"roles": ["ROLE_ROOT"]}
    browser = stack.browser()
    answer = await sign_in(stack, issuer, browser)
    assert answer.status_code == 403 and "no tenant or no role here" in answer.text
    assert browser.session is None


@pytest.mark.parametrize(
    "answers", [{"access_token": None}, {"access_token": 1}, {"x": "y" * 300_000}]
)
async def test_an_answer_that_cannot_be_used_is_an_outage(stack: Stack, issuer, answers) -> None:
    issuer.answers = answers
    browser = stack.browser()
    assert (await sign_in(stack, issuer, browser)).status_code == 503
    assert browser.session is None


async def test_renewal_keeps_the_refresh_token_where_none_is_given(
    stack: Stack, issuer: Issuer
) -> None:
    browser = stack.browser()
    issuer.answers = {"refresh_token": "the only one"}
    await sign_in(stack, issuer, browser)
    issuer.answers = {"refresh_token": None, "id_token": None}
    for _ in range(2):
        stack.clock.advance(5 * MINUTE)
        assert (await probe(browser)).status_code == 200
        assert issuer.last("/token")[0]["refresh_token"] == "the only one"


async def test_a_session_outlives_an_outage_and_ends_when_the_issuer_says(
    stack: Stack, issuer: Issuer
) -> None:
    browser = stack.browser()
    await sign_in(stack, issuer, browser)
    issuer.is_down = True
    stack.clock.advance(4 * MINUTE + 30_000_000)
    assert (await probe(browser)).status_code == 200, "good for half a minute yet"
    stack.clock.advance(MINUTE)
    assert (await probe(browser)).status_code == 503, "not ended: nobody said so"
    issuer.is_down = False
    stack.clock.advance(MINUTE)
    assert (await probe(browser)).status_code == 200
    issuer.status = 400
    stack.clock.advance(5 * MINUTE)
    assert (await probe(browser)).status_code == 401


async def test_signing_out_leads_on_to_the_issuer(stack: Stack, issuer: Issuer) -> None:
    browser = stack.browser()
    await sign_in(stack, issuer, browser)
    held = (await probe(browser)).json()["token"]
    out = await browser.send("POST", "/auth/logout", headers={"origin": PUBLIC})
    assert out.json() == {"logoutUrl": "/auth/logout/provider"}
    assert issuer.last("/revoke")[0]["token"].startswith("refresh-")
    on = await browser.send("GET", "/auth/logout/provider")
    where = query_of(on.headers["location"])
    assert on.headers["location"].startswith(f"{ISSUER}/logout?")
    assert where["post_logout_redirect_uri"] == f"{PUBLIC}/auth/signed-out"
    assert where["id_token_hint"].count(".") == 2 and where["client_id"] == "orion-bff"
    last = await browser.send("GET", "/auth/signed-out", params={"state": "x"})
    assert last.status_code == 200 and "You are signed out" in last.text
    assert (await probe(browser)).status_code == 401
    again = await browser.send("GET", "/auth/logout/provider")
    assert again.headers["location"] == "/auth/signed-out", "a link from elsewhere ends nothing"
    await refused(stack, held)


async def test_signing_in_again_at_the_same_session_keeps_the_new_one(
    stack: Stack, issuer: Issuer
) -> None:
    browser = stack.browser()
    await sign_in(stack, issuer, browser)
    revoked = sum(path == "/revoke" for path, _, _ in issuer.asked)
    stack.clock.advance(2_000_000)
    await sign_in(stack, issuer, browser)
    assert (await probe(browser)).status_code == 200
    assert sum(path == "/revoke" for path, _, _ in issuer.asked) == revoked


async def test_the_issuer_ends_a_session_on_the_back_channel(stack: Stack, issuer: Issuer) -> None:
    issuer.user = {"sub": "ext-9", "sid": "sso-9"}
    browser, other = stack.browser(), stack.browser()
    await sign_in(stack, issuer, browser)
    issuer.user = {"sub": "ext-9", "sid": "sso-10"}
    await sign_in(stack, issuer, other)

    async def tell(token: str, **headers: str) -> int:
        async with stack.http() as client:
            data = {"logout_token": token}
            return (
                await client.post("/auth/backchannel-logout", data=data, headers=headers)
            ).status_code

    good = {"sub": "ext-9", "sid": "sso-9", "events": {LOGOUT: {}}, "jti": "l1"}
    assert await tell(issuer.signed(**{**good, "aud": "other"})) == 401
    assert await tell(issuer.signed(**good, nonce="n")) == 401
    assert await tell(issuer.signed(**{**good, "events": None})) == 401
    assert await tell("") == 401
    assert (await probe(browser)).status_code == 200
    assert await tell(issuer.signed(**good)) == 200
    stack.clock.advance(3_000_000)
    assert (await probe(browser)).status_code == 401
    assert (await probe(other)).status_code == 200, "another sign-in of the same person"
    assert await tell(issuer.signed(**{**good, "sid": None})) == 200
    stack.clock.advance(3_000_000)
    assert (await probe(other)).status_code == 401


async def test_an_id_token_of_another_account_makes_no_session(
    stack: Stack, issuer: Issuer
) -> None:
    """Proven by the issuer, for this very request; but the access token is somebody else's."""
    for subject, status in (("somebody-else", 400), ("ext-1", 200)):
        browser = stack.browser()
        asked = query_of((await browser.send("GET", "/auth/login")).headers["location"])
        issuer.answers["id_token"] = issuer.signed(sub=subject, sid="sso-1", nonce=asked["nonce"])
        params = {"code": "c1", "state": asked["state"]}
        answer = await browser.send("GET", "/auth/callback", params=params)
        assert (answer.status_code, bool(browser.session)) == (status, status == 200), subject
