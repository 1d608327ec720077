"""Browser sessions and users, and how they end, over real HTTP apps, gRPC and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orion.core.identity import (
    LoginFailed,
    UserDisabled,
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
    code_for,
    disable,
    exchange,
    refused,
    running,
    until,
)


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0002", "0008", "0014", "0016") as database:
        yield database


@pytest.fixture(scope="module")
async def stack(db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(db, tmp_path_factory.mktemp("i")) as stack:
        yield stack


# -- the callback


async def test_an_answer_that_was_not_asked_for_makes_no_session(stack: Stack) -> None:
    """A stranger's code slipped into someone's browser (login CSRF), a replayed callback, a wrong
    state.
    """
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
