"""`orion bench`: the list of benchmarks, one of them, or all of them small.

    ./orion bench                          the list
    ./orion bench NAME [--config LEVEL]    one; NAME --help tells its options
    ./orion bench all [--config smoke]     one after the other, with a line each at the end

Exit code: 0 all limits reached, 1 failed or a limit missed, 2 void (the machine was too busy to
measure) or used wrongly.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    *("tick_fanout", "tick_to_paint", "rfq_to_trade", "idle_sockets", "backbone", "start"),
    *("rebuild", "outbox"),
)
WORDS = {0: "reached", 1: "FAILED", 2: "VOID"}
DEV = (
    "The benchmarks need what the tests need, and {name} is not installed. Run `./orion setup"
    " --dev` once."
)


def load(name: str):
    """The benchmark of a name. Ends with a sentence when its packages are not there."""
    try:
        return importlib.import_module(f"benchmarks.{name}").BENCHMARK
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("benchmarks", "orion", "tests"):
            raise
        sys.exit(DEV.format(name=error.name))


def listing() -> str:
    """What there is, a line each."""
    lines = ["Benchmarks (orion bench NAME [--config smoke|floor|goal] [options]; --help of each):"]
    lines += [f"  {load(name).name.replace('_', '-'):<14} {load(name).line}" for name in NAMES]
    lines += [f"  {'all':<14} each of them in turn, small (--config smoke)"]
    folder = Path(__file__).with_name("load-test-configs")
    levels = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
    lines += [f"Load configurations: {levels}. Results with raw histograms go to .benchmarks/."]
    return "\n".join(lines)


def everything(argv: Sequence[str]) -> int:
    """All benchmarks; each in the state a process of its own has."""
    import subprocess

    words = list(argv) or ["--config", "smoke"]
    codes: dict[str, int] = {}
    for name in NAMES:
        print(f"--- {name}", flush=True)
        run = [sys.executable, "-m", "benchmarks", name, *words]
        codes[name] = subprocess.run(run, cwd=ROOT, check=False).returncode
    for name, code in codes.items():
        print(f"{name.replace('_', '-'):<14} {WORDS.get(code, f'ended with {code}')}")
    return 1 if 1 in codes.values() else max(codes.values())


def main(argv: Sequence[str]) -> int:
    """The command line."""
    name = argv[0].replace("-", "_") if argv else "help"
    if name in ("help", "__help", "_h", "list"):
        print(listing())
        return 0
    if name == "all":
        return everything(argv[1:])
    if name not in NAMES:
        print(f"There is no benchmark {argv[0]!r}.\n{listing()}", file=sys.stderr)
        return 2
    from benchmarks import harness

    return harness.main(load(name), argv[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
