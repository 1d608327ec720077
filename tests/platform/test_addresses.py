"""Where services answer, as one setting says it."""

import socket

import pytest

from orion.platform.config import ConfigError
from orion.platform.rpc.addresses import is_local, listening, of_process, of_services

SERVICES = ("rfq", "lp_gateway")


def test_one_pattern_stands_for_all():
    assert of_services("dns:///{service}:7400", SERVICES) == {
        "rfq": ("dns:///rfq:7400",),
        "lp_gateway": ("dns:///lp_gateway:7400",),
    }
    assert of_services("dns:///{host}:7400", SERVICES)["lp_gateway"] == ("dns:///lp-gateway:7400",)


def test_copies_are_listed_and_a_pattern_takes_the_rest():
    setting = "rfq=rfq-1:7400|rfq-2:7400, {host}.orion:7400"
    assert of_services(setting, SERVICES) == {
        "rfq": ("rfq-1:7400", "rfq-2:7400"),
        "lp_gateway": ("lp-gateway.orion:7400",),
    }
    assert of_services("rfq=unix:/run/rfq,lp_gateway=a:1", SERVICES)["rfq"] == ("unix:/run/rfq",)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("rfq=a:1", "lp_gateway has no address"),
        ("rfqs=a:1,dns:///{service}:1", "no service 'rfqs'"),
        ("dns:///{name}:7400", "no pattern"),
        ("dns:///{service}", "no port"),
        ("rfq=a:0,lp_gateway=b:1", "no port"),
        ("somewhere:7400", "names no service"),
    ],
)
def test_what_cannot_be_meant_is_named(setting, problem):
    with pytest.raises(ConfigError, match=problem):
        of_services(setting, SERVICES)


def test_on_one_machine_ports_are_counted():
    assert is_local("") and is_local("loopback:7400") and not is_local("dns:///{service}:7400")
    names = ["bff.1", "bff.2", "core.1"]
    assert of_process("loopback:7400", "core.1", names) == "127.0.0.1:7402"
    with pytest.raises(ConfigError, match="no process"):
        of_process("loopback:7400", "core", names)


def test_where_a_process_listens_is_not_always_where_it_is_found():
    assert listening("", "", "unix:/run/core") == ("unix:/run/core", "unix:/run/core")
    assert listening("10.0.0.7:7400", "", "") == ("10.0.0.7:7400", "10.0.0.7:7400")
    found = f"{socket.gethostname()}:7400"
    assert listening("0.0.0.0:7400", "", "") == ("0.0.0.0:7400", found)
    assert listening("[::]:7400", "rfq-1:7400", "") == ("[::]:7400", "rfq-1:7400")
    with pytest.raises(ConfigError, match="ORION_RPC_LISTEN"):
        listening("", "", "")
