"""The command line. Every verb ends with 0, or with a sentence on stderr and another code: 1
failed, 2 not there or used wrongly, 78 configuration.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from orion.app.cli_certs import certs
from orion.app.cli_ground import FAILED, INTERRUPTED, NOT_THERE, DataDir, fail, run, settings_with
from orion.app.cli_replay import archive_verbs, replay, sandbox_verbs
from orion.app.cli_restored import restored
from orion.app.origin import Origin
from orion.platform.config import CHECKOUT

app = typer.Typer(
    name="orion",
    help="Orion: from tick to trade.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
user_verbs = typer.Typer(help="Users of the running platform.", no_args_is_help=True)
audit_verbs = typer.Typer(help="The audit trail.", no_args_is_help=True)
dlq_verbs = typer.Typer(help="Dead letters.", no_args_is_help=True)
app.add_typer(user_verbs, name="user")
app.add_typer(audit_verbs, name="audit")
app.add_typer(dlq_verbs, name="dlq")
topic_verbs = typer.Typer(help="Kafka's topics (cluster profile).", no_args_is_help=True)
app.add_typer(topic_verbs, name="topics")
app.add_typer(archive_verbs, name="archive")
app.add_typer(sandbox_verbs, name="sandbox")


@app.command()
def up(
    port: Annotated[
        int | None, typer.Option(help="The one public port: REST, WebSocket and the web. [8080]")
    ] = None,
    data_dir: DataDir = None,
    seed: Annotated[int | None, typer.Option(help="Seed of simulated prices and dealers.")] = None,
    scenario: Annotated[str | None, typer.Option(help="Market scenario of the simulator.")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="A recorded file whose quotes are replayed.")
    ] = None,
    speed: Annotated[str | None, typer.Option(help="Replay speed: 0.2, 1, 5 … or max.")] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Replay the file once instead of looping.")
    ] = False,
    processes: Annotated[
        str | None, typer.Option(help="Grouping: a number, or per-service. [default]")
    ] = None,
) -> None:
    """Start everything in the foreground; Ctrl-C stops it."""
    _up(
        port=port,
        data_dir=data_dir,
        seed=seed,
        scenario=scenario,
        replay=_recording(replay),
        speed=speed,
        once=once or None,
        processes=processes,
    )


@app.command()
def cluster(
    port: Annotated[
        int | None, typer.Option(help="The public port; the servers' begin 100 above it. [8080]")
    ] = None,
    data_dir: DataDir = None,
    copies: Annotated[int | None, typer.Option(help="Copies of every service. [1]")] = None,
    processes: Annotated[
        str | None, typer.Option(help="Grouping: a number, or per-service. [per-service]")
    ] = None,
) -> None:
    """Start the cluster profile on this machine, with Kafka, PostgreSQL, Redis, S3 and Keycloak."""
    from orion.app.cluster import cluster as run_cluster

    flags = {"port": port, "data_dir": data_dir, "copies": copies, "processes": processes}
    run(run_cluster(flags, Console()))


def _up(**flags: Any) -> None:
    from orion.app.up import up as run_platform

    run(run_platform(settings_with(**flags), Console()))


def _recording(given: Path | None) -> Path | None:
    """A file by its whole path; else the name of a recording that ships, as it stands."""
    if given is None or not given.expanduser().exists():
        return given
    return given.expanduser().absolute()


@app.command()
def serve(
    roles: Annotated[list[str], typer.Argument(help="Services to run in this process.")],
    process: Annotated[
        str, typer.Option(help="The process's name: of its sockets and its log.")
    ] = "",
) -> None:
    """Run some services in this process, beside a database and the others that already run."""
    from orion.app.modules import MODULES
    from orion.app.serve import notify_parent
    from orion.app.serve import serve as run_services

    unknown = [role for role in roles if role not in MODULES]
    if unknown:
        fail(f"There is no service {', '.join(unknown)}. Known: {', '.join(MODULES)}.", NOT_THERE)
    settings = settings_with()
    run(run_services(process or roles[0], roles, settings, notify_parent))


@app.command()
def restart(
    services: Annotated[
        list[str] | None, typer.Argument(help="Services or processes. None: all.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also where there is one copy: its work rests a moment.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Restart the running platform's processes, one copy after the other, without a gap."""
    from orion.app.restart import restart as ask

    async def work() -> None:
        settings = settings_with(data_dir=data_dir)
        async for process, seconds in ask(settings, services or [], with_gap=yes):
            print(f"{process} is back ({seconds:.1f} s)", flush=True)

    run(work())


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to this version's tables."""
    from orion.app.operate import migrate_database

    applied = run(migrate_database(settings_with(data_dir=data_dir)))
    print("\n".join(f"applied {name}" for name in applied) or "The database is up to date.")


