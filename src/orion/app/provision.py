"""Makes what a deployment is given in files: `python -m orion.app.provision FOLDER`. One folder for
each process and server with nothing in it but what that one needs, to be mounted read-only.

Random secrets and certificates of an authority of its own, for `infra/compose` and as a pattern for
what a secrets manager gives in production. What is there is kept; certificates that come near
their end are made anew. `.authority` and `.made` are for nobody to mount.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from orion.app.modules import layout
from orion.app.servers.keycloak import RealmValues, realm_document
from orion.platform.certificates import Authority, Names
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.datadir import read_or_make_secret
from orion.platform.embedded import ROLES as LOGINS
from orion.platform.ids import new_token

DAYS = 90
S3_KEY = "orion"
SERVERS = ("kafka", "postgres", "redis", "seaweedfs", "door")
JOBS = ("migrate", "topics", "keeper")
DATABASE = tuple(f"postgres-{login}" for login in LOGINS)
# Who is given what; every process also gets its certificate.
OWNER = "postgres-orion_owner"
EVERY_PROCESS = ("service.key", "redis-password", *(one for one in DATABASE if one != OWNER))
MORE: Mapping[str, tuple[str, ...]] = {
    "bff_workstation": ("session.key", "oidc-client-orion-bff"),
    "rfq": ("cursor.key",),
    "execution": ("cursor.key",),
    "audit": ("audit.key",),
    "archive": ("s3-credentials",),
    "keeper": (OWNER,),
    "migrate": (*DATABASE, "postgres-admin"),
    "postgres": ("postgres-admin", "keycloak-database"),
    "keycloak": ("keycloak-admin", "keycloak-database"),
    "grafana": ("grafana-admin",),
}


def provision(folder: Path, settings: Settings, sign_in_host: str, demo_password: str = "") -> None:
    """Fills the folder. `sign_in_host`: where browsers find Keycloak. `demo_password`: lets the
    realm's demo users in; empty: they stay locked.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    processes = tuple(layout("per-service", "cluster"))
    public = urlsplit(settings.public_url).hostname or "localhost"
    authority = folder / ".authority"
    Authority(authority, settings.platform.env, SystemClock()).keep(
        [
            *(Names(name, (name,)) for name in processes),
            *(Names(name, (f"job:{name}",)) for name in JOBS),
            *(Names(name, (name,), (name,)) for name in SERVERS if name != "door"),
            Names("door", ("door",), (public, sign_in_host)),
        ],
        days=DAYS,
    )
    made = folder / ".made"
    for name in {*EVERY_PROCESS, *(one for given in MORE.values() for one in given)}:
        key = f"{S3_KEY}\n" if name == "s3-credentials" else ""
        read_or_make_secret(made / name, key + new_token(48))
    for name in (*processes, *JOBS, *SERVERS, "keycloak", "grafana"):
        given = (*(EVERY_PROCESS if name in processes else ()), *MORE.get(name, ()))
        _give(folder / name, (made / one for one in given))
        _give(folder / name / "tls", _certificates(authority, name))
    _for_servers(folder, made, settings.public_url, demo_password)


def _certificates(authority: Path, name: str) -> list[Path]:
    own = [authority / f"{name}.pem", authority / f"{name}.key"]
    return [authority / "ca.pem", *(file for file in own if file.exists())]


def _give(place: Path, files: Iterable[Path]) -> None:
    # Readable for whoever runs in the container, and on this machine only below a private folder.
    place.mkdir(parents=True, exist_ok=True)
    place.chmod(0o755)
    for file in files:
        _write(place / file.name, file.read_bytes())


def _write(file: Path, content: bytes) -> None:
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_bytes(content)
    fresh.chmod(0o444)
    fresh.replace(file)


def _for_servers(folder: Path, made: Path, public_url: str, demo_password: str) -> None:
    """What servers want in forms of their own."""

    def secret(name: str) -> str:
        return (made / name).read_text().strip()

    tls = folder / "kafka" / "tls"
    _write(tls / "both.pem", (tls / "kafka.key").read_bytes() + (tls / "kafka.pem").read_bytes())
    _write(folder / "redis" / "users.acl", _users(secret("redis-password")).encode())
    key, password = secret("s3-credentials").split()
    owner = {
        "name": S3_KEY,
        "credentials": [{"accessKey": key, "secretKey": password}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    _write(folder / "seaweedfs" / "s3.json", json.dumps({"identities": [owner]}).encode())
    program = read_or_make_secret(made / "oidc-client-program", new_token(48))
    values = RealmValues(public_url, secret("oidc-client-orion-bff"), program, demo_password)
    realm = folder / "keycloak" / "import"
    realm.mkdir(exist_ok=True)
    _write(realm / "orion-realm.json", json.dumps(realm_document(values)).encode())


def _users(password: str) -> str:
    return f"user default on >{password} ~* &* +@all\n"


def main(arguments: list[str]) -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="orion.app.provision", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sign-in-host", default="localhost")
    parser.add_argument("--demo-password", default="", help="demo only: lets demo users in")
    given = parser.parse_args(arguments)
    provision(given.folder, Settings(), given.sign_in_host, given.demo_password)
    print(f"{given.folder} holds what each process is given.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
