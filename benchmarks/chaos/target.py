"""The platform that is hurt: its processes by name, found from outside, and those who use it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.chaos.ground import EMBEDDED, Ground
from benchmarks.chaos.load import PARTITIONS, User
from benchmarks.own_platform import CHILD
from orion.app.modules import layout
from orion.app.running import settings_of_running
from orion.core.ids import slot_of
from orion.platform.config import Settings
from orion.platform.embedded import Access
from orion.services.identity.keys import SigningKeys

TENANTS = ("alpha", "beta")
TOKEN_S = 1800


@dataclass(frozen=True)
class Seen:
    """One process at one moment: a number alone may be another's later."""

    pid: int
    born: float

    @property
    def is_there(self) -> bool:
        """Whether this very process runs or stands."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.pid)
            return found.create_time() == self.born and found.status() != psutil.STATUS_ZOMBIE
        return False

    @property
    def is_stopped(self) -> bool:
        """Whether the kernel holds it (SIGSTOP)."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        return False


class Target:
    """A running platform. `supervisor` is the process that keeps all others."""

    def __init__(
        self,
        port: int,
        environment: Mapping[str, str],
        supervisor: psutil.Process,
        ground: Ground = EMBEDDED,
    ):
        self.port, self.environment, self.ground = port, environment, ground
        # As it runs: servers that it started itself are named only there.
        self.settings = settings_of_running(Settings(environment=environment))
        self.supervisor = supervisor
        self.faults = Path(environment["ORION_FAULTS"])

    def processes(self) -> dict[str, Seen]:
        """Every process of the platform by name: services' as the layout calls them, servers by
        what they are.
        """
        found: dict[str, Seen] = {}
        for child in self.supervisor.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                name = _name(child)
                if name:
                    found.setdefault(name, Seen(child.pid, child.create_time()))
        for name, server in self.ground.servers.items():
            with contextlib.suppress(psutil.Error):
                if (pid := server.process.pid) is not None:
                    found[name] = Seen(pid, psutil.Process(pid).create_time())
        return found

    def services(self) -> dict[str, tuple[str, ...]]:
        """Process → the services in it."""
        platform = self.settings.platform
        return layout(platform.processes, platform.profile)

    @property
    def access(self) -> Access:
        """The way into the database."""
        settings = self.settings
        return Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)

    def users(self) -> list[User]:
        """One user of each tenant for each partition, so that all are dealt in."""
        tokens = Tokens(self.settings, self.ground.keys)
        found: list[User] = []
        for part in range(PARTITIONS):
            for tenant in TENANTS:
                names = (f"chaos{n}@{tenant}" for n in range(10_000))
                name = next(n for n in names if slot_of(tenant, n) % PARTITIONS == part)
                found.append(User(tenant, name, lambda n=name, t=tenant: tokens.of(n, t)))
        return found


class Tokens:
    """Access tokens as identity would sign them, kept until they are old."""

    def __init__(self, settings: Settings, keys: SigningKeys | None):
        self._issuer = settings.issuer
        self._keys = keys or SigningKeys(settings.secrets_dir, may_create=False)
        self._kept: dict[str, tuple[float, str]] = {}

    def of(self, user: str, tenant: str) -> str:
        """The user's token."""
        now = time.time()
        ends, token = self._kept.get(user, (0.0, ""))
        if ends < now + TOKEN_S / 2:
            token = self._signed(user, tenant, int(now))
            self._kept[user] = (now + TOKEN_S, token)
        return token

    def _signed(self, user: str, tenant: str, now: int) -> str:
        entitled = {
            "assetClasses": ["FX"], "instrumentIds": None, "venueIds": ["XORN", "XLYR"],
            "maxNotional": "1000000000", "rfqPerMinute": 1_000_000,
        }  # fmt: skip
        return self._keys.sign(
            {
                "iss": self._issuer, "aud": "orion", "sub": f"sub-{user.partition('@')[0]}",
                "iat": now, "exp": now + TOKEN_S, "tenant": tenant, "user": user, "name": user,
                "desk": "chaos", "roles": ["ROLE_TRADER"], "ent": entitled, "sid": f"sid-{user}",
            },
            "at+jwt",
        )  # fmt: skip


def base(name: str) -> str:
    """The process of which this is a copy: rfq of rfq.2."""
    return name.partition(".")[0]


def _name(process: psutil.Process) -> str:
    """What it is; nothing for helpers and for what a server forked for itself."""
    words = process.cmdline()
    if CHILD in words:
        return words[words.index(CHILD) + 1]
    first = Path(words[0]).name if words else ""
    if first == "postgres" and "-D" in words:
        return "postgres"
    return ""
