"""Who may connect, and as whom: real sockets, real certificates, over unix sockets and TCP."""

from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from joserfc.jwk import ECKey

from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.certificates import Authority, Names
from orion.platform.clock import Clock, ManualClock, SystemClock
from orion.platform.config import ConfigError
from orion.platform.errors import Coded, Unavailable
from orion.platform.rpc import Directory, RpcServer, current_caller, rpc_errors
from orion.platform.rpc.tls import Credentials, Peers, TlsFiles
from orion.wire.stubs import audit_pb2, audit_pb2_grpc
from tests.forged import ISSUER, Forger

KEY = bytes(range(40))
DAY = 86_400_000_000
MINT = "/orion.v1.AuditService/GetTimeline"
CLOCK = SystemClock()


class Audit(audit_pb2_grpc.AuditServiceServicer):
    async def GetTimeline(self, request, context):
        who, shown = current_caller().user, context.auth_context()["x509_pem_cert"][0]
        entry = audit_pb2.AuditEntry(service=who, summary=shown.decode())
        return audit_pb2.TimelineResponse(items=[entry])


def authority(folder: Path, clock: Clock = CLOCK) -> Authority:
    return Authority(folder, "dev", clock)


def credentials(folder: Path, name: str) -> Credentials:
    files = TlsFiles(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    return Credentials(files, "dev")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tls"
    names = [Names(n, (n,)) for n in ("audit", "rfq", "lp_bots")]
    names.append(Names("core", ("core", "rfq", "execution")))
    names.append(Names("dealer-NORTHGATE", ("dealer:NORTHGATE",)))
    authority(folder).keep(names)
    return folder


@asynccontextmanager
async def serving(folder: Path, listen: str, only=None, issuer: Forger | None = None):
    keys = [issuer.key.as_dict(private=False)] if issuer else []
    verifier = Verifier(StaticKeys({"keys": keys}), issuer=ISSUER, clock=CLOCK, service_key=KEY)
    server = RpcServer(
        listen,
        verifier.verify,
        credentials=credentials(folder, "audit"),
        peers=Peers("dev", ["rfq"], only or {}, ["audit"]),
    )
    server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, Audit())
    await server.start()
    yield listen if listen.startswith("unix:") else f"127.0.0.1:{server.port}"
    await server.stop(0)


@pytest.fixture(params=["unix", "tcp"])
async def address(request, tmp_path: Path, folder: Path):
    listen = f"unix:{tmp_path}/audit.sock" if request.param == "unix" else "127.0.0.1:0"
    async with serving(folder, listen) as address:
        yield address


async def ask(address: str, voice: str, shown: Credentials | None, service: str = "audit") -> str:
    """Who the other side takes us for. `voice`: a service's name, or a token."""
    tokens = (lambda: voice) if "." in voice else ServiceTokens(KEY, voice, CLOCK)
    directory = Directory({service: (address,)}, tokens, credentials=shown)
    try:
        stub = audit_pb2_grpc.AuditServiceStub(directory.channel(service))
        async with rpc_errors():
            answer = await stub.GetTimeline(
                audit_pb2.TimelineRequest(), timeout=10, metadata=directory.as_service()
            )
        return answer.items[0].service
    finally:
        await directory.close()


async def test_a_service_speaks_for_itself(address, folder):
    assert await ask(address, "rfq", credentials(folder, "rfq")) == "rfq"


@pytest.mark.parametrize("voice", ["core", "rfq", "execution"])
async def test_a_process_speaks_for_every_service_in_it(address, folder, voice):
    assert await ask(address, voice, credentials(folder, "core")) == voice


async def test_a_token_over_anothers_connection_is_refused(address, folder):
    with pytest.raises(Coded) as caught:
        await ask(address, "rfq", credentials(folder, "lp_bots"))
    assert caught.value.code == "AUTH-110"


async def test_plaintext_is_not_answered(address):
    with pytest.raises(Unavailable):
        await ask(address, "rfq", None)


async def test_another_authoritys_certificate_is_not_answered(address, folder, tmp_path):
    foreign = tmp_path / "foreign"
    authority(foreign).keep([Names("rfq", ("rfq",))])
    # Trusts the server, but shows what another authority signed.
    files = TlsFiles(folder / "ca.pem", foreign / "rfq.pem", foreign / "rfq.key")
    with pytest.raises(Unavailable):
        await ask(address, "rfq", Credentials(files, "dev"))


async def test_an_untrusted_server_is_not_told_anything(address, tmp_path):
    foreign = tmp_path / "foreign"
    authority(foreign).keep([Names("rfq", ("rfq",))])
    with pytest.raises(Unavailable):
        await ask(address, "rfq", credentials(foreign, "rfq"))


async def test_an_expired_certificate_is_not_answered(address, folder):
    past = ManualClock(CLOCK.now() - 40 * DAY)
    authority(folder, past).keep([Names("rfq", ("rfq",))], days=30, anew=True)
    with pytest.raises(Unavailable):
        await ask(address, "rfq", credentials(folder, "rfq"))


async def test_a_server_must_be_the_service_that_was_meant(address, folder):
    with pytest.raises(Unavailable):
        await ask(address, "rfq", credentials(folder, "rfq"), service="execution")


