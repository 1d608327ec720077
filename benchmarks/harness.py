"""What every benchmark does the same way: its options (command line over a load configuration), the
context of a run, the verdict, the file it leaves and the table it prints.

A benchmark declares its options and a function that measures. The function says what makes the run
void (its own schedule or clients lagged, so nothing was measured) and what makes it failed
(something was lost, refused or doubled). Limits of the configuration are judged here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from hdrh.histogram import HdrHistogram
from rich.console import Console
from rich.table import Table

CHECKOUT = Path(__file__).resolve().parents[1]
CONFIGS = Path(__file__).with_name("load-test-configs")
RESULTS = CHECKOUT / ".benchmarks"
REACHED, FAILED, VOID = 0, 1, 2
MAX_LAG_MS = 3.0  # p99 of a run's own schedule; beyond it the run is void
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


@dataclass(frozen=True)
class Option:
    """A number or a word of a benchmark, the same on the command line and in a configuration."""

    name: str
    default: int | float | str
    doc: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: object) -> str | None:
        """Why this value cannot be used, or None."""
        kinds = (int, float) if isinstance(self.default, float) else type(self.default)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return f"{self.name} must be {type(self.default).__name__}, not {value!r}"
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, not {value!r}"
        if isinstance(value, int | float):
            if self.least is not None and value < self.least:
                return f"{self.name} must be at least {self.least:g}, not {value:g}"
            if self.most is not None and value > self.most:
                return f"{self.name} must be at most {self.most:g}, not {value:g}"
        return None


@dataclass
class Sheet:
    """A table of the report."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass
class Outcome:
    """What a run gave. `numbers` are those a limit may name."""

    numbers: dict[str, float]
    sheets: list[Sheet] = field(default_factory=list)
    void: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    histograms: dict[str, HdrHistogram] = field(default_factory=dict)


@dataclass(frozen=True)
class Benchmark:
    """One question. `limits`: the numbers a configuration may set a limit for (`<number>_max` or
    `<number>_min`).
    """

    name: str
    line: str
    doc: str
    options: tuple[Option, ...]
    limits: tuple[str, ...]
    measure: Callable[[argparse.Namespace], Outcome]


class BadConfig(Exception):
    """A load configuration that cannot be used; the text says where and why."""


@dataclass(frozen=True)
class Load:
    """What a configuration says for one benchmark."""

    values: Mapping[str, int | float | str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


def find_config(name: str) -> Path:
    """The file of a name such as `floor`, or of a path. Raises BadConfig."""
    for path in (CONFIGS / f"{name}.toml", Path(name)):
        if path.is_file():
            return path
    known = ", ".join(sorted(p.stem for p in CONFIGS.glob("*.toml")))
    raise BadConfig(f"There is no load configuration {name!r}. Give a file, or one of: {known}.")


def read_config(path: Path, benchmark: Benchmark) -> Load | None:
    """The part of a configuration that is for this benchmark; None when there is none. Raises
    BadConfig for what it does not know, because a mistyped key would measure something else.
    """
    try:
        document = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path.name} cannot be read: {error}") from error
    table = document.get(benchmark.name)
    if table is None:
        return None
    values = dict(table)
    limits = values.pop("limits", {})
    options = {o.name: o for o in benchmark.options}
    for key, value in values.items():
        known = options.get(key)
        wrong = f"{key} is not known" if known is None else known.problem(value)
        if wrong:
            raise BadConfig(f"{path.name} [{benchmark.name}]: {wrong}.")
    for key, value in limits.items():
        number, _, way = key.rpartition("_")
        if number not in benchmark.limits or way not in ("min", "max"):
            raise BadConfig(f"{path.name} [{benchmark.name}.limits]: {key} is not known.")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadConfig(f"{path.name} [{benchmark.name}.limits]: {key} must be a number.")
    return Load(values, limits)


def arguments(benchmark: Benchmark, argv: Sequence[str]) -> tuple[argparse.Namespace, Load]:
    """The options of a run: the command line over the configuration over what is usual."""
    parser = argparse.ArgumentParser(
        prog=f"orion bench {benchmark.name.replace('_', '-')}",
        description=benchmark.doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", help="a load configuration: smoke, floor, goal, or a TOML file")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="folder for the result (default: .benchmarks)"
    )
    for option in benchmark.options:
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            type=type(option.default),
            choices=option.choices or None,
            help=f"{option.doc} (default: {option.default})",
        )
    given = parser.parse_args(argv)
    load = Load()
    try:
        if given.config:
            path = find_config(given.config)
            load = read_config(path, benchmark) or load
    except BadConfig as error:
        _refuse(parser, str(error))
    for option in benchmark.options:
        value = getattr(given, option.name)
        if value is None:
            value = load.values.get(option.name, option.default)
        if wrong := option.problem(value):
            _refuse(parser, wrong)
        setattr(given, option.name, value)
    return given, load


