"""`orion certs`: an authority and a certificate for every process, where no other issues them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orion.app.cli_ground import DataDir, run, settings_with
from orion.platform.certificates import LEAF_DAYS


def certs(
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Where they are made; default DATA_DIR/secrets/tls."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=398, help="How long each is good.")] = LEAF_DAYS,
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address under which outsiders reach the platform."),
    ] = None,
    dealer: Annotated[
        list[str] | None, typer.Option(help="An outside dealer that needs a certificate.")
    ] = None,
    anew: Annotated[bool, typer.Option("--all", help="Also those that are good.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make or renew the certificates with which this platform's processes know each other."""
    from orion.app.certs import make

    settings = settings_with(rpc_tls_dir=str(folder) if folder else None, data_dir=data_dir)

    async def work() -> list[str]:
        return make(settings, hosts=host or (), dealers=dealer or (), days=days, anew=anew)

    written = run(work())
    print("\n".join(f"wrote {settings.rpc_tls_dir / name}" for name in written) or "All are good.")
