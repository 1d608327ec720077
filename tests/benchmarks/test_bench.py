"""`orion bench`: what it lists, what its load configurations may say, and how a run is judged."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.harness import (
    CONFIGS,
    RESULTS,
    BadConfig,
    Benchmark,
    Option,
    Outcome,
    arguments,
    find_config,
    histogram,
    main,
    read_config,
)
from orion.platform.config import CHECKOUT

LEVELS = ("smoke", "floor", "goal")


def toy(outcome: Outcome | None = None) -> Benchmark:
    """A benchmark that measures nothing and gives this."""
    return Benchmark(
        "toy",
        "a toy",
        "A toy.",
        (Option("rate", 5.0, "rate", 1, 10), Option("mode", "a", "mode", choices=("a", "b"))),
        ("age_ms",),
        lambda _options: outcome or Outcome({"age_ms": 5.0}, histograms={"age": histogram()}),
    )


def config(folder: Path, text: str) -> Path:
    path = folder / "level.toml"
    path.write_text(text)
    return path


def test_every_load_configuration_is_of_a_known_benchmark_and_loads():
    known = {name: bench.load(name) for name in bench.NAMES}
    assert {p.stem for p in CONFIGS.glob("*.toml")} == set(LEVELS)
    for level in LEVELS:
        path = find_config(level)
        assert set(tomllib.loads(path.read_text())) == set(known), level
        for benchmark in known.values():
            assert read_config(path, benchmark) is not None


def test_the_goal_is_not_softer_than_the_floor():
    for name in bench.NAMES:
        floor, goal = (read_config(find_config(x), bench.load(name)) for x in ("floor", "goal"))
        assert floor is not None and goal is not None
        for key in floor.limits.keys() & goal.limits.keys():
            harder = min if key.endswith("_max") else max
            assert harder(floor.limits[key], goal.limits[key]) == goal.limits[key], (name, key)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[toy]\nspeed = 1", "speed is not known"),
        ("[toy]\nrate = 50.0", "at most 10"),
        ("[toy]\nrate = 'fast'", "must be float"),
        ("[toy]\nrate = true", "must be float"),
        ("[toy]\nmode = 'c'", "one of a, b"),
        ("[toy.limits]\nage_ms = 5", "age_ms is not known"),
        ("[toy.limits]\nweight_max = 5", "weight_max is not known"),
        ("[toy.limits]\nage_ms_max = 'low'", "must be a number"),
        ("[toy", "cannot be read"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused_by_name(tmp_path: Path, text: str, says: str):
    with pytest.raises(BadConfig, match=says):
        read_config(config(tmp_path, text), toy())


def test_the_command_line_stands_over_the_configuration(tmp_path: Path):
    path = config(tmp_path, "[toy]\nrate = 7\nmode = 'b'\n[toy.limits]\nage_ms_max = 3")
    given, load = arguments(toy(), ["--config", str(path), "--rate", "9"])
    assert (given.rate, given.mode, dict(load.limits)) == (9.0, "b", {"age_ms_max": 3})
    usual, load = arguments(toy(), [])
    assert (usual.rate, usual.mode, usual.results, dict(load.limits)) == (5.0, "a", RESULTS, {})


def test_an_option_out_of_bounds_ends_with_a_sentence(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        arguments(toy(), ["--rate", "11"])
    assert ended.value.code == 2
    assert "rate must be at most 10" in capsys.readouterr().err


def judged(folder: Path, outcome: Outcome, limit: str) -> tuple[int, argparse.Namespace]:
    path = config(folder, f"[toy.limits]\n{limit}")
    code = main(toy(outcome), ["--config", str(path), "--results", str(folder / "kept")])
    kept = max((folder / "kept").iterdir(), key=lambda p: p.stat().st_mtime_ns)
    return code, argparse.Namespace(**json.loads(kept.read_text()))


def test_a_run_is_reached_failed_or_void_and_is_kept_with_its_context(tmp_path: Path):
    ages = histogram()
    ages.record_value(5_000)
    good = Outcome({"age_ms": 5.0}, histograms={"age": ages})
    code, kept = judged(tmp_path, good, "age_ms_max = 6")
    assert (code, kept.verdict, kept.failed) == (0, "reached", [])
    assert kept.percentiles_ms["age"]["p99"] == pytest.approx(5, abs=0.01)
    assert kept.histograms_us["age"]
    assert all((kept.machine, kept.commit, kept.at, kept.load_average_before))

    code, kept = judged(tmp_path, good, "age_ms_max = 4")
    assert (code, kept.verdict, kept.failed) == (1, "failed", ["age_ms is 5, the limit is 4"])
    code, kept = judged(tmp_path, good, "age_ms_min = 6")
    assert (code, kept.failed) == (1, ["age_ms is 5, the limit is 6"])
    code, kept = judged(tmp_path, Outcome({"age_ms": 5.0}, failed=["lost"]), "age_ms_max = 6")
    assert (code, kept.failed) == (1, ["lost"])
    code, kept = judged(tmp_path, Outcome({"age_ms": 5.0}, void=["late"]), "age_ms_max = 4")
    assert (code, kept.verdict, kept.failed) == (2, "void", [])
    code, kept = judged(tmp_path, Outcome({}), "age_ms_max = 4")
    assert (code, kept.failed) == (1, ["age_ms was not measured"])


def test_the_command_lists_every_benchmark_and_refuses_others():
    def orion(*words: str) -> subprocess.CompletedProcess[str]:
        run = [sys.executable, "-P", "-m", "orion.app.cli", "bench", *words]
        return subprocess.run(run, cwd="/", capture_output=True, text=True, check=False)

    listed = orion()
    assert listed.returncode == 0, listed.stderr
    for name in (*bench.NAMES, "all"):
        assert name.replace("_", "-") in listed.stdout
    assert all(level in listed.stdout for level in LEVELS)
    unknown = orion("tick-fnaout")
    assert unknown.returncode == 2
    assert "tick-fnaout" in unknown.stderr and "tick-fanout" in unknown.stderr
    helped = orion("tick-fanout", "--help")
    assert helped.returncode == 0 and "--sockets" in helped.stdout


def test_each_file_of_the_folder_that_measures_is_in_the_list():
    programs = {
        p.stem for p in (CHECKOUT / "benchmarks").glob("*.py") if "BENCHMARK = " in p.read_text()
    }
    assert programs == set(bench.NAMES)