async def test_no_certificate_at_all_is_not_answered(address, folder):
    trusted = grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes())
    options = credentials(folder, "rfq").calling_options("audit")
    token = ServiceTokens(KEY, "rfq", CLOCK)()
    async with grpc.aio.secure_channel(address, trusted, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await audit_pb2_grpc.AuditServiceStub(channel).GetTimeline(
                audit_pb2.TimelineRequest(),
                timeout=10,
                metadata=(("authorization", f"Bearer {token}"),),
            )
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_method_may_be_for_some_services_only(folder):
    only = {MINT: frozenset({"rfq"})}
    async with serving(folder, "127.0.0.1:0", only) as address:
        assert await ask(address, "rfq", credentials(folder, "rfq")) == "rfq"
        with pytest.raises(Coded) as caught:
            await ask(address, "lp_bots", credentials(folder, "lp_bots"))
    assert caught.value.code == "AUTH-103"


async def test_a_copy_of_the_same_service_passes_on_what_it_was_asked(folder):
    only = {MINT: frozenset({"rfq"})}
    async with serving(folder, "127.0.0.1:0", only) as address:
        assert await ask(address, "rfq", credentials(folder, "audit")) == "rfq"
        with pytest.raises(Coded) as caught:  # which others may not ask there either
            await ask(address, "lp_bots", credentials(folder, "audit"))
    assert caught.value.code == "AUTH-103"


async def test_a_guest_is_kept_to_its_method_and_its_connection(address, folder):
    with pytest.raises(Coded) as caught:
        await ask(address, "dealer:NORTHGATE", credentials(folder, "dealer-NORTHGATE"))
    assert caught.value.code == "AUTH-103"  # not a guest's method
    with pytest.raises(Coded) as caught:
        await ask(address, "rfq", credentials(folder, "dealer-NORTHGATE"))
    assert caught.value.code == "AUTH-110"


async def test_a_new_certificate_is_shown_without_a_restart(folder):
    """What the server shows is seen by callers that trust the new authority only."""
    shown = [Names("audit", ("audit",)), Names("rfq", ("rfq",))]
    async with serving(folder, "127.0.0.1:0") as address:
        assert await ask(address, "rfq", credentials(folder, "rfq")) == "rfq"
        for name in ("ca.pem", "ca.key"):
            (folder / name).unlink()
        authority(folder).keep(shown)
        assert await ask(address, "rfq", credentials(folder, "rfq")) == "rfq"


async def test_a_caller_shows_its_new_certificate_without_a_restart(folder):
    names = [Names("audit", ("audit",)), Names("rfq", ("rfq",))]
    async with serving(folder, "127.0.0.1:0") as address:
        mine = credentials(folder, "rfq")
        tokens = ServiceTokens(KEY, "rfq", CLOCK)
        directory = Directory({"audit": (address,)}, tokens, credentials=mine)
        stub = audit_pb2_grpc.AuditServiceStub(directory.channel("audit"))

        async def shown() -> str:
            request = audit_pb2.TimelineRequest()
            answer = await stub.GetTimeline(request, metadata=directory.as_service())
            return answer.items[0].summary.strip()

        assert await shown() == (folder / "rfq.pem").read_text().strip()
        for name in ("ca.pem", "ca.key"):
            (folder / name).unlink()
        authority(folder).keep(names)
        mine.look()
        assert await shown() == (folder / "rfq.pem").read_text().strip()
        await directory.close()


async def test_files_that_do_not_fit_together_change_nothing(folder):
    async with serving(folder, "127.0.0.1:0") as address:
        mine = credentials(folder, "rfq")
        (folder / "audit.key").write_bytes((folder / "core.key").read_bytes())
        assert await ask(address, "rfq", mine) == "rfq"
        (folder / "rfq.pem").write_text("nothing")
        mine.look()
        assert mine.generation == 0
        assert await ask(address, "rfq", mine) == "rfq"


def test_missing_files_are_named_with_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="orion certs"):
        credentials(tmp_path, "rfq")


def test_certificates_are_renewed_before_they_end(tmp_path):
    clock = ManualClock(CLOCK.now())
    wanted = [Names("rfq", ("rfq",)), Names("audit", ("audit",), ("localhost", "127.0.0.1"))]
    ours = authority(tmp_path, clock)
    assert ours.keep(wanted, days=30) == ["ca.pem", "rfq.pem", "audit.pem"]
    clock.advance(19 * DAY)
    assert ours.keep(wanted, days=30) == []
    clock.advance(2 * DAY)
    assert ours.keep(wanted, days=30) == ["rfq.pem", "audit.pem"]
    changed = [Names("rfq", ("rfq", "execution")), wanted[1]]
    assert ours.keep(changed, days=30) == ["rfq.pem"]
    (tmp_path / "audit.key").unlink()
    assert ours.keep(changed, days=30) == ["audit.pem"]
    without = [changed[0], Names("audit", ("audit",))]  # what was asked for once is kept
    assert ours.keep(without, days=30) == []
    clock.advance(21 * DAY)
    assert ours.keep(without, days=30) == ["rfq.pem", "audit.pem"]
    assert ours.keep(changed, days=30) == []
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0


async def test_users_tokens_come_over_services_that_speak_for_users(folder):
    """A user's token that leaked is of no use to a service that has no business with users."""
    now = CLOCK.now() // 1_000_000
    forger = Forger(ECKey.generate_key("P-256", {"kid": "k1"}), now)
    async with serving(folder, "127.0.0.1:0", issuer=forger) as address:
        token = forger.user()
        assert await ask(address, token, credentials(folder, "rfq")) == "trader@alpha"
        with pytest.raises(Coded) as caught:
            await ask(address, token, credentials(folder, "lp_bots"))
    assert caught.value.code == "AUTH-110"
