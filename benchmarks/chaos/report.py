"""What a run tells: a table for people, a file with everything for later."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.chaos.run import Done

SENTENCES, LINE = 40, 500  # of what is wrong
SUMS = (
    "acknowledged commands", "answers that left the outcome open", "kills", "other faults",
    "seconds under load",
)  # fmt: skip


def recovery(done: Done) -> dict[str, dict[str, float]]:
    """By fault and victim: how often, and milliseconds from the fault until all was seen."""
    found: dict[str, list[float]] = defaultdict(list)
    for fired in done.fired:
        if fired.back_ms:
            slowest = max(fired.back_ms.values())
            found[f"{fired.fault} {fired.victim}"].append(slowest)
            found[f"{fired.fault}, all"].append(slowest)
    return {
        name: {
            "times": len(values),
            "p50_ms": round(sorted(values)[len(values) // 2]),
            "max_ms": round(max(values)),
        }
        for name, values in sorted(found.items())
    }


def result_of(where: Mapping[str, Any], done: Done, history: Path) -> dict[str, Any]:
    """Everything about a run that is to be kept, small enough to be read."""
    return {
        **where,
        "verdict": "failed" if done.wrong else "held",
        "wrong": [text[:LINE] for text in done.wrong[:SENTENCES]],
        "violations": len(done.wrong),
        "counts": done.counts,
        "history": {"file": history.name, **(dict(done.verdict.counted) if done.verdict else {})},
        "recovery": {k: v for k, v in recovery(done).items() if k.endswith(", all")},
        "faults": [
            {
                "fault": fired.fault,
                "victim": fired.victim,
                "at_s": round(fired.at / 1e6, 1),
                "back_ms": round(max(fired.back_ms.values(), default=0.0)),
                "proof": fired.proof,
            }
            for fired in done.fired
        ],
    }


def show(done: Done) -> None:
    """For people."""
    screen = Console(highlight=False, soft_wrap=True)
    table = Table(title="Recovery: from the fault to what clients see again", title_justify="left")
    for column in ("fault", "times", "p50 ms", "max ms"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name, numbers in recovery(done).items():
        table.add_row(name, *(f"{value:g}" for value in numbers.values()))
    screen.print(table)
    counted = dict(done.verdict.counted) if done.verdict else {}
    for name, number in {**done.counts, **counted}.items():
        screen.print(f"  {name}: {number:g}")
    for text in done.wrong[:SENTENCES]:
        screen.print(f"VIOLATION: {text}", markup=False)


def keep(path: Path, legs: Sequence[Mapping[str, Any]]) -> int:
    """Writes the results of a run's legs; 0 when nothing is wrong in any."""
    wrong = sum(leg["violations"] for leg in legs)
    counts: dict[str, float] = defaultdict(float)
    for leg in legs:
        for name in SUMS:
            counts[name] += leg["counts"].get(name, 0)
    whole = {
        "benchmark": "chaos",
        "verdict": "failed" if wrong else "held",
        "counts": dict(counts),
        "faults": dict(Counter(fault["fault"] for leg in legs for fault in leg["faults"])),
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in whole.items()]
    lines.append(' "legs": [\n' + ",\n".join(map(_leg, legs)) + "\n ]")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    screen = Console(highlight=False, soft_wrap=True)
    screen.print(f"{wrong} violations; kept in {path}", markup=False)
    return 1 if wrong else 0


def _leg(leg: Mapping[str, Any]) -> str:
    """A line for each thing, and for each fault."""
    parts: list[str] = []
    for name, value in leg.items():
        told = json.dumps(value, default=str)
        if name == "faults":
            told = "[\n    " + ",\n    ".join(map(_compact, value)) + "\n   ]"
        parts.append(f"   {json.dumps(name)}: {told}")
    return "  {\n" + ",\n".join(parts) + "\n  }"


def _compact(value: Any) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))
