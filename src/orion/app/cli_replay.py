"""The verbs about what was said: the archive, and replays into a sandbox."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orion.app.cli_ground import FAILED, DataDir, run, settings_with

archive_verbs = typer.Typer(help="The archive of what was said.", no_args_is_help=True)
sandbox_verbs = typer.Typer(help="Sandboxes that replays go into.", no_args_is_help=True)

Topics = Annotated[list[str] | None, typer.Argument(help="Topics. None: all.")]


@archive_verbs.command("status")
def archive_status(topics: Topics = None, data_dir: DataDir = None) -> None:
    """Say how far each topic is archived."""
    from orion.app.archives import status

    settings = settings_with(data_dir=data_dir)

    async def work() -> bool:
        damaged = False
        async for topic in status(settings, topics or ()):
            print(topic)
            damaged = damaged or bool(topic.problem)
        return damaged

    if run(work()):
        raise SystemExit(FAILED)


@archive_verbs.command("verify")
def archive_verify(topics: Topics = None, data_dir: DataDir = None) -> None:
    """Read the whole archive and compare it with its manifest; 1 if anything is amiss."""
    from orion.app.archives import whole

    settings = settings_with(data_dir=data_dir)

    async def work() -> int:
        problems = 0
        async for topic, seen in whole(settings, topics or ()):
            print(
                f"{topic}: {seen.rows} records, {seen.files} files, {seen.pages} pages of manifest"
            )
            _told(seen)
            problems += len(seen.problems)
        return problems

    problems = run(work())
    print(f"{problems} problems.")
    if problems:
        raise SystemExit(FAILED)


def _told(seen: Any) -> None:
    for problem in seen.problems:
        print(f"  PROBLEM: {problem}")
    for gap in seen.gaps:
        print(f"  never archived: {gap}")
    for stray in seen.strays:
        print(f"  counts nowhere: {stray}")


def replay() -> None:
    """Deliver recorded events again."""
    from orion.app.cli_ground import NOT_THERE, fail

    fail(
        "`orion replay` is not there yet in this version. Read models: `orion rebuild`.", NOT_THERE
    )
