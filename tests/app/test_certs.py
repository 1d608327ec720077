"""The certificates of a platform's processes: who gets one, and who may be whom with it."""

from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from orion.app.certs import ONLY, SPEAK_FOR_USERS, credentials_of, file_of, make, makes_its_own
from orion.app.cli import app
from orion.app.modules import MODULES, layout
from orion.platform.config import ConfigError, Settings
from orion.wire import stubs
from orion.wire.repeatable import repeatable_methods


def settings(folder: Path, **flags: str) -> Settings:
    return Settings({"data_dir": folder, "rpc_tls": "on", **flags}, environment={})


def spoken(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.UniformResourceIdentifier))


def test_every_process_gets_one_that_names_its_services(tmp_path):
    mine = settings(tmp_path)
    make(mine)
    for process, services in layout("default").items():
        named = spoken(mine.rpc_tls_dir / f"{process}.pem")
        assert {f"spiffe://orion/dev/{name}" for name in services} <= named
        assert credentials_of(mine, f"{process}.2") is not None  # copies share it
    assert "spiffe://orion/dev/rfq" not in spoken(mine.rpc_tls_dir / "bots.pem")
    assert make(mine) == []


def test_the_cluster_profile_asks_for_certificates_unless_told_otherwise(tmp_path):
    cluster = settings(tmp_path, profile="cluster", rpc_tls="")
    assert cluster.rpc_is_secure and makes_its_own(cluster)
    with pytest.raises(ConfigError, match="orion certs"):
        credentials_of(cluster, "rfq")
    assert credentials_of(settings(tmp_path, profile="cluster", rpc_tls="off"), "rfq") is None
    assert credentials_of(settings(tmp_path, rpc_tls=""), "core") is None
    given = settings(tmp_path, profile="cluster", rpc_tls_dir=str(tmp_path / "given"))
    assert not makes_its_own(given)


def test_the_verb_makes_them_once_and_keeps_hosts(tmp_path, monkeypatch):
    monkeypatch.setenv("ORION_DATA_DIR", str(tmp_path))
    asked = ["certs", "--host", "gateway.example.com", "--dealer", "HALDEN"]
    first = CliRunner().invoke(app, asked)
    assert first.exit_code == 0 and "dealer-HALDEN.pem" in first.output
    folder = tmp_path / "secrets" / "tls"
    assert spoken(folder / "dealer-HALDEN.pem") == {"spiffe://orion/dev/dealer/HALDEN"}
    assert CliRunner().invoke(app, ["certs"]).output == "All are good.\n"


def test_names_in_the_tables_are_those_of_services_and_methods():
    assert set(SPEAK_FOR_USERS) <= set(MODULES)
    for method, services in ONLY.items():
        assert services <= {*MODULES, "cli"}
        service, name = method.removeprefix("/orion.v1.").split("/")
        file = "rfq_pb2" if service == "RFQService" else "identity_pb2"
        described = __import__(f"{stubs.__name__}.{file}", fromlist=["DESCRIPTOR"]).DESCRIPTOR
        assert name in described.services_by_name[service].methods_by_name
    assert repeatable_methods()


@pytest.mark.parametrize(
    ("process", "file"), [("core", "core"), ("rfq.2", "rfq"), ("lp_gateway", "lp_gateway")]
)
def test_copies_share_a_certificate(process, file):
    assert file_of(process) == file
