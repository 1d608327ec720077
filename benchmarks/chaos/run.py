"""One run from its start to its verdict."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
from rich.console import Console

from benchmarks.chaos.choice import chosen, every, is_death
from benchmarks.chaos.client import Client
from benchmarks.chaos.facts import is_quiet, read_facts
from benchmarks.chaos.faults import Fired, NotFired
from benchmarks.chaos.faults_copies import Restart, noticed
from benchmarks.chaos.ground import EMBEDDED, cluster
from benchmarks.chaos.history import History
from benchmarks.chaos.judge import Verdict, judge
from benchmarks.chaos.load import Load
from benchmarks.chaos.probes import Probes
from benchmarks.chaos.report import result_of, show
from benchmarks.chaos.signs import Signs
from benchmarks.chaos.target import TENANTS, Target
from benchmarks.harness import RESULTS, context
from benchmarks.own_platform import machine, orion
from benchmarks.rfq_to_trade import OPEN_DEALERS
from orion.platform.faults import ENVIRONMENT

WARM_S, BACK_S, QUIET_S, VERIFY_S = 150.0, 60.0, 60.0, 600.0
say = Console(highlight=False, soft_wrap=True).print


@dataclass(frozen=True)
class Plan:
    """What a run is to do."""

    kills: int
    others: int
    acked: int
    minutes: float
    only: tuple[str, ...]
    kinds: tuple[str, ...]
    profile: str
    processes: str
    copies: int
    workers: int
    seed: int


@dataclass
class Done:
    """What a run did."""

    fired: list[Fired]
    wrong: list[str]
    counts: dict[str, float]
    kills: int = 0
    verdict: Verdict | None = None


async def run(plan: Plan) -> dict[str, Any]:
    """What is to be kept of it. Its history and, when something is wrong, the platform's logs lie
    among the benchmarks' results, which are nobody's to commit.
    """
    where = context()
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"chaos-{stamp(where)}.history.jsonl"
    with tempfile.TemporaryDirectory(prefix="orion-chaos-", dir="/tmp") as made:
        folder = Path(made)
        (folder / "faults").mkdir()
        async with cluster(folder) if plan.profile == "cluster" else nullcontext(EMBEDDED) as on:
            environment = {
                **OPEN_DEALERS,
                "ORION_PROCESSES": plan.processes,
                "ORION_ENV": ENVIRONMENT,
                "ORION_FAULTS": str(folder / "faults"),
                "ORION_COPIES": str(plan.copies),
                "ORION_ARCHIVE_WAIT_S": "1",  # so that it writes all the time
                **on.environment,
            }
            verb = "cluster" if plan.profile == "cluster" else "up"
            async with orion(17, environment, verb=verb) as (port, told, supervisor):
                done = await _hurt(plan, Target(port, told, supervisor, on), History(path))
    show(done)
    return result_of({**where, "options": asdict(plan)}, done, path)


def stamp(where: Mapping[str, Any]) -> str:
    """When it began, as a part of a file's name."""
    return str(where["at"])[:19].replace(":", "").replace("-", "")


async def _hurt(plan: Plan, target: Target, history: History) -> Done:
    done = Done([], [], {})
    signs = Signs(history.now)
    client = Client(target.port)
    users = target.users()
    load = Load(client, users, history, signs, workers=plan.workers, seed=plan.seed)
    began, burnt = time.monotonic(), machine()[0]
    try:
        async with load, Probes(client, target.port, users[0], signs, load):
            await _warm(target, history, signs, load)
            # The limit is of the whole run; what follows must end too, and is bounded by itself.
            try:
                async with asyncio.timeout(plan.minutes * 60):
                    await _faults(plan, target, history, signs, load, done)
            except TimeoutError:
                done.wrong.append(f"the time of {plan.minutes:g} minutes was over")
        took, burnt = time.monotonic() - began, machine()[0] - burnt
        asked_again = await load.settle()
        await _quiet(target, done)
    finally:
        await client.close()
        history.close()
    facts = await read_facts(target.access.dsn("orion_owner"), list(TENANTS))
    done.verdict = judge(history.ops, facts)
    done.wrong += done.verdict.violations
    done.counts = {
        "acknowledged commands": history.acked,
        "acknowledged a second": round(history.acked / took, 1),
        "answers that left the outcome open": load.unknown,
        "commands settled at the end": asked_again,
        "kills": done.kills,
        "other faults": len(done.fired) - done.kills,
        "seconds under load": round(took, 1),
        "the machine's CPU ms for one, others' included": round(burnt * 1000 / history.acked, 1),
    }
    _floors(plan, done)
    for verb in (["verify"], ["audit", "verify"]):
        done.wrong += await asyncio.to_thread(_verb, target, verb)
    if done.wrong:
        _keep_logs(target, history)
    return done


