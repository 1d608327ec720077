"""Writes the dashboards for Grafana: `python infra/monitoring/dashboards.py [--check]`.

A panel is a title, a unit and its queries; this program puts them in rows of three. Only the
standard library.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "grafana" / "dashboards"
WIDTH, HEIGHT, COLUMNS = 8, 8, 3

Panel = tuple[str, str, dict[str, str]]  # title, unit, legend → query


def rate(metric: str, by: str, window: str = "1m") -> str:
    return f"sum by ({by}) (rate({metric}[{window}]))"


FAILED = 'sum by (route, status) (rate(orion_http_answers_total{status=~"5.."}[1m]))'


def quantile(q: float, metric: str, by: str = "", more: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{more}[1m])))"


TRADING: list[Panel] = [
    (
        "Commands",
        "ops",
        {"{{service}} {{outcome}}": rate("orion_commands_total", "service, outcome")},
    ),
    (
        "Command to durable answer",
        "s",
        {
            "{{service}} p50": quantile(0.5, "orion_command_seconds", "service"),
            "{{service}} p99": quantile(0.99, "orion_command_seconds", "service"),
        },
    ),
    ("RFQs by how they ended", "ops", {"{{status}}": rate("orion_rfqs_ended_total", "status")}),
    (
        "Dealers: creation to first quote",
        "s",
        {"{{lp}} p95": quantile(0.95, "orion_lp_response_seconds", "lp")},
    ),
    (
        "Dealers: won",
        "percentunit",
        {
            "{{lp}}": f"{rate('orion_lp_wins_total', 'lp', '15m')} / "
            f"{rate('orion_lp_first_answers_total', 'lp', '15m')}"
        },
    ),
    (
        "Dealers: answers not taken",
        "ops",
        {"{{lp}} {{code}}": rate("orion_lp_answers_refused_total", "lp, code")},
    ),
    ("Dealers connected", "none", {"streams": "sum(orion_lp_streams)"}),
    ("RFQs at dealers", "none", {"open": "sum(orion_lp_open_requests)"}),
    (
        "Partitions owned",
        "none",
        {
            "{{service}}": "sum by (service) (orion_leases_held)",
            "{{service}} of": "max by (service) (orion_leases_all)",
        },
    ),
]

BACKBONE: list[Panel] = [
    (
        "Consumers behind",
        "none",
        {"{{group}} {{topic}}": "max by (group, topic) (orion_consumer_lag)"},
    ),
    ("Consumed", "ops", {"{{group}}": rate("orion_consumed_total", "group")}),
    ("Dead letters that wait", "none", {"{{group}}": "max by (group) (orion_dead_letters_open)"}),
    ("Log not yet on Kafka", "none", {"{{topic}}": "max by (topic) (orion_relay_lag)"}),
    (
        "Decision to Kafka's word",
        "s",
        {
            "p50": quantile(0.5, "orion_relay_latency_seconds"),
            "p99": quantile(0.99, "orion_relay_latency_seconds"),
        },
    ),
    (
        "Stopped, broken, fenced",
        "none",
        {
            "relay {{topic}}/{{part}}": "max by (topic, part) (orion_relay_stopped) > 0",
            "bus {{topic}}/{{part}}": "max by (topic, part) (orion_bus_broken) > 0",
            "consumer {{group}}": "max by (group) (orion_consumer_stopped) > 0",
            "fenced {{topic}}": "sum by (topic) (increase(orion_relay_fenced_total[5m])) > 0",
        },
    ),
    ("Published to Kafka", "ops", {"{{topic}}": rate("orion_relay_published_total", "topic")}),
    (
        "Cache",
        "none",
        {
            "connected {{process}}": "orion_cache_connected",
            "refused/s": "sum(rate(orion_cache_refused_total[1m]))",
        },
    ),
    (
        "Archive and audit behind",
        "none",
        {
            "archive {{topic}}": "max by (topic) (orion_archive_behind)",
            "audit": "max(orion_audit_behind)",
        },
    ),
    (
        "Commands in one write",
        "none",
        {"{{service}} p95": quantile(0.95, "orion_batch_commands", "service")},
    ),
    ("Log on disk", "bytes", {"{{tree}}": "max by (tree) (orion_log_bytes)"}),
    (
        "gRPC errors",
        "ops",
        {"{{process}} {{code}}": rate("orion_rpc_errors_total", "process, code")},
    ),
]

EDGE: list[Panel] = [
    ("Requests", "ops", {"{{route}}": rate("orion_http_answers_total", "route")}),
    (
        "Failed requests",
        "ops",
        {"{{route}} {{status}}": FAILED},
    ),
    ("Time to answer", "s", {"{{route}} p99": quantile(0.99, "orion_http_seconds", "route")}),
    ("Open sockets", "none", {"{{instance}}": "orion_ws_sessions"}),
    (
        "Sockets closed and refused",
        "ops",
        {
            "closed": "sum(rate(orion_ws_closed_total[1m]))",
            "{{code}}": rate("orion_ws_refused_total", "code"),
        },
    ),
    (
        "Streams from services",
        "none",
        {"{{stream}}": "min by (stream) (orion_edge_upstream_connected)"},
    ),
    (
        "Age of prices at the edge",
        "s",
        {
            "p50": quantile(0.5, "orion_edge_price_age_seconds"),
            "p99": quantile(0.99, "orion_edge_price_age_seconds"),
        },
    ),
    (
        "Frames of prices",
        "ops",
        {
            "sent": "sum(rate(orion_edge_tick_frames_total[1m]))",
            "not sent: socket behind": "sum(rate(orion_edge_tick_frames_skipped_total[1m]))",
        },
    ),
    (
        "Ticks",
        "ops",
        {
            "received {{feed}}": rate("orion_md_rows_received_total", "feed"),
            "published": "sum(rate(orion_md_ticks_published_total[1m]))",
            "dropped {{reason}}": rate("orion_md_rows_dropped_total", "reason"),
        },
    ),
    (
        "Sign-ins and their failures",
        "ops",
        {"{{type}}": rate("orion_identity_events_total", "type")},
    ),
    (
        "Tokens refused",
        "ops",
        {"{{process}} {{reason}}": rate("orion_tokens_refused_total", "process, reason")},
    ),
    ("Revocations heard", "none", {"{{process}}": "orion_revocations_connected"}),
]

DASHBOARDS = {
    "trading": ("Trading flow", TRADING),
    "backbone": ("Backbone", BACKBONE),
    "edge": ("Edge and market data", EDGE),
}


def panel(number: int, described: Panel) -> dict[str, Any]:
    title, unit, queries = described
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {
            "x": number % COLUMNS * WIDTH,
            "y": number // COLUMNS * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(65 + i), "datasource": source, "expr": query, "legendFormat": legend}
            for i, (legend, query) in enumerate(queries.items())
        ],
    }


def dashboard(name: str) -> str:
    """The file's text."""
    title, panels = DASHBOARDS[name]
    document = {
        "uid": f"orion-{name}",
        "title": f"Orion: {title}",
        "tags": ["orion"],
        "timezone": "utc",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "panels": [panel(n, p) for n, p in enumerate(panels)],
    }
    return json.dumps(document, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    stale = []
    for name in DASHBOARDS:
        file = FOLDER / f"{name}.json"
        text = dashboard(name)
        if "--check" in arguments:
            stale += [] if file.exists() and file.read_text() == text else [file.name]
        else:
            file.write_text(text)
    if stale:
        print(f"Not as {Path(__file__).name} writes them: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
