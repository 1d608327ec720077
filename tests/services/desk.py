"""The door and the services around it, built as the hall builds them, over real gRPC, PostgreSQL
and HTTP, in the test's loop.

Services of others are not here: asking them is UNAVAILABLE, which is a case of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import ECKey

from orion.app.modules import MODULES
from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.cache.memory import MemoryCache
from orion.platform.clock import SystemClock
from orion.platform.config import Settings
from orion.platform.module import Module, Ports
from orion.platform.rpc import Directory, Home, RpcServer
from tests.forged import SERVICE_KEY, Forger
from tests.services.machine import Machine
from tests.web import served

EVERYTHING = {
    "assetClasses": ["FX", "RATES", "CREDIT", "EQUITY"],
    "instrumentIds": None,
    "venueIds": ["XORN", "XLYR", "XCRU"],
    "maxNotional": "100000000",
    "rfqPerMinute": 100_000,
}
ROLES = ("TRADER", "SALES", "RISK", "ANALYST", "ADMIN", "PLATFORM")
TENANTS = ("alpha", "beta")


@dataclass
class Desk:
    """A running door. `as_user` gives a client with that user's bearer token."""

    port: int
    settings: Settings
    forger: Forger
    directory: Directory
    verifier: Verifier
    machine: Machine
    modules: dict[str, Module] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://localhost:{self.port}"

    def token(self, name: str, tenant: str = "alpha", **claims: Any) -> str:
        """A good access token of a user such as trader or trader2 (roles by the name)."""
        role = name.rstrip("0123456789").upper()
        claims.setdefault("ent", EVERYTHING)
        desk = claims.pop("desk", "macro" if role == "TRADER" else name)
        return self.forger.user(
            sub=f"{tenant}-{name}",
            tenant=tenant,
            user=f"{name}@{tenant}",
            name=name.title(),
            desk=desk,
            roles=[f"ROLE_{role}"],
            sid=f"{tenant}-{name}",
            **claims,
        )

    @contextlib.asynccontextmanager
    async def as_user(
        self, name: str, tenant: str = "alpha", **claims: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"authorization": f"Bearer {self.token(name, tenant, **claims)}"}
        async with httpx.AsyncClient(base_url=self.base, headers=headers, timeout=20) as client:
            yield client

    def anyone(self) -> httpx.AsyncClient:
        """A client without a token."""
        return httpx.AsyncClient(base_url=self.base, timeout=20)


@contextlib.asynccontextmanager
async def opened(
    machine: Machine, tmp: Path, names: tuple[str, ...], cache: Any = None
) -> AsyncIterator[Desk]:
    """Runs the named services and the door."""
    clock = SystemClock()
    address = f"unix:{tmp}/rpc.sock"
    absent = f"unix:{tmp}/absent.sock"
    addresses = {
        name: address if name in names or name == "bff_workstation" else absent for name in MODULES
    }
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    built: list[Desk] = []

    def make(port: int) -> Any:
        settings = Settings(
            {"port": port, "data_dir": str(tmp / "data"), "public_url": f"http://localhost:{port}"},
            environment={},
        )
        forger = Forger(key, clock.now() // 1_000_000, issuer=settings.issuer)
        verifier = Verifier(
            StaticKeys({"keys": [key.as_dict(private=False)]}),
            issuer=settings.issuer,
            clock=clock,
            service_key=SERVICE_KEY,
        )
        tokens = ServiceTokens(SERVICE_KEY, "bff_workstation", clock)
        directory = Directory(addresses, tokens, Home(address))
        ports = Ports(
            clock=clock,
            bus=machine.bus,
            store=machine.store,
            database=machine.database,
            cache=cache or MemoryCache(),
            directory=directory,
            verifier=verifier,
            settings=settings,
            telemetry=None,
            address=address,
        )
        modules = {n: _build(n, ports, directory) for n in (*names, "bff_workstation")}
        built.append(Desk(port, settings, forger, directory, verifier, machine, modules))
        return modules["bff_workstation"].http

    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(served(make))
        desk = built[0]
        rpc = RpcServer(address, desk.verifier.verify, desk.directory.home)
        for module in desk.modules.values():
            for register, servicer in module.rpc:
                rpc.add(register, servicer)
        await rpc.start()
        await rpc.set_ready(True)
        tasks = [asyncio.create_task(t()) for m in desk.modules.values() for t in m.tasks]
        try:
            await until(lambda: _is_ready(desk), 60)
            yield desk
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await desk.directory.close()
            await rpc.stop(0)


async def _is_ready(desk: Desk) -> bool:
    return all(module.ready() is None for module in desk.modules.values())


def _build(name: str, ports: Ports, directory: Directory) -> Module:
    speaking = directory.speaking_as(ServiceTokens(SERVICE_KEY, name, ports.clock))
    entry = MODULES[name]
    config = ports.settings.section(name, entry.config_type)
    return entry.build(replace(ports, directory=speaking), config)


async def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Waits, bounded, until the (async) condition is true; gives its value."""
    async with asyncio.timeout(seconds):
        while True:
            value = condition()
            value = await value if asyncio.iscoroutine(value) else value
            if value:
                return value
            await asyncio.sleep(0.01)
