"""A platform of either profile for one run, its users, and how the two stand beside each other.

In both profiles tokens are signed here: with identity's own key on the embedded one, with the key
of an issuer that the cluster trusts on the other (signing in is not what is measured). On a cluster
RPC goes over TCP with certificates; callers here show those of the services they stand for.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
import psutil

from benchmarks.harness import Option, Outcome, Sheet
from benchmarks.own_issuer import issuer
from benchmarks.own_platform import free_port, orion
from orion.app.certs import credentials_of
from orion.app.modules import MODULES
from orion.app.profiles import addresses
from orion.app.running import settings_of_running
from orion.platform.config import Settings
from orion.platform.rpc.client import OPTIONS
from orion.services.identity.keys import SigningKeys

EMBEDDED, CLUSTER, BOTH = "embedded", "cluster", "both"
PROFILE = Option(
    "profile", EMBEDDED, "what runs; both: one after the other", choices=(EMBEDDED, CLUSTER, BOTH)
)
GROUPING = Option(
    "grouping", "default", "processes of the platform", choices=("default", "per-service")
)
TOKEN_S = 1_800
ENTITLED = {
    "assetClasses": ["FX"], "instrumentIds": None, "venueIds": ["XORN", "XLYR"],
    "maxNotional": "1000000000", "rfqPerMinute": 1_000_000,
}  # fmt: skip


@dataclass
class Running:
    """A platform that is ready."""

    port: int
    environment: dict[str, str]
    supervisor: psutil.Process
    own_keys: SigningKeys | None

    @cached_property
    def settings(self) -> Settings:
        """As it runs: servers that it started itself are named only there."""
        return settings_of_running(Settings(environment=self.environment))

    @cached_property
    def keys(self) -> SigningKeys:
        """Those that it believes."""
        return self.own_keys or SigningKeys(self.settings.secrets_dir, may_create=False)

    def token(self, user: str, role: str = "ROLE_TRADER", entitled: Any = ENTITLED) -> str:
        """An access token of somebody who may do this, such as bench1@alpha."""
        name, _, tenant = user.partition("@")
        now = int(time.time())
        claims = {
            "iss": self.settings.issuer, "aud": "orion", "sub": name, "iat": now,
            "exp": now + TOKEN_S, "tenant": tenant, "user": user, "name": name, "desk": "bench",
            "roles": [role], "ent": entitled, "sid": f"sid-{user}",
        }  # fmt: skip
        return self.keys.sign(claims, "at+jwt")

    def channel(self, service: str, speaking_as: str, number: int = 0) -> grpc.aio.Channel:
        """A connection of its own to a service, as another service makes it."""
        address = addresses(self.settings)[service][0]
        options = (*OPTIONS, ("bench.channel", number))
        secure = credentials_of(self.settings, speaking_as)
        if secure is None:
            return grpc.aio.insecure_channel(address, options=options)
        options += secure.calling_options(service)
        return grpc.aio.secure_channel(address, secure.for_calling(), options=options)

    def for_verbs(self) -> dict[str, str]:
        """The environment in which other verbs find its database."""
        dsn = self.settings.platform.postgres_dsn
        return {**self.environment, **({"ORION_POSTGRES_DSN": dsn} if dsn else {})}


@contextlib.asynccontextmanager
async def running(
    profile: str, rate: float, more: Mapping[str, str], grouping: str = "default"
) -> AsyncIterator[Running]:
    """The platform with `rate` simulated ticks a second, as long as the block lasts."""
    more = {"ORION_PROCESSES": grouping, **more}
    if profile == EMBEDDED:
        async with orion(rate, more) as (port, environment, supervisor):
            yield Running(port, environment, supervisor, None)
        return
    with tempfile.TemporaryDirectory(prefix="orion-bench-", dir="/tmp") as folder:
        keys = SigningKeys(Path(folder))
        async with issuer(keys, free_port()) as url:
            more = {**more, "ORION_OIDC_ISSUER": url}
            async with orion(rate, more, verb="cluster") as (port, environment, supervisor):
                yield Running(port, environment, supervisor, keys)


def home(process: str) -> str:
    """The process of the default grouping in which this one's work is done."""
    return MODULES[process].process if process in MODULES else process


def by_home(spent: Mapping[str, float]) -> dict[str, float]:
    """The same, as the embedded profile groups it."""
    found: dict[str, float] = {}
    for process, seconds in spent.items():
        found[home(process)] = found.get(home(process), 0.0) + seconds
    return found


def beside(one: Outcome, other: Outcome, *, unit: str, count: str, per: float = 1_000.0) -> Outcome:
    """Both as one: the embedded numbers under their own names, the cluster's with `cluster_` before
    them, and a table of ratios. `count`: which raw number the CPU is divided by, `per`: in which
    part of a second.
    """
    rows: list[Sequence[object]] = [
        (name, value, other.numbers.get(name, 0.0), ratio(value, other.numbers.get(name, 0.0)))
        for name, value in one.numbers.items()
    ]
    bills = [
        {k: v * per / max(1.0, o.raw[count]) for k, v in by_home(o.raw["cpu_seconds"]).items()}
        for o in (one, other)
    ]
    names = sorted({*bills[0], *bills[1]}, key=lambda n: -max(b.get(n, 0.0) for b in bills))
    paid = [(n, *(round(b.get(n, 0.0), 3) for b in bills)) for n in names]
    all_ = (round(sum(bills[0].values()), 3), round(sum(bills[1].values()), 3))
    columns = ("embedded", "cluster", "cluster / embedded")
    return Outcome(
        {**one.numbers, **{f"cluster_{k}": v for k, v in other.numbers.items()}},
        [
            *(_named(sheet, EMBEDDED) for sheet in one.sheets[:-1]),
            *(_named(sheet, CLUSTER) for sheet in other.sheets[:-1]),
            Sheet("Side by side", ("what", *columns), rows),
            Sheet(
                f"CPU, {unit}",
                ("work of", *columns),
                [(n, a, b, ratio(a, b)) for n, a, b in [*paid, ("all", *all_)] if a + b > 0],
            ),
        ],
        [*(f"embedded: {why}" for why in one.void), *(f"cluster: {why}" for why in other.void)],
        [*(f"embedded: {why}" for why in one.failed), *(f"cluster: {why}" for why in other.failed)],
        {EMBEDDED: one.raw, CLUSTER: other.raw},
        {**one.histograms, **{f"cluster {k}": h for k, h in other.histograms.items()}},
    )  # fmt: skip


def ratio(one: float, other: float) -> str:
    """How many times the one the other is."""
    return f"{other / one:.2f}" if one else "–"


def _named(sheet: Sheet, profile: str) -> Sheet:
    return Sheet(f"{sheet.title}, {profile}", sheet.columns, sheet.rows)
