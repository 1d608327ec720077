"""Signing in: pages, codes, tokens, over real HTTP apps, gRPC and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from orion.core.identity import (
    RefreshTokenReused,
    UserLoggedIn,
    UserLoggedOut,
)
from orion.services.bff_workstation.sessions_oidc import Question
from tests.postgres import Server, TestDatabase
from tests.services.identity_stack import (
    CALLBACK,
    COOKIE,
    MINUTE,
    PASSWORD,
    PUBLIC,
    Stack,
    authorization,
    code_for,
    exchange,
    refresh,
    refused,
    running,
    token,
)


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0002", "0008", "0014", "0016") as database:
        yield database


@pytest.fixture(scope="module")
async def stack(db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(db, tmp_path_factory.mktemp("i")) as stack:
        yield stack


# -- the way in


async def test_the_whole_way_in(stack: Stack) -> None:
    browser = stack.browser()
    page = await browser.sign_in(return_to="/rfq?x=1")
    assert page.status_code == 200
    assert 'url=/rfq?x=1"' in page.text, "the callback jumps from our own page"
    morsel = browser.cookies[COOKIE]
    assert morsel["httponly"] and morsel["secure"] and morsel["samesite"].lower() == "strict"
    assert list(browser.cookies) == [COOKIE], "what the sign-in needed is gone"
    who = (await browser.send("GET", "/auth/probe")).json()
    assert who["user"] == "trader@alpha"
    caller = await stack.verifier.verify(who["token"])
    assert caller.tenant == "alpha" and caller.roles == {"ROLE_TRADER"} and caller.desk == "macro"
    assert caller.grants and "CREDIT" in caller.grants.asset_classes
    assert caller.session_expires_at == stack.clock.now() // 10**6 + 28_800
    event = (await stack.events(UserLoggedIn))[-1]
    assert (event.user, event.session_id) == ("trader@alpha", caller.session_id)
    for answer in browser.trail:
        assert who["token"] not in answer.text or answer.url.path == "/auth/probe"


async def test_the_database_holds_no_secret_in_the_clear(stack: Stack, db: TestDatabase) -> None:
    browser = stack.browser()
    await browser.sign_in()
    access = (await browser.send("GET", "/auth/probe")).json()["token"]
    admin = await asyncpg.connect(db.admin)
    everything = ""
    for schema, table in await admin.fetch(
        "select schemaname, tablename from pg_tables"
        " where schemaname in ('identity', 'bff_workstation')"
    ):
        rows = await admin.fetch(f'select t::text from "{schema}"."{table}" t')
        everything += "\n".join(r[0] for r in rows)
    await admin.close()
    assert browser.session
    for secret in (access, browser.session, browser.session.partition(".")[2], PASSWORD):
        assert secret not in everything
        assert secret.encode().hex() not in everything


async def test_every_demo_user_can_sign_in_with_their_own_rights(stack: Stack) -> None:
    for tenant in ("alpha", "beta"):
        for name in ("trader", "trader2", "sales", "risk", "analyst", "admin", "platform"):
            browser = stack.browser(f"10.0.0.{len(name)}")
            await browser.sign_in(f"{name}@{tenant}")
            caller = await stack.verifier.verify(
                (await browser.send("GET", "/auth/probe")).json()["token"]
            )
            assert (caller.user, caller.tenant) == (f"{name}@{tenant}", tenant)
            expected = "ROLE_" + name.rstrip("2").upper()
            assert caller.roles == {expected}
            if name == "trader2":
                assert caller.grants and "CREDIT" not in caller.grants.asset_classes


async def test_the_login_page_fits_and_tells_the_demo_users(stack: Stack) -> None:
    page = await stack.browser().open_login()
    for text in ("trader@alpha", "platform@beta", PASSWORD, "Institutional RFQ"):
        assert text in page.text
    policy = page.headers["content-security-policy"]
    assert (
        "script-src" not in policy and "default-src 'none'" in policy and "<script" not in page.text
    )
    assert page.headers["cache-control"] == "no-store"
    async with stack.http() as client:
        assert (await client.get("/oidc/assets/login.css")).status_code == 200
        assert (await client.get("/oidc/assets/inter-latin.woff2")).content[:4] == b"wOF2"
        assert (await client.get("/oidc/assets/..%2fmodule.py")).status_code in (400, 404)


async def test_discovery_is_complete_and_points_to_what_is_there(stack: Stack) -> None:
    async with stack.http() as client:
        document = (await client.get("/oidc/.well-known/openid-configuration")).json()
        assert document["issuer"] == f"{PUBLIC}/oidc"
        assert document["code_challenge_methods_supported"] == ["S256"]
        keys = (await client.get(document["jwks_uri"])).json()["keys"]
        assert keys and all("d" not in key and key["alg"] == "ES256" for key in keys)
        for name, address in document.items():
            if name.endswith("_endpoint"):
                assert (await client.get(address)).status_code in (200, 400, 401, 405), name


# -- authorization requests


@pytest.mark.parametrize(
    ("changes", "goes_back"),
    [
        ({"redirect_uri": "http://evil.example/auth/callback"}, False),
        ({"redirect_uri": CALLBACK + "/"}, False),
        ({"redirect_uri": CALLBACK + "?x=1"}, False),
        ({"redirect_uri": CALLBACK + "/../x"}, False),
        ({"redirect_uri": CALLBACK.upper()}, False),
        ({"redirect_uri": "http://localhost:8080@evil.example/auth/callback"}, False),
        ({"redirect_uri": 'x"\\'}, False),
        ({"redirect_uri": None}, False),
        ({"client_id": "another"}, False),
        ({"client_id": None}, False),
        ({"response_type": "token"}, True),
        ({"response_type": "code id_token"}, True),
        ({"code_challenge": None}, True),
        ({"code_challenge_method": "plain"}, True),
        ({"code_challenge_method": None}, True),
        ({"code_challenge": "short"}, True),
        ({"nonce": None}, True),
        ({"scope": "profile"}, True),
        ({"scope": "openid root"}, True),
        ({"prompt": "none"}, True),
        ({"state": "ü"}, False),
    ],
)
async def test_wrong_authorization_requests_show_no_form_and_lead_nowhere_else(
    stack: Stack, changes: dict[str, Any], goes_back: bool
) -> None:
    async with stack.http() as client:
        params = authorization(Question.new(), **changes)
        answer = await client.get("/oidc/authorize", params=params)
    assert 'name="password"' not in answer.text
    if goes_back:
        where = answer.headers["location"]
        assert answer.status_code == 303 and where.startswith(CALLBACK + "?error=")
    else:
        assert answer.status_code == 400 and "location" not in answer.headers


async def test_a_repeated_parameter_is_refused(stack: Stack) -> None:
    async with stack.http() as client:
        params = [*authorization(Question.new()).items(), ("redirect_uri", CALLBACK)]
        assert (await client.get("/oidc/authorize", params=params)).status_code == 400


# -- codes


async def test_a_code_works_once_and_a_second_use_ends_what_the_first_gave(stack: Stack) -> None:
    question = Question.new()
    code = await code_for(stack, question)
    first = (await exchange(stack, code, question)).json()
    await stack.verifier.verify(first["access_token"])
    second = await exchange(stack, code, question)
    assert (second.status_code, second.json()["error"]) == (400, "invalid_grant")
    await refused(stack, first["access_token"])
    assert (await refresh(stack, first["refresh_token"])).status_code == 400


async def test_two_exchanges_at_once_give_tokens_to_one(stack: Stack) -> None:
    question = Question.new()
    code = await code_for(stack, question)
    answers = await asyncio.gather(*(exchange(stack, code, question) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [200, 400, 400, 400]


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": "a" * 43},
        {"code_verifier": ""},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": ""},
        {"code": "alpha.nothing"},
        {"code": "nothing"},
        {"code": "\0.x"},
        {"grant_type": "password"},
        {"grant_type": "client_credentials"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code"},
    ],
)
async def test_a_code_needs_its_own_proof_and_address(
    stack: Stack, changes: dict[str, str]
) -> None:
    question = Question.new()
    code = await code_for(stack, question)
    answer = await exchange(stack, code, question, **changes)
    assert answer.status_code == 400 and "access_token" not in answer.text


async def test_a_challenge_cannot_be_taken_back(stack: Stack) -> None:
    """The verifier left out altogether (PKCE downgrade)."""
    question = Question.new()
    code = await code_for(stack, question)
    answer = await token(stack, grant_type="authorization_code", code=code, redirect_uri=CALLBACK)
    assert answer.status_code == 400


async def test_a_code_lives_a_minute(stack: Stack) -> None:
    question = Question.new()
    code = await code_for(stack, question)
    stack.clock.advance(MINUTE)
    assert (await exchange(stack, code, question)).status_code == 400


@pytest.mark.parametrize("secret", ["", "wrong", "orion-demo"])
async def test_the_client_must_prove_itself(stack: Stack, secret: str) -> None:
    question = Question.new()
    code = await code_for(stack, question)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": question.verifier,
    }
    answer = await token(stack, secret=secret, **form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    async with stack.http() as client:
        body = {**form, "client_id": "orion-bff", "client_secret": stack.client_secret}
        assert (await client.post("/oidc/token", data=body)).status_code == 401
        assert (
            await client.post("/oidc/token", data={**form, "client_id": "orion-bff"})
        ).status_code == 401


# -- refresh


async def test_refresh_tokens_rotate_and_a_second_use_ends_the_family(stack: Stack) -> None:
    question = Question.new()
    first = (await exchange(stack, await code_for(stack, question), question)).json()
    second = (await refresh(stack, first["refresh_token"])).json()
    third = (await refresh(stack, second["refresh_token"])).json()
    assert len({t["refresh_token"] for t in (first, second, third)}) == 3
    await stack.verifier.verify(third["access_token"])
    stolen = await refresh(stack, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    for tokens in (first, second, third):
        await refused(stack, tokens["access_token"])
    assert (await refresh(stack, third["refresh_token"])).status_code == 400
    assert (await stack.events(RefreshTokenReused))[-1].user == "trader@alpha"
    assert (await stack.events(UserLoggedOut))[-1].reason == "REUSE"


async def test_refresh_tokens_end_with_the_sign_in(stack: Stack) -> None:
    question = Question.new()
    tokens = (await exchange(stack, await code_for(stack, question), question)).json()
    for _ in range(4):
        stack.clock.advance(110 * MINUTE)
        tokens = (await refresh(stack, tokens["refresh_token"])).json()
    stack.clock.advance(38 * MINUTE)
    tokens = (await refresh(stack, tokens["refresh_token"])).json()
    assert tokens["expires_in"] == 120, "a token does not outlive the sign-in"
    stack.clock.advance(2 * MINUTE)
    assert (await refresh(stack, tokens["refresh_token"])).status_code == 400


# -- the page's form


async def test_a_form_from_elsewhere_is_refused(stack: Stack) -> None:
    browser = stack.browser()
    page = await browser.open_login()
    ticket = page.text.split('name="ticket" value="')[1].split('"')[0]
    data = {"user": "trader@alpha", "password": PASSWORD, "ticket": ticket}
    stranger = stack.browser()
    answers = [
        await browser.send(
            "POST", "/oidc/login", data=data, headers={"origin": "http://evil.example"}
        ),
        await browser.send("POST", "/oidc/login", data=data),
        await stranger.send("POST", "/oidc/login", data=data, headers={"origin": PUBLIC}),
        await browser.send(
            "POST",
            "/oidc/login",
            data={**data, "ticket": ticket[:-6] + "AAAA=="},
            headers={"origin": PUBLIC},
        ),
        await browser.send(
            "POST", "/oidc/login", data={**data, "ticket": ""}, headers={"origin": PUBLIC}
        ),
        await browser.send("POST", "/oidc/login", json=data, headers={"origin": PUBLIC}),
    ]
    assert [a.status_code for a in answers] == [403, 403, 400, 400, 400, 415]
    good = await browser.send("POST", "/oidc/login", data=data, headers={"origin": PUBLIC})
    assert good.status_code == 303


async def test_a_page_that_is_too_old_starts_again(stack: Stack) -> None:
    browser = stack.browser()
    page = await browser.open_login()
    stack.clock.advance(16 * MINUTE)
    answer = await browser.submit(page, user="trader@alpha", password=PASSWORD)
    assert answer.status_code == 400 and "/auth/login" in answer.text


async def test_what_is_typed_is_escaped(stack: Stack) -> None:
    browser = stack.browser("10.1.1.1")
    page = await browser.open_login()
    answer = await browser.submit(page, user='"><script>x</script>@alpha', password="x")
    assert answer.status_code == 401 and "<script" not in answer.text