def _keep_logs(target: Target, history: History) -> None:
    kept = history.path.with_suffix("").with_suffix(".logs")
    shutil.copytree(target.settings.data_dir / "logs", kept, dirs_exist_ok=True)


async def _warm(target: Target, history: History, signs: Signs, load: Load) -> None:
    watch = await signs.after(signs.now(), {"command", "quote", "trade", "tick"}, WARM_S)
    load.check()
    if watch.missing():
        _keep_logs(target, history)
        raise SystemExit(f"the platform does not trade: no {', '.join(watch.missing())}")


async def _faults(
    plan: Plan, target: Target, history: History, signs: Signs, load: Load, done: Done
) -> None:
    start = history.acked
    possible = every(target, plan.kinds, plan.only)
    faults = chosen(possible, kills=plan.kills, others=plan.others, seed=plan.seed)
    for number, fault in enumerate(faults, 1):
        # Evenly spread over the commands, so that each fault meets a platform at work.
        await _reach(history, load, start + (plan.acked - start) * (number - 1) // len(faults))
        try:
            fired = await fault.fire(target, history.now)
        except (NotFired, OSError, asyncpg.PostgresError) as error:
            _wrong(done, f"{fault.name} of {fault.victim} did not happen: {error}")
            continue
        watch = await signs.after(fired.over or fired.at, fault.signs(target), BACK_S)
        fired.back_ms = {kind: took / 1000 for kind, took in watch.first.items()}
        fired.missing = sorted(watch.missing())
        if fired.missing:
            lost = f"no {', '.join(fired.missing)} within {BACK_S:g} s"
            _wrong(done, f"{fault.name} of {fault.victim}: {lost}")
        if fired.wrong:
            _wrong(done, fired.wrong)
        if isinstance(fault, Restart):
            for text in noticed(history.ops, fired.at, fired.over):
                _wrong(done, f"a restart was noticed: {text}")
        done.fired.append(fired)
        done.kills += is_death(fault)
        slowest = max(fired.back_ms.values(), default=0.0)
        say(
            f"{number:4}  {fault.name:<20} {fault.victim:<22} back after {slowest:6.0f} ms"
            f"  {history.acked} acknowledged"
        )
    await _reach(history, load, plan.acked)


def _wrong(done: Done, text: str) -> None:
    """Told at once, and at the end."""
    done.wrong.append(text)
    say(f"      WRONG: {text}", markup=False)


async def _reach(history: History, load: Load, goal: int) -> None:
    while history.acked < goal:
        load.check()
        await asyncio.sleep(0.05)


async def _quiet(target: Target, done: Done) -> None:
    """Waits until every accept has its end."""
    ends = time.monotonic() + QUIET_S
    while not await is_quiet(target.access.dsn("orion_owner")):
        if time.monotonic() > ends:
            done.wrong.append(f"not quiet within {QUIET_S:g} s: accepts without an end")
            return
        await asyncio.sleep(0.1)


def _floors(plan: Plan, done: Done) -> None:
    """Green over nothing is red."""
    assert done.verdict is not None
    floors = {
        "acknowledged commands": plan.acked,
        "kills": plan.kills,
        "other faults": plan.others,
    }
    for what, floor in floors.items():
        if done.counts[what] < floor:
            done.wrong.append(f"only {done.counts[what]:g} {what}, {floor} were wanted")


def _verb(target: Target, words: list[str]) -> list[str]:
    environment = dict(target.environment)
    if dsn := target.settings.platform.postgres_dsn:
        environment["ORION_POSTGRES_DSN"] = dsn
    found = subprocess.run(
        [sys.executable, "-P", "-m", "orion.app.cli", *words], env=environment,
        capture_output=True, text=True, timeout=VERIFY_S, check=False,
    )  # fmt: skip
    if found.returncode == 0:
        return []
    return [f"orion {' '.join(words)}: {(found.stdout + found.stderr)[-1500:]}"]
