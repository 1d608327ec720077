"""What a run tells: a table for people, a file with everything for later."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.chaos.run import Done


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


def tell(where: Mapping[str, Any], done: Done, history: Path) -> int:
    """Prints it, keeps it; 0 when nothing is wrong."""
    screen = Console(highlight=False, soft_wrap=True)
    back = recovery(done)
    counted = dict(done.verdict.counted) if done.verdict else {}
    result = {
        "benchmark": "chaos",
        **where,
        "verdict": "failed" if done.wrong else "held",
        "wrong": done.wrong,
        "counts": done.counts,
        "history": counted,
        "recovery": back,
        "faults": [asdict(fired) for fired in done.fired],
    }
    path = history.with_name(history.name.replace(".history.jsonl", ".json"))
    path.write_text(json.dumps(result, indent=1, default=str) + "\n")
    table = Table(title="Recovery: from the fault to what clients see again", title_justify="left")
    for column in ("fault", "times", "p50 ms", "max ms"):
        table.add_column(column, justify="left" if column == "fault" else "right")
    for name, numbers in back.items():
        table.add_row(name, *(f"{value:g}" for value in numbers.values()))
    screen.print(table)
    for name, number in {**done.counts, **counted}.items():
        screen.print(f"  {name}: {number:g}")
    for text in done.wrong[:40]:
        screen.print(f"VIOLATION: {text}", markup=False)
    screen.print(f"{len(done.wrong)} violations; kept in {path} and {history.name}", markup=False)
    return 1 if done.wrong else 0
