"""What the running platform tells the other verbs: its port and grouping, in a file of the run
folder.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import fields
from typing import Any

from orion.app.revision import demand_newest
from orion.platform.config import Settings
from orion.platform.datadir import DataFolder, InUse, StartError, make_run_dir
from orion.platform.embedded import Access, EmbeddedPostgres


def announce(settings: Settings) -> None:
    """Writes what a verb must know to speak with this platform."""
    platform = settings.platform
    told = {f.name: getattr(platform, f.name) for f in fields(platform) if f.name != "data_dir"}
    draft = settings.run_dir / ".running.json"
    draft.write_text(json.dumps(told))
    draft.replace(settings.run_dir / "running.json")


def withdraw(settings: Settings) -> None:
    """The platform no longer runs."""
    (settings.run_dir / "running.json").unlink(missing_ok=True)


def settings_of_running(settings: Settings) -> Settings:
    """The settings with which the platform on this data folder runs. Raises StartError when none
    does.
    """
    try:
        told: dict[str, Any] = json.loads((settings.run_dir / "running.json").read_text())
    except (OSError, ValueError):
        raise StartError(
            f"No platform runs on {settings.data_dir}. Start it with ./orion up, or name its "
            "folder with --data-dir or ORION_DATA_DIR."
        ) from None
    flags = {key: value for key, value in told.items() if value != ""}
    return Settings(flags={**flags, "data_dir": settings.data_dir})


@asynccontextmanager
async def database_of(settings: Settings, *, as_it_is: bool = False) -> AsyncIterator[Access]:
    """The way into the database: of the platform that runs, else of a server started for as long
    as the block lasts. Raises StartError where its tables are of another version, unless they are
    wanted `as_it_is`.
    """
    async with _database_of(settings) as door:
        if not as_it_is:
            await demand_newest(door.admin_dsn, settings.data_dir)
        yield door


@asynccontextmanager
async def _database_of(settings: Settings) -> AsyncIterator[Access]:
    door = Access(settings.data_dir, settings.run_dir, settings.platform.postgres_dsn)
    if settings.platform.postgres_dsn:
        yield door
        return
    if not (settings.data_dir / "pg").exists():
        raise StartError(f"{settings.data_dir} holds no data yet. ./orion up makes it.")
    async with AsyncExitStack() as stack:
        try:
            stack.enter_context(DataFolder(settings.data_dir))
        except InUse:
            yield door
            return
        # Nobody else runs on this data folder, so what its run folder holds is ours or left over.
        make_run_dir(settings.run_dir)
        stack.callback(shutil.rmtree, settings.run_dir, ignore_errors=True)
        await stack.enter_async_context(EmbeddedPostgres(settings.data_dir, settings.run_dir))
        yield door
