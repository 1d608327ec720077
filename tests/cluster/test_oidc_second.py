"""Sign-in at a second, independent provider: npm `oidc-provider`, certified, with tokens shaped
otherwise than ours (RSA, other names, roles inside of another claim)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orion.app.servers.oidc_provider import Account, Clients, OidcProviderServer
from orion.app.servers.process import free_ports
from orion.services.identity import demo
from orion.services.identity.tokens import profile
from tests.cluster import oidc_journey as journey
from tests.stack import Stack, free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
PROGRAM = "orion-program"
MAPPING = {
    "ORION_OIDC_ALGORITHMS": "RS256",
    "ORION_OIDC_CLAIM_TENANT": "org",
    "ORION_OIDC_CLAIM_USER": "preferred_username",
    "ORION_OIDC_CLAIM_NAME": "display",
    "ORION_OIDC_CLAIM_DESK": "team.desk",
    "ORION_OIDC_CLAIM_ROLES": "realm_access.roles",
    "ORION_OIDC_CLAIM_ENTITLEMENTS": "limits",
    "ORION_OIDC_TENANTS": "alpha,beta",
}


def accounts() -> list[Account]:
    """The demo users, a program, and one whose roles mean nothing here."""
    found = [
        Account(u.login, u.display_name, u.tenant, u.desk, u.roles, profile(u)["ent"])
        for u in demo.users()[1]
    ]
    trader = next(a for a in found if a.login == "trader@alpha")
    program = Account(PROGRAM, "A program", "alpha", "macro", ["ROLE_TRADER"], trader.entitlements)
    nobody = Account("nobody@alpha", "No Body", "alpha", "", ["ROLE_ROOT"])
    stranger = Account("trader@gamma", "Gus Gray", "gamma", "", ["ROLE_TRADER"])
    return [*found, program, nobody, stranger]


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[tuple[journey.Provider, OidcProviderServer, int]]:
    folder = Path(tempfile.mkdtemp(prefix="orion-oidc-"))
    port = free_port()
    clients = Clients(
        f"http://localhost:{port}",
        journey.BFF_SECRET,
        journey.PROGRAM_SECRET,
        PROGRAM,
        access_token_s=62,
    )
    server = OidcProviderServer(folder, free_ports(1)[0], clients, accounts(), journey.PASSWORD)
    await server.start()
    try:
        environment = journey.environment_for(server.issuer, folder, **MAPPING)
        yield journey.Provider(server.issuer, environment, "login", PROGRAM), server, port
    finally:
        await server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
async def stack(
    provider: tuple[journey.Provider, OidcProviderServer, int],
) -> AsyncIterator[Stack]:
    there, _, port = provider
    async with Stack("oidc-second", environment=there.environment, port=port) as stack:
        yield stack


@pytest.mark.parametrize("holds", journey.JOURNEYS, ids=lambda f: f.__name__)
async def test_another_provider(stack: Stack, provider, holds) -> None:
    await holds(stack, provider[0])


async def test_forged_tokens_are_refused(stack: Stack, provider) -> None:
    there, server, _ = provider
    other = OidcProviderServer(
        server.folder / "other",
        free_ports(1)[0],
        Clients(stack.url, journey.BFF_SECRET, journey.PROGRAM_SECRET, PROGRAM),
        accounts(),
        journey.PASSWORD,
    )
    await other.start()
    try:
        twin = journey.Provider(other.issuer, {}, "login", PROGRAM)
        strangers = {"of another provider": await twin.program_token()}
    finally:
        await other.stop()
    await journey.forged_tokens_are_refused(stack, there, strangers)


@pytest.mark.parametrize("login", ["nobody@alpha", "trader@gamma"])
async def test_who_has_no_tenant_or_role_here_is_told_so(stack: Stack, provider, login) -> None:
    visitor = journey.Visitor(provider[0], stack)
    answer = await visitor.sign_in(login)
    assert answer.status_code == 403 and "no tenant or no role here" in answer.text
    assert (await visitor.api("/me")).status_code == 401


async def test_people_go_on_while_the_provider_is_down(stack: Stack, provider) -> None:
    """Last, as it is not started again: its accounts and keys are in memory."""
    there, server, _ = provider
    visitor = journey.Visitor(there, stack)
    await visitor.sign_in("trader@alpha")
    await server.process.kill()
    assert (await visitor.api("/me")).status_code == 200, "the session goes on until its token ends"
    answer = await visitor.send("POST", f"{stack.url}/auth/logout", headers={"origin": stack.url})
    assert answer.status_code == 200, "signing out does not need the provider"
    assert (await visitor.api("/me")).status_code == 401
