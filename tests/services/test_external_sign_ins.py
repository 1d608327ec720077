"""What identity does where people sign in at another issuer: the trail, revocations, who is kept
out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from joserfc.jwk import ECKey

from orion.core.identity import UserDisabled, UserLoggedIn, UserLoggedOut
from orion.platform.auth import StaticKeys
from orion.platform.errors import Coded
from orion.platform.rpc import rpc_errors
from orion.wire.stubs import identity_pb2
from tests.forged import Forger
from tests.postgres import Server, TestDatabase
from tests.services.identity_stack import Stack, disable, refused, running, until

ISSUER = "https://id.example/realms/orion"
KEY = ECKey.generate_key("P-256", {"kid": "k1", "use": "sig"})


@pytest.fixture(scope="module")
async def db(postgres: Server) -> AsyncIterator[TestDatabase]:
    async with postgres.database("0001", "0002", "0008", "0014", "0016") as database:
        yield database


@pytest.fixture(scope="module")
async def stack(db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("x")
    secret = folder / "client-secret"
    secret.write_text("Zr8tqXw2LmVc5NbYh3JkPd7SgFa9UeQi")
    keys = StaticKeys({"keys": [KEY.as_dict(private=False)]})
    async with running(
        db,
        folder,
        keys=keys,
        ORION_OIDC_ISSUER=ISSUER,
        ORION_OIDC_CLIENT_SECRET_FILE=str(secret),
    ) as stack:
        yield stack


def token(stack: Stack, **claims: Any) -> str:
    """An access token of the other issuer, issued now."""
    return Forger(KEY, stack.clock.now() // 1_000_000, issuer=ISSUER).user(**claims)


@asynccontextmanager
async def asked(stack: Stack) -> AsyncIterator[Any]:
    async with rpc_errors():
        yield stack.rpc


async def record_in(stack: Stack, access: str) -> None:
    async with asked(stack) as rpc:
        await rpc.RecordSignIn(
            identity_pb2.RecordSignInRequest(client="orion-bff", address="127.0.0.1"),
            timeout=5,
            metadata=(("authorization", f"Bearer {access}"),),
        )


async def record_out(stack: Stack, access: str, metadata: Any = None) -> None:
    caller = await stack.verifier.verify(access)
    async with asked(stack) as rpc:
        await rpc.RecordSignOut(
            identity_pb2.RecordSignOutRequest(
                tenant=caller.tenant,
                subject=caller.subject,
                user=caller.user,
                session_id=caller.session_id,
                reason="LOGOUT",
                issued_at=caller.issued_at,
            ),
            timeout=5,
            metadata=metadata or stack.directory.as_service(),
        )


async def refusal(stack: Stack, access: str) -> str:
    try:
        await stack.verifier.verify(access)
    except Coded as refused_with:
        return refused_with.code
    return ""


async def test_a_session_is_in_the_trail_and_what_it_held_dies_with_it(stack: Stack) -> None:
    who = {"sub": "ext-1", "sid": "shared-1", "user": "ada@alpha"}
    held = token(stack, **who)
    await record_in(stack, held)
    await record_out(stack, held)
    await refused(stack, held)
    # The provider's session goes on: the next sign-in has the same one.
    stack.clock.advance(1_000_000)
    fresh = token(stack, **who)
    assert (await stack.verifier.verify(fresh)).session_id == "shared-1"
    assert await refusal(stack, held) == "AUTH-105"
    logged_in = [e for e in await stack.events(UserLoggedIn) if e.subject == "ext-1"]
    assert [(e.user, e.client, e.address) for e in logged_in] == [
        ("ada@alpha", "orion-bff", "127.0.0.1")
    ]
    out = [e for e in await stack.events(UserLoggedOut) if e.subject == "ext-1"]
    assert [e.reason for e in out] == ["LOGOUT"]


async def test_only_a_user_begins_and_only_a_service_ends(stack: Stack) -> None:
    access = token(stack, sub="ext-2", sid="s-2", user="bob@alpha")
    with pytest.raises(Coded, match="AUTH-103"):
        await record_out(stack, access, (("authorization", f"Bearer {access}"),))
    with pytest.raises(Coded, match="AUTH-103"):
        await record_in(stack, stack.directory.as_service()[0][1].removeprefix("Bearer "))
    assert await refusal(stack, access) == ""


async def test_who_is_kept_out_stays_out_until_let_in(stack: Stack) -> None:
    who = {"sub": "ext-3", "sid": "s-3", "user": "Carol@alpha"}
    held = token(stack, **who)
    await record_in(stack, held)
    await disable(stack, "carol@alpha", True)
    await refused(stack, held)
    stack.clock.advance(60_000_000)
    later = token(stack, **who)
    assert await refusal(stack, later) == "AUTH-105", "tokens to come are dead too"
    with pytest.raises(Coded, match="AUTH-105"):
        await record_in(stack, later)
    await disable(stack, "carol@alpha", True)  # again: nothing more happens
    await disable(stack, "ext-3", False)  # by the subject as well
    stack.clock.advance(1_000_000)
    fresh = token(stack, **who)
    await until(lambda: not stack.verifier.revocations.covers("s-3", "ext-3", 1 << 40))
    assert await refusal(stack, fresh) == ""
    assert await refusal(stack, later) == "AUTH-105", "what was given meanwhile stays dead"
    told = [e for e in await stack.events(UserDisabled) if e.subject == "ext-3"]
    assert len(told) == 1


async def test_an_admin_keeps_out_only_the_own_tenants(stack: Stack) -> None:
    await record_in(stack, token(stack, sub="ext-4", sid="s-4", user="dora@beta", tenant="beta"))
    admin = token(stack, sub="ext-5", sid="s-5", user="admin@alpha", roles=["ROLE_ADMIN"])
    trader = token(stack, sub="ext-6", sid="s-6", user="t@beta", tenant="beta")
    for access, code in ((admin, "API-104"), (trader, "AUTH-103")):
        with pytest.raises(Coded, match=code):
            await disable(stack, "dora@beta", True, (("authorization", f"Bearer {access}"),))
    with pytest.raises(Coded, match="API-104"):
        await disable(stack, "nobody@beta", True)
    own = token(
        stack, sub="ext-7", sid="s-7", user="admin@beta", tenant="beta", roles=["ROLE_ADMIN"]
    )
    await disable(stack, "dora@beta", True, (("authorization", f"Bearer {own}"),))


async def test_a_name_that_two_accounts_have_is_not_guessed(stack: Stack) -> None:
    await record_in(stack, token(stack, sub="ext-8", sid="s-8", user="eve"))
    await record_in(stack, token(stack, sub="ext-9", sid="s-9", user="eve", tenant="beta"))
    with pytest.raises(Coded, match="More than one"):
        await disable(stack, "eve", True)
    await disable(stack, "ext-9", True)


async def test_nothing_of_the_embedded_provider_answers(stack: Stack, db: TestDatabase) -> None:
    async with stack.http() as client:
        for path in ("/oidc/.well-known/openid-configuration", "/oidc/jwks", "/oidc/authorize"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "API-104"), path
        assert (await client.post("/oidc/token", data={})).status_code == 404
        answer = await client.post("/auth/backchannel-logout", data={"logout_token": "x"})
        assert answer.status_code == 401
    with pytest.raises(Coded, match="AUTH-103"):
        async with asked(stack) as rpc:
            await rpc.MintToken(
                identity_pb2.MintTokenRequest(user="trader@alpha"),
                timeout=5,
                metadata=stack.directory.as_service(),
            )
    assert not list(stack.settings.secrets_dir.glob("oidc-*"))