@app.command()
def token(
    user: Annotated[str, typer.Argument(help="Such as trader@alpha.")], data_dir: DataDir = None
) -> None:
    """Print a bearer token for scripts, from the running platform."""
    from orion.app.operate import token as mint

    print(run(mint(settings_with(data_dir=data_dir), user)))


@user_verbs.command("disable")
def user_disable(
    user: Annotated[str, typer.Argument(help="Such as trader@alpha.")], data_dir: DataDir = None
) -> None:
    """End a user's sessions and refuse new ones."""
    from orion.app.operate import set_user

    run(set_user(settings_with(data_dir=data_dir), user, disabled=True))
    print(f"{user} is disabled.")


@user_verbs.command("enable")
def user_enable(
    user: Annotated[str, typer.Argument(help="Such as trader@alpha.")], data_dir: DataDir = None
) -> None:
    """Let a disabled user sign in again."""
    from orion.app.operate import set_user

    run(set_user(settings_with(data_dir=data_dir), user, disabled=False))
    print(f"{user} may sign in again.")


@audit_verbs.command("verify")
def audit_verify(data_dir: DataDir = None) -> None:
    """Compare audit rows, their chains, the anchors and the log."""
    from orion.app.operate import audit_verify as check

    summary, violations, notes = run(check(settings_with(data_dir=data_dir)))
    for note in notes:
        print(f"note: {note}")
    for violation in violations:
        print(f"VIOLATION: {violation}")
    print(f"Checked {summary}: {len(violations)} violations.")
    if violations:
        raise SystemExit(FAILED)


@app.command()
def rebuild(
    names: Annotated[
        list[str] | None, typer.Argument(help="Read models, or all. None: how each does.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only compare, change nothing.")] = False,
    origin: Annotated[
        Origin, typer.Option("--from", help="Where what was said is read.")
    ] = Origin.LOG,
    data_dir: DataDir = None,
) -> None:
    """Make read models anew from what was said and swap them in; without a name: how each does."""
    from orion.app.operate import ALL, read_models
    from orion.app.operate import rebuild as work

    settings = settings_with(data_dir=data_dir)
    if not names and not check:
        for state in run(read_models(settings)):
            print(state)
        return
    done = run(work(settings, names or [ALL], check=check, origin=origin))
    for one in done:
        same = "identical" if one.is_equal else "DIFFERENT"
        read = f"{one.records} records in {one.seconds:.1f} s"
        print(f"{one.name}: {read}, {same} (live {one.live}, anew {one.rebuilt})")
        for note in one.notes:
            print(f"  {note}")
    if check and not all(one.is_equal for one in done):
        raise SystemExit(FAILED)


Consumer = Annotated[str | None, typer.Option(help="Only of this consumer.")]
Tenant = Annotated[str | None, typer.Option(help="Only of this tenant.")]


@dlq_verbs.command("list")
def dlq_list(
    consumer: Consumer = None,
    tenant: Tenant = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those replayed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    data_dir: DataDir = None,
) -> None:
    """List dead letters, oldest first."""
    from orion.app.operate import dead_letters

    async def work() -> list[Any]:
        async with dead_letters(settings_with(data_dir=data_dir)) as (letters, store):
            return await letters.list_letters(
                store, consumer=consumer, tenant=tenant, is_open=not everything, limit=limit
            )

    found = run(work())
    for x in found:
        r = x.record
        parked = " (parked)" if x.parked else ""
        print(f"{x.consumer}  {r.topic}/{r.part}/{r.offset}  {r.tenant}  {r.entity}", end="  ")
        asked = f" (asked for by {x.asked_by})" if x.asked_by else ""
        done = f": {x.outcome}" if x.outcome else ""
        print(f"{x.status}{done}{parked}{asked}  {x.attempts} attempts  {x.error}")
    print(f"{len(found)} dead letters.")


