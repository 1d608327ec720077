"""A second, independent OpenID provider on this machine: npm `oidc-provider`, certified, on the
Node that builds the web. For tests of sign-in: everything in memory, loopback only.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orion.app.servers.process import LOOPBACK, ServerProcess
from orion.platform.config import CHECKOUT
from orion.platform.datadir import StartError
from orion.platform.discovery import WELL_KNOWN, read_json

HOME = CHECKOUT / "infra" / "oidc-provider"
CACHE = CHECKOUT / ".cache" / "oidc-provider"
START_S = 30.0
ANSWER_S = 1.0


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the provider; `login` is a client's id where it is a program's."""

    login: str
    name: str
    tenant: str
    desk: str
    roles: Sequence[str]
    entitlements: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clients:
    """The workstation and a program, as this provider knows them."""

    public_url: str
    bff_secret: str
    program_secret: str
    program: str = "orion-program"
    access_token_s: int = 300

    def rows(self) -> list[dict[str, Any]]:
        """As client metadata (OpenID Connect Registration)."""
        return [
            {
                "client_id": "orion-bff",
                "client_secret": self.bff_secret,
                "redirect_uris": [f"{self.public_url}/auth/callback"],
                "post_logout_redirect_uris": [f"{self.public_url}/auth/signed-out"],
                "backchannel_logout_uri": f"{self.public_url}/auth/backchannel-logout",
                "backchannel_logout_session_required": True,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
            },
            {
                "client_id": self.program,
                "client_secret": self.program_secret,
                "redirect_uris": [],
                "grant_types": ["client_credentials"],
                "response_types": [],
            },
        ]


class OidcProviderServer:
    """`await start()`, `await stop()`; `process` for bad days. Raises StartError."""

    def __init__(
        self, folder: Path, port: int, clients: Clients, accounts: Sequence[Account], password: str
    ):
        self.folder, self.port = folder, port
        self._settings = {
            "issuer": self.issuer,
            "port": port,
            "clients": clients.rows(),
            "accounts": [asdict(account) for account in accounts],
            "password": password,
            "accessTokenSeconds": clients.access_token_s,
        }
        self.process = ServerProcess("oidc-provider", folder / "oidc-provider.log")

    @property
    def issuer(self) -> str:
        """The issuer."""
        return f"http://{LOOPBACK}:{self.port}"

    async def start(self) -> None:
        """Returns when it answers."""
        await asyncio.to_thread(fetch)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.folder / "settings.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(self._settings))
        command = [_tool("node"), CACHE / "server.mjs", file]
        await self.process.start(command, self._answers, seconds=START_S)

    async def stop(self) -> None:
        """An orderly end, bounded; then the hard way. Idempotent."""
        await self.process.stop()

    async def _answers(self) -> bool:
        def ask() -> bool:
            try:
                return read_json(self.issuer + WELL_KNOWN, ANSWER_S)["issuer"] == self.issuer
            except (OSError, ValueError, KeyError):
                return False

        return await asyncio.to_thread(ask)


def fetch() -> None:
    """Installs the locked packages into .cache, and the program beside them. Blocks; raises
    StartError."""
    sources = [HOME / name for name in ("package.json", "package-lock.json", ".npmrc")]
    mark, wanted = CACHE / ".installed", _digest(sources)
    if not mark.exists() or mark.read_text() != wanted:
        CACHE.mkdir(parents=True, exist_ok=True)
        for source in sources:
            shutil.copy(source, CACHE / source.name)
        # `ci` takes what the lock file names by hash, or nothing.
        done = subprocess.run(
            [_tool("npm"), "ci", "--ignore-scripts", "--loglevel=error"],
            cwd=CACHE, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise StartError(f"npm could not install oidc-provider: {done.stderr[-800:]}")
        mark.write_text(wanted)
    shutil.copy(HOME / "server.mjs", CACHE / "server.mjs")


def _tool(name: str) -> str:
    # The machine's own, else the one that set-up brings as a wheel.
    inside = CHECKOUT / ".venv" / "bin" / name
    found = shutil.which(name, path=os.pathsep.join((os.defpath, str(inside.parent))))
    if found is None:
        raise StartError(f"There is no {name} here. Install Node 20 or newer, or run ./orion setup")
    return found


def _digest(files: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()
