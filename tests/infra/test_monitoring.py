"""Alerts and dashboards speak of metrics that exist, and of pages that exist. The rules themselves
are tried by Prometheus' own tool, where it is on the machine.
"""

from __future__ import annotations

import ast
import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orion.app.modules import layout
from orion.platform.config import CHECKOUT

FOLDER = CHECKOUT / "infra" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
DASHBOARDS = sorted((FOLDER / "grafana" / "dashboards").glob("*.json"))
METRIC = re.compile(r"\borion_[a-z0-9_]+")
SHOWN = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def _calls() -> Iterator[ast.Call]:
    for file in (CHECKOUT / "src" / "orion").rglob("*.py"):
        text = file.read_text()
        if "telemetry" in text:
            yield from (n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call))


@cache
def exposed() -> dict[str, frozenset[str]]:
    """Every name that a scrape can show, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for call in _calls():
        kind = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if kind not in SHOWN or not call.args or not isinstance(call.args[0], ast.Constant):
            continue
        given = [*call.args[2:3], *(k.value for k in call.keywords if k.arg == "labels")]
        labels = frozenset(ast.literal_eval(given[0])) if given else frozenset[str]()
        name = f"orion_{call.args[0].value}"
        name = name.removesuffix("_total") if kind == "counter" else name
        found |= {f"{name}{end}": labels for end in SHOWN[kind]}
    return found


def queries() -> list[tuple[str, str]]:
    """(where, query) of every rule and every panel."""
    found = [("alerts.yml", rule["expr"]) for rule in rules()]
    for file in DASHBOARDS:
        panels = json.loads(file.read_text())["panels"]
        found += [(f"{file.name}: {p['title']}", t["expr"]) for p in panels for t in p["targets"]]
    return found


def rules() -> list[dict[str, Any]]:
    """The alerts, read without a parser of YAML: one key a line, as the file is kept."""
    found: list[dict[str, Any]] = []
    text = re.sub(r"expr: \|\n((?: {10,}.*\n)+)", _joined, ALERTS.read_text())
    for line in text.splitlines():
        key, _, value = line.strip().removeprefix("- ").partition(": ")
        if key == "alert":
            found.append({"alert": value})
        elif found and key in ("expr", "runbook", "summary", "labels", "for"):
            found[-1][key] = value.strip('"')
    return found


def _joined(match: re.Match[str]) -> str:
    return "expr: " + " ".join(match[1].split()) + "\n"


def test_every_metric_that_is_asked_for_exists() -> None:
    asked = queries()
    assert len(asked) > 50
    unknown = {
        f"{where}: {name}"
        for where, query in asked
        for name in METRIC.findall(query)
        if name not in exposed()
    }
    assert unknown == set()


def test_every_label_that_is_asked_for_exists() -> None:
    everywhere = {"process", "instance", "job", "le"}
    wrong = set()
    for where, query in queries():
        names = METRIC.findall(query)
        known = everywhere.union(*(exposed()[name] for name in names)) if names else everywhere
        asked = {x.strip() for by in re.findall(r"by \(([^)]*)\)", query) for x in by.split(",")}
        asked |= set(re.findall(r"[{,]\s*(\w+)\s*=~?\"", query))
        wrong |= {f"{where}: {label}" for label in asked - known}
    assert wrong == set()


def test_every_alert_says_what_to_do() -> None:
    alerts = rules()
    assert len(alerts) >= 20
    assert len({a["alert"] for a in alerts}) == len(alerts)
    for alert in alerts:
        assert (CHECKOUT / alert["runbook"]).is_file(), alert
        assert alert["labels"] in ("{ severity: page }", "{ severity: ticket }"), alert
        assert alert["alert"] in (CHECKOUT / alert["runbook"]).read_text(), (
            f"{alert['runbook']} does not name {alert['alert']}"
        )
    tried = (FOLDER / "alerts.test.yml").read_text()
    assert {a["alert"] for a in alerts} == set(re.findall(r'alertname="(\w+)"\}\'', tried))


def test_dashboards_are_as_they_are_written() -> None:
    program = runpy.run_path(str(FOLDER / "dashboards.py"))
    assert program["main"](["--check"]) == 0
    assert {f.stem for f in DASHBOARDS} == set(program["DASHBOARDS"])


def test_every_process_is_scraped() -> None:
    text = (FOLDER / "prometheus.yml").read_text()
    listed = text.partition("- names:\n")[2].partition("type: A")[0]
    names = {line.strip().removeprefix("- ") for line in listed.splitlines() if line.strip()}
    assert set(layout("default", "cluster")) <= names


@pytest.mark.cluster
@pytest.mark.parametrize(
    "words",
    [("check", "config", "prometheus.yml"), ("test", "rules", "alerts.test.yml")],
    ids=["configuration", "rules"],
)
def test_prometheus_takes_them(words: tuple[str, ...]) -> None:
    kept = CHECKOUT / ".cache" / "infra" / "promtool"
    tool = shutil.which("promtool") or (str(kept) if kept.is_file() else None)
    if tool is None:
        pytest.skip("promtool is not here: infra/tools fetches it from Debian's package")
    done = subprocess.run(
        [tool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


def test_this_test_can_fail() -> None:
    assert "orion_made_up" not in exposed()
    assert exposed()["orion_consumer_lag"] == {"group", "topic"}
    assert Path(CHECKOUT / "docs" / "runbooks").is_dir()
