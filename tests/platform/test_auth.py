"""The verifier: what passes, and every forged token that must not."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from joserfc.jwk import ECKey

from orion.platform.auth import HttpKeys, ServiceTokens, StaticKeys, Verifier
from orion.platform.clock import ManualClock
from orion.platform.errors import Coded, Unavailable
from orion.platform.revocations import Revocations, Revoked, follow
from orion.platform.rpc import Directory, RpcServer, rpc_errors
from orion.wire.stubs import audit_pb2, audit_pb2_grpc
from tests.forged import ISSUER, SERVICE_KEY, Forger

KEY = ECKey.generate_key("P-256", {"kid": "key-1"})
JWKS = {"keys": [KEY.as_dict(private=False)]}
ROWS = sorted(Forger(KEY, 0).rows())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def forger(clock: ManualClock) -> Forger:
    return Forger(KEY, clock.now() // 1_000_000)


@pytest.fixture
def verifier(clock: ManualClock) -> Verifier:
    return Verifier(StaticKeys(JWKS), issuer=ISSUER, clock=clock, service_key=SERVICE_KEY)


async def test_a_good_user_token_says_who_it_is(verifier: Verifier, forger: Forger) -> None:
    caller = await verifier.verify(forger.user())
    assert (caller.tenant, caller.user, caller.subject) == ("alpha", "trader@alpha", "u1")
    assert caller.roles == {"ROLE_TRADER"} and caller.session_id == "s1"
    assert caller.service is None and caller.grants is not None
    assert caller.grants.max_notional == Decimal(1_000_000)
    assert caller.grants.instrument_ids is None


async def test_a_service_token_says_which_service(
    verifier: Verifier, forger: Forger, clock: ManualClock
) -> None:
    for token in (forger.service(), ServiceTokens(SERVICE_KEY, "rfq", clock)()):
        caller = await verifier.verify(token)
        assert (caller.service, caller.tenant, caller.roles) == ("rfq", "", frozenset())


@pytest.mark.parametrize("name", ROWS)
async def test_forged_tokens_are_refused(verifier: Verifier, forger: Forger, name: str) -> None:
    with pytest.raises(Coded) as refusal:
        await verifier.verify(forger.rows()[name])
    assert refusal.value.code == "AUTH-102"
    assert refusal.value.detail == refusal.value.kind.title, "the reason is not told"


async def test_forged_tokens_do_not_reach_a_servicer(
    tmp_path, verifier: Verifier, forger: Forger
) -> None:
    class Audit(audit_pb2_grpc.AuditServiceServicer):
        async def GetTimeline(self, request, context):
            return audit_pb2.TimelineResponse()

    server = RpcServer(f"unix:{tmp_path}/rpc.sock", verifier.verify)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(Audit(), server.server)
    await server.start()
    directory = Directory({"audit": f"unix:{tmp_path}/rpc.sock"}, lambda: "x")
    stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))

    async def ask(token: str) -> None:
        async with rpc_errors():
            await stub.GetTimeline(
                audit_pb2.TimelineRequest(),
                timeout=5,
                metadata=(("authorization", f"Bearer {token}"),),
            )

    try:
        await ask(forger.user())
        await ask(forger.service())
        for name, token in forger.rows().items():
            if len(token) > 8000:
                continue  # gRPC itself ends the call: metadata over its limit
            with pytest.raises(Coded) as refusal:
                await ask(token)
            assert refusal.value.code in ("AUTH-101", "AUTH-102"), name
    finally:
        await directory.close()
        await server.stop(0)


async def test_a_remembered_token_still_expires(
    verifier: Verifier, forger: Forger, clock: ManualClock
) -> None:
    token = forger.user()
    await verifier.verify(token)
    clock.advance(304_000_000)
    await verifier.verify(token)  # inside the leeway of five seconds
    clock.advance(1_000_000)
    with pytest.raises(Coded, match="AUTH-102"):
        await verifier.verify(token)


async def test_revocations_end_tokens_at_once(verifier: Verifier, forger: Forger, clock) -> None:
    session, user = forger.user(), forger.user(sid="s2")
    await verifier.verify(session)
    verifier.revocations.add([Revoked(at=clock.now(), session_id="s1")])
    with pytest.raises(Coded, match="AUTH-105"):
        await verifier.verify(session)
    await verifier.verify(user)
    verifier.revocations.add([Revoked(at=clock.now(), subject="u1")])
    with pytest.raises(Coded, match="AUTH-105"):
        await verifier.verify(user)
    later = Forger(KEY, forger.now + 1).user(sid="s3")
    assert (await verifier.verify(later)).session_id == "s3", "a sign-in after it counts again"


async def test_listeners_hear_each_revocation_once() -> None:
    revocations, heard = Revocations(), []
    stop = revocations.listen(heard.append)
    item = Revoked(at=5, session_id="s1")
    revocations.add([item, item])
    revocations.add([Revoked(at=5, subject="u"), Revoked(at=4, subject="u")])
    assert heard == [item, Revoked(at=5, subject="u")]
    stop()
    revocations.add([Revoked(at=9, session_id="s9")])
    assert len(heard) == 2


async def test_a_lost_stream_keeps_what_is_known_and_is_opened_again() -> None:
    revocations, opened, again = Revocations(), 0, asyncio.Event()

    async def watch():
        nonlocal opened
        opened += 1
        yield [Revoked(at=10**16, session_id=f"s{opened}")]
        if opened == 2:
            again.set()
            await asyncio.Event().wait()
        raise ConnectionError("gone")

    task = asyncio.create_task(follow(revocations, watch, lambda: 10**16))
    await asyncio.wait_for(again.wait(), 10)
    task.cancel()
    assert revocations.covers("s1", "", 0) and revocations.covers("s2", "", 0)


async def test_old_revocations_are_forgotten() -> None:
    revocations = Revocations()
    revocations.add([Revoked(at=0, session_id="s1"), Revoked(at=10**12, session_id="s2")])
    revocations.prune(10**12)
    assert not revocations.covers("s1", "", 0) and revocations.covers("s2", "", 0)


async def test_keys_are_read_again_for_an_unknown_kid_but_not_without_end(
    clock: ManualClock,
) -> None:
    second = ECKey.generate_key("P-256", {"kid": "key-2"})
    document, reads = dict(JWKS), 0

    async def fetch():
        nonlocal reads
        reads += 1
        return document

    keys = HttpKeys(fetch, clock)
    verifier = Verifier(keys, issuer=ISSUER, clock=clock, service_key=None)
    now = clock.now() // 1_000_000
    await verifier.verify(Forger(KEY, now).user())
    for _ in range(5):
        with pytest.raises(Coded, match="AUTH-102"):
            await verifier.verify(Forger(second, now).user())
    assert reads == 1, "an unknown key id must not make us ask for each token"
    document = {"keys": [*JWKS["keys"], second.as_dict(private=False)]}
    clock.advance(6_000_000)
    await verifier.verify(Forger(second, now).user())
    assert reads == 2


async def test_without_any_key_yet_it_is_unavailable_and_afterwards_the_last_keys_stay(
    clock: ManualClock,
) -> None:
    working = False

    async def fetch():
        if not working:
            raise ConnectionError("no")
        return JWKS

    keys = HttpKeys(fetch, clock, pause_s=0)
    verifier = Verifier(keys, issuer=ISSUER, clock=clock, service_key=None)
    token = Forger(KEY, clock.now() // 1_000_000).user()
    with pytest.raises(Unavailable):
        await verifier.verify(token)
    working = True
    await verifier.verify(token)
    working = False
    assert await keys.key("nobody") is None
    assert await keys.key("key-1") is not None


def test_a_weak_service_key_is_refused(clock: ManualClock) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ServiceTokens(b"short", "rfq", clock)


async def test_an_id_token_is_taken_only_for_its_own_request(
    verifier: Verifier, forger: Forger
) -> None:
    jwt = {"typ": "JWT"}
    good = forger.user(header=jwt, aud="orion-bff", nonce="n1")
    given = await verifier.verify_identity(good, client_id="orion-bff", nonce="n1")
    assert (given.subject, given.session_id) == ("u1", "s1")
    wrong = {
        "another nonce": forger.user(header=jwt, aud="orion-bff", nonce="n2"),
        "no nonce": forger.user(header=jwt, aud="orion-bff"),
        "another client": forger.user(header=jwt, aud="other", nonce="n1"),
        "another issuer": forger.user(header=jwt, aud="orion-bff", nonce="n1", iss="x"),
        "an access token": forger.user(nonce="n1"),
        "expired": forger.user(
            header=jwt, aud="orion-bff", nonce="n1", iat=forger.now - 400, exp=forger.now - 100
        ),
        "another key": forger.user(
            header=jwt,
            aud="orion-bff",
            nonce="n1",
            key=ECKey.generate_key("P-256", {"kid": "key-1"}),
        ),
        **forger.rows(),
    }
    for name, token in wrong.items():
        with pytest.raises(Coded) as refusal:
            await verifier.verify_identity(token, client_id="orion-bff", nonce="n1")
        assert refusal.value.code == "AUTH-102", name
