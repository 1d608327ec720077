"""The verbs about what was said: the archive, and replays into a sandbox."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from orion.app.cli_ground import FAILED, DataDir, run, settings_with
from orion.app.origin import Origin

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


def replay(
    topic: Annotated[str, typer.Option(help="Of which topic, such as rfq.lifecycle.")],
    into: Annotated[str, typer.Option(help="The sandbox's name; it is made when it is new.")],
    begin: Annotated[
        str, typer.Option("--from", help="The first offset, or a time. [the oldest that is kept]")
    ] = "",
    end: Annotated[
        str, typer.Option("--to", help="The offset or time to end before. [the end as it is now]")
    ] = "",
    part: Annotated[list[int] | None, typer.Option(help="Only this partition.")] = None,
    source: Annotated[Origin, typer.Option(help="Where it is read.")] = Origin.LOG,
    model: Annotated[
        list[str] | None, typer.Option("--apply", help="Then make this read model of it.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Refuse more records than this.", min=1)] = 1_000_000,
    data_dir: DataDir = None,
) -> None:
    """Deliver a range of what was said again, into a sandbox; nothing real hears it."""
    from orion.app.replays import Wish
    from orion.app.replays import replay as work

    settings = settings_with(data_dir=data_dir)
    wish = Wish(topic, tuple(sorted(set(part or ()))), begin, end, source, into, limit)
    done = run(work(settings, wish, print))
    print(f"{done} records replayed into the sandbox {into}.")
    for name in model or ():
        _apply(settings, into, name)


def _apply(settings: Any, sandbox: str, model: str) -> None:
    from orion.app.replays import apply

    done, tables = run(apply(settings, sandbox, model))
    print(f"{done} records applied. Look at {', '.join(tables)}.")


@sandbox_verbs.command("apply")
def sandbox_apply(name: str, model: str, data_dir: DataDir = None) -> None:
    """Make a read model of what a sandbox has, in tables of the sandbox."""
    _apply(settings_with(data_dir=data_dir), name, model)


@sandbox_verbs.command("list")
def sandbox_list(data_dir: DataDir = None) -> None:
    """List the sandboxes, and what is in each."""
    from orion.app.replays import listing

    found = run(listing(settings_with(data_dir=data_dir)))
    for name, ranges in found.items():
        for topic in dict.fromkeys(r.topic for r in ranges):
            mine = [r for r in ranges if r.topic == topic]
            there, left = sum(r.next - r.first for r in mine), sum(r.left for r in mine)
            print(
                f"{name}  {topic} {mine[0].words}: {there} records, {left} left ({mine[0].target})"
            )
    print(f"{len(found)} sandboxes.")


@sandbox_verbs.command("drop")
def sandbox_drop(name: str, data_dir: DataDir = None) -> None:
    """Remove a sandbox: its tables, and its topics on Kafka."""
    from orion.app.replays import drop

    for topic in run(drop(settings_with(data_dir=data_dir), name)):
        print(f"deleted  {topic}")
    print(f"The sandbox {name} is gone.")
