"""Who may be whom over RPC: the certificates of this platform's processes, and what a connection
may be used for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from orion.app.modules import layout
from orion.platform import telemetry
from orion.platform.certificates import LEAF_DAYS, Authority, Names, needed
from orion.platform.clock import SystemClock
from orion.platform.config import ConfigError, Settings
from orion.platform.rpc.tls import Credentials, Peers, TlsFiles

CLI = "cli"
LOOK_S = 3600.0
# Whose connections carry users' tokens: the edge of the platform, and who asks on in their name.
SPEAK_FOR_USERS = ("bff_workstation", "workspace")
# Methods with which much could be done, and who has reason to call them with a service's token.
_OPERATOR = frozenset({CLI})
ONLY = {
    "/orion.v1.IdentityService/MintToken": _OPERATOR,
    "/orion.v1.IdentityService/DisableUser": _OPERATOR,
    "/orion.v1.IdentityService/RecordSignOut": frozenset({"bff_workstation"}),
    "/orion.v1.SessionService/Resolve": frozenset({"push_edge"}),
    "/orion.v1.RFQService/SubmitQuotes": frozenset({"lp_gateway"}),
}


def file_of(process: str) -> str:
    """The name of a process's certificate: copies share one."""
    name, dot, number = process.rpartition(".")
    return name if dot and number.isdecimal() else process


def credentials_of(settings: Settings, process: str) -> Credentials | None:
    """This process's certificate; None where RPC is in the clear. Raises ConfigError."""
    if not settings.rpc_is_secure:
        return None
    platform, folder, name = settings.platform, settings.rpc_tls_dir, file_of(process)
    files = TlsFiles(
        Path(platform.rpc_ca_file or folder / "ca.pem"),
        Path(platform.rpc_certificate_file or folder / f"{name}.pem"),
        Path(platform.rpc_key_file or folder / f"{name}.key"),
    )
    return Credentials(files, platform.env)


def peers_of(settings: Settings, services: Sequence[str]) -> Peers | None:
    """What a caller's certificate allows in a process with these services; None where there are
    none."""
    if not settings.rpc_is_secure:
        return None
    return Peers(settings.platform.env, SPEAK_FOR_USERS, ONLY, services)


def make(
    settings: Settings,
    *,
    hosts: Sequence[str] = (),
    dealers: Sequence[str] = (),
    days: int = LEAF_DAYS,
    anew: bool = False,
) -> list[str]:
    """Makes or renews the certificates of all processes, of the command line and of outside
    dealers; returns the files written. `hosts`: names under which outsiders reach the gateway.
    """
    platform = settings.platform
    groups = layout(platform.processes, platform.profile)
    wanted = needed([*groups.items(), (CLI, ())], hosts)
    wanted += [Names(f"dealer-{name}", (f"dealer:{name}",)) for name in dealers]
    authority = Authority(settings.rpc_tls_dir, platform.env, SystemClock())
    try:
        return authority.keep(wanted, days=days, anew=anew)
    except ValueError as error:
        raise ConfigError(
            str(settings.rpc_tls_dir),
            f"the certificates there cannot be used ({error})",
            "Move the folder away and run `orion certs` again",
        ) from error


async def keep(settings: Settings) -> None:
    """Renews in time what this platform made for itself, until cancelled; processes take what is
    new at their next look.
    """
    while True:
        await asyncio.sleep(LOOK_S)
        try:
            if written := await asyncio.to_thread(make, settings):
                telemetry.log.info("certificates renewed", files=written)
        except (ConfigError, OSError) as error:
            telemetry.log.error("certificates could not be renewed", error=str(error))


def makes_its_own(settings: Settings) -> bool:
    """Whether the platform on this machine is its own authority: nobody named other files."""
    platform = settings.platform
    return settings.rpc_is_secure and not (platform.rpc_tls_dir or platform.rpc_certificate_file)