def _refuse(parser: argparse.ArgumentParser, text: str) -> NoReturn:
    parser.error(text)


# ---- a run --------------------------------------------------------------------------------------


def commit() -> str:
    """The commit that is measured; `+` when files were changed since."""

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", *words], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        return found.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "web", "contracts")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + ("+" if changed else "")


def context() -> dict[str, Any]:
    """Where and when: without it a number says nothing."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "python": platform.python_version(),
        "commit": commit(),
        "nice": os.nice(0),
        "load_average_before": [round(x, 2) for x in os.getloadavg()],
    }


def histogram() -> HdrHistogram:
    """A histogram of microseconds, up to a minute, three digits."""
    return HdrHistogram(1, 60_000_000, 3)


def milliseconds(h: HdrHistogram) -> dict[str, float]:
    """Percentiles in milliseconds."""
    return {k: round(h.get_value_at_percentile(p) / 1000, 2) for k, p in PERCENTILES.items()}


def missed(limits: Mapping[str, float], numbers: Mapping[str, float]) -> list[str]:
    """The limits of the configuration that this run did not keep."""
    found: list[str] = []
    for key, limit in limits.items():
        number, _, way = key.rpartition("_")
        value = numbers.get(number)
        if value is None:
            found.append(f"{number} was not measured")
        elif (value > limit) if way == "max" else (value < limit):
            found.append(f"{number} is {value:g}, the limit is {limit:g}")
    return found


def main(benchmark: Benchmark, argv: Sequence[str] | None = None) -> int:
    """One run from its options to its verdict; the exit code (0 reached, 1 failed, 2 void)."""
    options, load = arguments(benchmark, list(argv) if argv is not None else sys.argv[1:])
    told = {o.name: getattr(options, o.name) for o in benchmark.options}
    where = context()
    outcome = benchmark.measure(options)
    where["load_average_after"] = [round(x, 2) for x in os.getloadavg()]
    # A void run has measured the machine, not us: its numbers are judged by nobody.
    short = [] if outcome.void else missed(load.limits, outcome.numbers)
    verdict = VOID if outcome.void else FAILED if outcome.failed or short else REACHED
    result = {
        "benchmark": benchmark.name,
        **where,
        "config": options.config,
        "options": told,
        "limits": dict(load.limits),
        "verdict": ("reached", "failed", "void")[verdict],
        "void": outcome.void,
        "failed": [*outcome.failed, *short],
        "numbers": outcome.numbers,
        **outcome.raw,
        "percentiles_ms": {k: milliseconds(h) for k, h in outcome.histograms.items()},
        "histograms_us": {k: h.encode().decode() for k, h in outcome.histograms.items()},
    }
    path = keep(result, options.results)
    show(result, outcome, path)
    return verdict


def keep(result: Mapping[str, Any], folder: Path) -> Path:
    """Writes the result with its raw histograms; a file of its own for each run."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp = str(result["at"])[:19].replace(":", "").replace("-", "")
    path = folder / f"{result['benchmark']}-{stamp}.json"
    path.write_text(json.dumps(result, indent=1, default=str) + "\n")
    return path


def show(result: Mapping[str, Any], outcome: Outcome, path: Path) -> None:
    """Prints the run for a person."""
    screen = Console(highlight=False, soft_wrap=True)
    before, after = result["load_average_before"][0], result["load_average_after"][0]
    screen.print(
        f"{result['benchmark']}: {result['at']}, {result['machine']}, Python {result['python']},"
        f" commit {result['commit']}, load average {before} before and {after} after"
        + (f", priority raised (nice {result['nice']})" if result["nice"] else "")
    )
    screen.print("options: " + ", ".join(f"{k} {v}" for k, v in result["options"].items()))
    for sheet in outcome.sheets:
        table = Table(title=sheet.title, title_justify="left", title_style="bold")
        for n, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if n == 0 else "right")
        for row in sheet.rows:
            table.add_row(*(f"{x:,}" if isinstance(x, int | float) else str(x) for x in row))
        screen.print(table)
    for reason in outcome.void:
        screen.print(f"VOID: {reason}", markup=False)
    for reason in result["failed"]:
        screen.print(f"FAILED: {reason}", markup=False)
    if result["verdict"] == "reached":
        screen.print("reached" + (" all limits" if result["limits"] else " (no limits were set)"))
    try:
        shown = path.resolve().relative_to(CHECKOUT)
    except ValueError:
        shown = path
    screen.print(f"kept in {shown}", markup=False)


def percentile_sheet(title: str, histograms: Mapping[str, HdrHistogram]) -> Sheet:
    """Percentiles of several histograms, a row each."""
    rows = [(name, *milliseconds(h).values()) for name, h in histograms.items()]
    return Sheet(title, ("ms", *PERCENTILES), rows)