@dlq_verbs.command("show")
def dlq_show(
    consumer: str,
    position: Annotated[str, typer.Argument(help="TOPIC/PART/OFFSET")],
    reveal: Annotated[bool, typer.Option("--reveal", help="With the record's values.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show one dead letter: the record's form (its values are hidden), the error, its history."""
    from orion.app.operate import dead_letters

    topic, part, offset = _position(position)

    async def work() -> Any:
        async with dead_letters(settings_with(data_dir=data_dir)) as (letters, store):
            found = await letters.show_letter(store, consumer, topic, part, offset)
            return found, await letters.history(store, found) if found else []

    letter, history = run(work())
    if letter is None:
        fail(f"{consumer} has no dead letter at {position}.")
    from orion.platform.deadletters import described

    for line in described(letter, history, reveal=reveal):
        print(line)


@dlq_verbs.command("replay")
def dlq_replay(
    consumer: str,
    tenant: Tenant = None,
    entity: Annotated[str | None, typer.Option(help="Only of this entity.")] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(help="Only TOPIC/PART/OFFSET, and what waits before it of its entity."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Ask a consumer to process its dead letters again, in order."""
    from orion.app.operate import dead_letters, operator

    places = [_position(one) for one in at or ()]

    async def work() -> int | None:
        async with dead_letters(settings_with(data_dir=data_dir)) as (letters, store):
            asked = await letters.replay_letters(
                store, consumer=consumer, tenant=tenant, entity=entity, at=places, by=operator()
            )
            ever = asked or await letters.list_letters(store, consumer=consumer, is_open=False)
            return len(asked) if ever else None

    asked = run(work())
    if asked is None:
        fail(f"{consumer} never had a dead letter; `orion dlq list` shows who has.")
    print(f"{asked} dead letters wait for {consumer}, which takes them while it runs.")


@topic_verbs.command("diff")
def topics_diff() -> None:
    """Print where Kafka's topics are not as contracts/topics.toml wants them; 1 if anywhere."""
    from orion.app.kafka_verbs import differences

    found = run(differences(settings_with()))
    print("\n".join(map(str, found)) or "Kafka's topics are as they should be.")
    if found:
        raise SystemExit(FAILED)


@topic_verbs.command("apply")
def topics_apply() -> None:
    """Make and widen Kafka's topics; nothing is shrunk or deleted. 1 if differences are left."""
    from orion.app.kafka_verbs import mend

    done, left = run(mend(settings_with()))
    print("\n".join(f"changed  {one}" for one in done) or "Nothing was to be done.")
    for one in left:
        print(f"left     {one}")
    if left:
        raise SystemExit(FAILED)


def _position(text: str) -> tuple[str, int, int]:
    topic, _, rest = text.partition("/")
    part, _, offset = rest.partition("/")
    if not (topic and part.isdecimal() and offset.isdecimal()):
        fail(f"{text!r} is no position. Write it as TOPIC/PART/OFFSET, as `dlq list` does.")
    return topic, int(part), int(offset)


@app.command()
def verify(data_dir: DataDir = None) -> None:
    """Check what must always hold; 0 and a summary, or each violation."""
    from orion.app.operate import verify as work

    checked, violations = run(work(settings_with(data_dir=data_dir)))
    for violation in violations:
        print(f"VIOLATION: {violation}")
    for line in checked:
        print(line)
    print(f"{len(violations)} violations.")
    if violations:
        raise SystemExit(FAILED)


app.command()(replay)
app.command()(restored)
app.command()(certs)

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=PASS_ON)
def bench(context: typer.Context) -> None:
    """Measure; what follows goes to the benchmark (`bench --help`)."""
    _become("benchmarks", "bench", context.args)


@app.command(context_settings=PASS_ON)
def chaos(context: typer.Context) -> None:
    """Kill processes under load and verify; what follows goes to the program."""
    _become("benchmarks.chaos", "chaos", context.args)


def _become(program: str, verb: str, arguments: list[str]) -> None:
    """Replaces this process by a program of the checkout."""
    folder = CHECKOUT / program.replace(".", "/")
    if not (folder / "__main__.py").is_file() and not folder.with_suffix(".py").is_file():
        fail(f"`orion {verb}` is not there yet in this version.", NOT_THERE)
    os.chdir(CHECKOUT)
    os.execv(sys.executable, [sys.executable, "-m", program, *arguments])


def main() -> None:
    """The entry point."""
    try:
        if sys.argv[1:] == ["up"]:
            _up()  # typer reads options with pydantic, whose import is a third of what comes before
        else:
            app(prog_name="./orion")
    except KeyboardInterrupt:  # while a verb was still being read in
        fail("Stopped before it was done.", INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
