"""Signing in, from the first redirection to the last revocation, over real HTTP apps, gRPC and PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from orion.core.identity import UserLoggedIn
from tests.postgres import Server
from tests.services.identity_stack import COOKIE, Stack, query_of, running


@pytest.fixture(scope="module")
async def stack(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with (
        postgres.database("0001", "0002") as db,
        running(db, tmp_path_factory.mktemp("i")) as stack,
    ):
        yield stack


async def test_the_whole_way_in(stack: Stack) -> None:
    browser = stack.browser()
    page = await browser.sign_in(return_to="/rfq?x=1")
    assert page.status_code == 200
    assert 'url=/rfq?x=1"' in page.text, "the callback jumps from our own page"
    morsel = browser.cookies[COOKIE]
    assert morsel["httponly"] and morsel["secure"] and morsel["samesite"].lower() == "strict"
    who = (await browser.send("GET", "/auth/probe")).json()
    assert who["user"] == "trader@alpha"
    caller = await stack.verifier.verify(who["token"])
    assert caller.tenant == "alpha" and caller.roles == {"ROLE_TRADER"} and caller.desk == "macro"
    assert caller.grants and "CREDIT" in caller.grants.asset_classes
    assert caller.session_expires_at == stack.clock.now() // 10**6 + 28_800
    assert [e.user for e in stack.events(UserLoggedIn)] == ["trader@alpha"]
