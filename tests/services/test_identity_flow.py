"""Signing in, from the first redirection to the last revocation, over real HTTP apps, gRPC and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from orion.core.identity import (
    LoginFailed,
    RefreshTokenReused,
    UserDisabled,
    UserLoggedIn,
    UserLoggedOut,
)
from orion.platform.errors import Coded
from orion.platform.rpc import rpc_errors
from orion.services.bff_workstation.sessions_oidc import Question
from orion.services.bff_workstation.sessions_routes import safe_return
from orion.wire.stubs import identity_pb2, identity_pb2_grpc
from tests.forged import Forger
from tests.postgres import Server, TestDatabase
from tests.services.identity_stack import (
    COOKIE,
    MINUTE,
    PASSWORD,
    PUBLIC,
    Stack,
    query_of,
    running,
    until,
)

CALLBACK = f"{PUBLIC}/auth/callback"


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0002") as database:
        yield database


@pytest.fixture(scope="module")
async def stack(db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(db, tmp_path_factory.mktemp("i")) as stack:
        yield stack


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
        "select schemaname, tablename from pg_tables where schemaname in ('identity', 'bff_workstation')"
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


# -- the callback


async def test_an_answer_that_was_not_asked_for_makes_no_session(stack: Stack) -> None:
    """A stranger's code slipped into someone's browser (login CSRF), a replayed callback, a wrong state."""
    thief = stack.browser()
    answer = await thief.submit(await thief.open_login(), user="trader2@alpha", password=PASSWORD)
    victim = stack.browser()
    await victim.open_login()
    slipped = await victim.go(answer.headers["location"])
    assert slipped.status_code == 400 and victim.session is None
    done = await thief.go(answer.headers["location"])
    assert done.status_code == 200 and thief.session
    again = await thief.go(answer.headers["location"])
    assert again.status_code == 400
    for url in (
        "/auth/callback",
        "/auth/callback?code=x",
        "/auth/callback?state=x&error=access_denied",
    ):
        assert (await victim.go(url)).status_code == 400
    assert victim.session is None


async def test_a_session_is_never_one_that_the_browser_brought(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    planted = browser.session
    assert planted
    victim = stack.browser()
    victim.cookies[COOKIE] = browser.cookies[COOKIE]
    await victim.sign_in("trader2@alpha")
    assert victim.session != planted
    ended = await browser.send("GET", "/auth/probe")
    assert (ended.status_code, ended.json()["code"]) == (401, "AUTH-105")


@pytest.mark.parametrize(
    "where",
    [
        "http://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/x\r\nset-cookie: a=b",
        "/ü",
        "/%0d%0a" + "x" * 3000,
        "",
        "x",
        "/auth/logout",
        " /x",
        "/\t/evil.example",
    ],
)
async def test_the_way_back_leads_only_to_our_own_pages(where: str) -> None:
    assert safe_return(where) == "/"


@pytest.mark.parametrize("where", ["/", "/rfqs/1?a=b&c=%2F#x", "/trades"])
async def test_our_own_pages_are_gone_back_to(where: str) -> None:
    assert safe_return(where) == where


async def test_an_open_redirect_is_not_to_be_had(stack: Stack) -> None:
    page = await stack.browser().sign_in(return_to="//evil.example/x")
    assert 'url=/"' in page.text and "evil" not in page.text


# -- requests of a session


async def test_writes_by_cookie_need_our_origin_and_programs_do_not(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    bearer = (await browser.send("GET", "/auth/probe")).json()["token"]
    for origin in (PUBLIC, "http://127.0.0.1:8080"):
        answer = await browser.send("POST", "/auth/probe", headers={"origin": origin})
        assert answer.status_code == 200, origin
    for origin in (
        "http://evil.example",
        "null",
        "http://localhost:8081",
        "http://localhost",
        None,
    ):
        headers = {} if origin is None else {"origin": origin}
        answer = await browser.send("POST", "/auth/probe", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "AUTH-104"), origin
    async with stack.http() as client:
        headers = {"authorization": f"Bearer {bearer}"}
        assert (await client.post("/auth/probe", headers=headers)).status_code == 200


async def test_nobody_and_nonsense(stack: Stack) -> None:
    for cookie, code in (
        (None, "AUTH-101"),
        ("alpha." + "x" * 43, "AUTH-105"),
        ("nonsense", "AUTH-105"),
        ("beta." + "x" * 43, "AUTH-105"),
        ("'; drop table x;--." + "x" * 43, "AUTH-105"),
    ):
        headers = {"cookie": f'{COOKIE}="{cookie}"'} if cookie else {}
        async with stack.http() as client:
            answer = await client.get("/auth/probe", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, code), cookie


async def test_a_session_of_one_tenant_is_not_found_under_another(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    assert browser.session
    moved = "beta." + browser.session.partition(".")[2]
    async with stack.http() as client:
        answer = await client.get("/auth/probe", headers={"cookie": f"{COOKIE}={moved}"})
    assert answer.json()["code"] == "AUTH-105"


async def test_forged_tokens_open_neither_rest_nor_user_info(stack: Stack) -> None:
    key = stack.identity_key()
    forger = Forger(key, stack.clock.now() // 10**6, f"{PUBLIC}/oidc", stack.service_key())
    async with stack.http() as client:
        for path in ("/auth/probe", "/oidc/userinfo"):
            good = {"authorization": f"Bearer {forger.user()}"}
            assert (await client.get(path, headers=good)).status_code == 200
            rows = {**forger.rows(), "a service's own token": forger.service()}
            for name, forged in rows.items():
                answer = await client.get(path, headers={"authorization": f"Bearer {forged}"})
                assert answer.status_code in (401, 431), (path, name)
                assert answer.json()["code"] in ("AUTH-101", "AUTH-102", "API-112"), (path, name)


async def test_tokens_are_renewed_silently_and_once(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    first = (await browser.send("GET", "/auth/probe")).json()
    stack.clock.advance(4 * MINUTE + 30 * 10**6)
    answers = await asyncio.gather(*(browser.send("GET", "/auth/probe") for _ in range(10)))
    tokens = {a.json()["token"] for a in answers}
    assert len(tokens) == 1 and first["token"] not in tokens
    assert {a.json()["session"] for a in answers} == {first["session"]}
    stack.clock.advance(10 * MINUTE)  # the access token has ended meanwhile
    assert (await browser.send("GET", "/auth/probe")).json()["token"] not in tokens


# -- the end


async def test_signing_out_ends_the_session_everywhere(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    who, cookie = (await browser.send("GET", "/auth/probe")).json(), browser.session
    heard: list[Any] = []
    stop = stack.verifier.revocations.listen(heard.append)
    foreign = await browser.send("POST", "/auth/logout", headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403 and browser.session
    answer = await browser.send("POST", "/auth/logout", headers={"origin": PUBLIC})
    assert answer.json() == {"logoutUrl": "/auth/login?reason=signed-out"}
    assert browser.session is None
    await refused(stack, who["token"])
    await until(lambda: heard)
    stop()
    assert heard[0].session_id == who["session"]
    async with stack.http() as client:
        after = await client.get("/auth/probe", headers={"cookie": f"{COOKIE}={cookie}"})
    assert after.json()["code"] == "AUTH-105"
    event = (await stack.events(UserLoggedOut))[-1]
    assert (event.session_id, event.reason) == (who["session"], "LOGOUT")
    again = await browser.send("POST", "/auth/logout", headers={"origin": PUBLIC})
    assert again.status_code == 200, "signing out twice is no error"
    assert "You are signed out" in (await browser.go("/auth/login?reason=signed-out")).text


async def test_logout_by_the_application_needs_a_proof(stack: Stack) -> None:
    question = Question.new()
    tokens = (await exchange(stack, await code_for(stack, question), question)).json()
    async with stack.http() as client:
        for query in ({}, {"id_token_hint": "x"}, {"id_token_hint": tokens["access_token"]}):
            assert (await client.get("/oidc/logout", params=query)).status_code == 400
        await stack.verifier.verify(tokens["access_token"])
        wrong = {
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": "http://evil.example/",
        }
        assert (await client.get("/oidc/logout", params=wrong)).status_code == 400
        right = {**wrong, "post_logout_redirect_uri": f"{PUBLIC}/", "state": "s1"}
        answer = await client.get("/oidc/logout", params=right)
    assert answer.headers["location"] == f"{PUBLIC}/?state=s1"
    await refused(stack, tokens["access_token"])


async def test_a_session_ends_without_use_and_in_any_case(stack: Stack) -> None:
    idle = stack.browser()
    await idle.sign_in()
    stack.clock.advance(59 * MINUTE)
    assert (await idle.send("GET", "/auth/probe")).status_code == 200
    stack.clock.advance(59 * MINUTE)
    assert (await idle.send("GET", "/auth/probe")).status_code == 200, "use keeps it alive"
    stack.clock.advance(60 * MINUTE)
    ended = await idle.send("GET", "/auth/probe")
    assert (ended.status_code, ended.json()["code"]) == (401, "AUTH-105")
    assert (await stack.events(UserLoggedOut))[-1].reason == "IDLE"
    busy = stack.browser()
    await busy.sign_in()
    for _ in range(9):
        stack.clock.advance(50 * MINUTE)
        assert (await busy.send("GET", "/auth/probe")).status_code == 200
    stack.clock.advance(30 * MINUTE)
    assert (await busy.send("GET", "/auth/probe")).json()["code"] == "AUTH-105"


async def test_the_edge_learns_who_holds_a_cookie_and_that_is_no_use_of_it(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    who = (await browser.send("GET", "/auth/probe")).json()
    stub = identity_pb2_grpc.SessionServiceStub(stack.directory.channel("bff_workstation"))

    async def resolve(cookie: str, metadata: Any = None) -> Any:
        async with rpc_errors():
            return await stub.Resolve(
                identity_pb2.ResolveSessionRequest(cookie=cookie),
                timeout=5,
                metadata=metadata or stack.directory.as_service(),
            )

    assert browser.session
    found = await resolve(browser.session)
    assert found.access_token == who["token"] and found.expires_at_us > stack.clock.now()
    with pytest.raises(Coded, match="AUTH-103"):
        await resolve(browser.session, (("authorization", f"Bearer {who['token']}"),))
    with pytest.raises(Coded, match="AUTH-105"):
        await resolve("alpha." + "y" * 43)
    for _ in range(6):
        stack.clock.advance(9 * MINUTE)
        await resolve(browser.session)
    stack.clock.advance(7 * MINUTE)
    with pytest.raises(Coded, match="AUTH-105"):
        await resolve(browser.session)


# -- users


async def disable(stack: Stack, user: str, disabled: bool, metadata: Any = None) -> Any:
    async with rpc_errors():
        return await stack.rpc.DisableUser(
            identity_pb2.DisableUserRequest(user=user, disabled=disabled),
            timeout=5,
            metadata=metadata or stack.directory.as_service(),
        )


async def test_disabling_a_user_ends_everything_at_once(stack: Stack) -> None:
    first, second = stack.browser(), stack.browser()
    await first.sign_in("analyst@beta")
    await second.sign_in("analyst@beta")
    tokens = [(await b.send("GET", "/auth/probe")).json()["token"] for b in (first, second)]
    await disable(stack, "analyst@beta", True)
    for dead in tokens:
        await refused(stack, dead)
    for browser in (first, second):
        assert (await browser.send("GET", "/auth/probe")).json()["code"] == "AUTH-105"
    page = await first.open_login()
    answer = await first.submit(page, user="analyst@beta", password=PASSWORD)
    assert answer.status_code == 401 and "not right" in answer.text, "not told apart from a typo"
    assert (await stack.events(LoginFailed))[-1].reason == "DISABLED"
    event = (await stack.events(UserDisabled))[-1]
    assert event.user == "analyst@beta" and event.sessions_ended >= 2
    await disable(stack, "analyst@beta", False)
    back = stack.browser()
    await back.sign_in("analyst@beta")
    assert (await back.send("GET", "/auth/probe")).status_code == 200, "in the very same second"


async def test_disabling_again_in_the_same_second_ends_what_was_given_in_between(
    stack: Stack,
) -> None:
    for _ in range(3):
        browser = stack.browser()
        await browser.sign_in("sales@beta")
        token = (await browser.send("GET", "/auth/probe")).json()["token"]
        await disable(stack, "sales@beta", True)
        await refused(stack, token)
        await disable(stack, "sales@beta", False)


async def test_only_an_admin_of_the_same_tenant_or_a_service_disables(stack: Stack) -> None:
    async def as_user(name: str) -> Any:
        browser = stack.browser()
        await browser.sign_in(name)
        token = (await browser.send("GET", "/auth/probe")).json()["token"]
        return (("authorization", f"Bearer {token}"),)

    trader, admin = await as_user("trader@alpha"), await as_user("admin@alpha")
    with pytest.raises(Coded, match="AUTH-103"):
        await disable(stack, "trader2@alpha", True, trader)
    for stranger in ("trader@beta", "nobody@alpha", "nobody@nowhere", ""):
        with pytest.raises(Coded) as refusal:
            await disable(stack, stranger, True, admin)
        assert (refusal.value.code, refusal.value.detail) == ("API-104", "There is no such user")
    await disable(stack, "sales@alpha", True, admin)
    assert (await stack.events(UserDisabled))[-1].by == "admin@alpha"
    await disable(stack, "sales@alpha", False, admin)


async def test_tokens_for_scripts_are_given_to_services_and_can_be_revoked(stack: Stack) -> None:
    async def mint(user: str, metadata: Any = None) -> str:
        async with rpc_errors():
            answer = await stack.rpc.MintToken(
                identity_pb2.MintTokenRequest(user=user),
                timeout=5,
                metadata=metadata or stack.directory.as_service(),
            )
        return answer.access_token

    given = await mint("risk@beta")
    caller = await stack.verifier.verify(given)
    assert (caller.user, caller.tenant) == ("risk@beta", "beta")
    with pytest.raises(Coded, match="AUTH-103"):
        await mint("risk@beta", (("authorization", f"Bearer {given}"),))
    with pytest.raises(Coded, match="API-104"):
        await mint("nobody@beta")
    await disable(stack, "risk@beta", True)
    await refused(stack, given)
    with pytest.raises(Coded, match="API-104"):
        await mint("risk@beta")
    await disable(stack, "risk@beta", False)


async def test_users_do_not_see_the_revocations(stack: Stack) -> None:
    browser = stack.browser()
    await browser.sign_in()
    token = (await browser.send("GET", "/auth/probe")).json()["token"]
    with pytest.raises(Coded, match="AUTH-103"):
        async with rpc_errors():
            async for _ in stack.rpc.WatchRevocations(
                identity_pb2.WatchRevocationsRequest(),
                timeout=5,
                metadata=(("authorization", f"Bearer {token}"),),
            ):
                pass
