"""`orion restart`: the platform's processes anew, one copy after the other, so that nobody who uses
it notices. The verb asks the supervisor that runs, over a socket in the run folder.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from orion.app.modules import copies_of, layout
from orion.app.running import settings_of_running
from orion.platform import telemetry
from orion.platform.config import Settings
from orion.platform.datadir import StartError
from orion.platform.supervise import Supervisor

SOCKET = "supervisor.sock"
# Who called the copy that left finds the new one within this, before the next copy leaves.
SETTLE_S = 1.5


class Gap(StartError):
    """Nobody would do the work meanwhile, and nobody said that this is wanted."""

    exit_code = 2


def plan(settings: Settings, services: Sequence[str]) -> list[tuple[str, ...]]:
    """The processes with these services (none: all), each with its copies. Raises StartError."""
    platform = settings.platform
    grouped = layout(platform.processes, platform.profile)
    known = {*grouped, *(name for names in grouped.values() for name in names)}
    if unknown := set(services) - known:
        raise StartError(f"Nothing here is called {', '.join(sorted(unknown))}.")
    return [
        copies_of(process, platform.copies)
        for process, names in grouped.items()
        if not services or {process, *names} & set(services)
    ]


async def attend(settings: Settings, supervisor: Supervisor) -> asyncio.Server:
    """Listens for the verb, one restart at a time, until it is closed."""
    path = settings.run_dir / SOCKET
    path.unlink(missing_ok=True)
    turn = asyncio.Lock()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def tell(**said: Any) -> None:
            writer.write(json.dumps(said).encode() + b"\n")

        try:
            services = json.loads(await reader.readline())["restart"]
            if turn.locked():
                raise StartError("A restart is under way already.")
            async with turn:
                await _roll(supervisor, plan(settings, services), tell)
            tell(end="")
        except (StartError, ValueError, KeyError, TypeError) as error:
            tell(end=str(error) or type(error).__name__)
        finally:
            with suppress(OSError):
                await writer.drain()
            writer.close()

    server = await asyncio.start_unix_server(answer, str(path))
    path.chmod(0o600)
    return server


async def _roll(supervisor: Supervisor, processes: Sequence[Sequence[str]], tell: Any) -> None:
    supervisor.reread()
    for copies in processes:
        for name in copies:
            away_s = await supervisor.renew(name, in_order=len(copies) > 1)
            telemetry.log.info("restarted", of=name, seconds=round(away_s, 2))
            tell(process=name, seconds=round(away_s, 1))
            if len(copies) > 1:
                await asyncio.sleep(SETTLE_S)


async def restart(
    settings: Settings, services: Sequence[str], *, with_gap: bool
) -> AsyncIterator[tuple[str, float]]:
    """Asks for it; gives each process that is there again, with the seconds it was away. Raises
    StartError; Gap where there is only one copy and `with_gap` is not said.
    """
    running = settings_of_running(settings)
    plan(running, services)
    if running.platform.copies == 1 and not with_gap:
        raise Gap(
            "There is one copy of each process, so its work rests for a second or two. Add --yes,"
            " or run the platform with ORION_COPIES=2."
        )
    async for said in _ask(running.run_dir / SOCKET, services):
        if "end" not in said:
            yield said["process"], said["seconds"]
        elif said["end"]:
            raise StartError(said["end"])
        else:
            return
    raise StartError("The platform ended meanwhile.")


async def _ask(path: Path, services: Sequence[str]) -> AsyncIterator[dict[str, Any]]:
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError as error:
        raise StartError(f"The supervisor does not answer ({error.strerror}).") from None
    try:
        writer.write(json.dumps({"restart": list(services)}).encode() + b"\n")
        await writer.drain()
        while line := await reader.readline():
            yield json.loads(line)
    finally:
        writer.close()
