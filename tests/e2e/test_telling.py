"""What the platform says of its own work: one trace for one RFQ through all processes, log lines
that name whom they are about, and the runbooks' metrics where they say.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orion.platform.telemetry import ABOUT, trace_id_of
from tests.stack import CHECKOUT, Stack, until
from tests.stack_clients import PROMPT, desk_of

Seen = set[tuple[str, str]]
WAY = {
    ("orion-bff", "POST /api/v1/rfqs"),
    ("orion-core", "rpc CreateRFQ"),
    ("orion-core", "commit RFQCreated"),
    ("orion-core", "commit QuoteReceived"),
    ("orion-bff", "POST /api/v1/rfqs/{rfq_id}/accept"),
    ("orion-core", "rpc AcceptQuote"),
    ("orion-core", "commit TradeExecuted"),
    ("orion-core", "commit RFQTraded"),
    ("orion-core", "consume rm_rfq_blotter RFQTraded"),
}


class Collector:
    """Takes spans over HTTP, as any collector of OpenTelemetry does."""

    def __init__(self) -> None:
        self.spans: list[tuple[bytes, str, str]] = []
        spans = self.spans

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    said = {a.key: a.value.string_value for a in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        for span in scope.spans:
                            spans.append((span.trace_id, said["service.name"], span.name))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1/traces"

    def of(self, correlation: str) -> Seen:
        """(process, name) of the spans in this RFQ's trace."""
        wanted = trace_id_of(correlation).to_bytes(16, "big")
        return {(who, name) for trace, who, name in self.spans if trace == wanted}


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()
    collector.server.server_close()


@pytest.fixture
async def telling(calm_dealers: dict[str, str], collector: Collector) -> AsyncIterator[Stack]:
    environment = {**calm_dealers, "ORION_OTLP_ENDPOINT": collector.url}
    async with Stack("telling", environment=environment) as running:
        yield running


def lines_of(stack: Stack, process: str) -> list[dict[str, Any]]:
    """The log of a process; every line must be JSON."""
    text = (stack.data_dir / "logs" / f"{process}.log").read_text()
    return [json.loads(line) for line in text.splitlines()]


async def test_one_rfq_is_one_trace_and_every_line_says_whom(
    telling: Stack, collector: Collector
) -> None:
    async with desk_of(telling, "trader@alpha") as desk:
        rfq = await desk.ask(lpIds=PROMPT)
        quoted = await desk.quoted(rfq["rfqId"], 3)
        assert (await desk.accept(quoted)).status_code == 200
        assert (await desk.ended(rfq["rfqId"]))["status"] == "TRADED"
    story = rfq["correlationId"]
    await until(lambda: collector.of(story) >= WAY, 30, f"all spans of the way: {WAY}")
    other = [trace for trace, _, name in collector.spans if name == "rpc GetSnapshot"]
    assert trace_id_of(story).to_bytes(16, "big") not in other
    about = {"tenant": "alpha", "correlation_id": story, "entity_id": rfq["rfqId"]}
    told = [line for line in lines_of(telling, "bff") if line["correlation_id"] == story]
    assert [line["path"].rsplit("/", 1)[-1] for line in told] == ["rfqs", "accept"]
    assert all(about.items() <= line.items() for line in told)
    for process in ("supervisor", "bff", "edge", "core", "bots"):
        lines = lines_of(telling, process)
        assert lines, process
        assert all(set(ABOUT) <= line.keys() for line in lines), process


# What they are about runs in the cluster profile only.
CLUSTER_BOOKS = {"backbone.md", "cache-and-archive.md"}
ROLES = {"orion_owner", "orion_writer", "orion_reader"}  # of the database, which books name too


async def test_the_runbooks_metrics_are_there(stack: Stack) -> None:
    headers = {"authorization": f"Bearer {await stack.token('platform@alpha')}"}
    async with httpx.AsyncClient(base_url=stack.url, headers=headers) as http:
        text = (await http.get("/metrics")).text
    named, elsewhere = set(), set()
    for book in (CHECKOUT / "docs" / "runbooks").glob("*.md"):
        found = set(re.findall(r"`(orion_[a-z_]+)", book.read_text())) - ROLES
        (elsewhere if book.name in CLUSTER_BOOKS else named).update(found)
    assert len(named) > 2
    # A counter that nothing was counted in yet shows as its description only.
    missing = {n for n in named if f"\n{n}" not in text and f"# TYPE {n} " not in text}
    assert missing == set()
    sources = "".join(p.read_text() for p in (CHECKOUT / "src").rglob("*.py"))
    made = set(re.findall(r'telemetry\.(?:counter|gauge|histogram)\(\s*"([a-z_]+)"', sources))
    forms = {f"orion_{n}" for n in made} | {f"orion_{n}_total" for n in made}
    assert elsewhere <= forms
    processes = {"supervisor", "bff", "edge", "core", "bots"}
    assert processes <= set(re.findall(r'process="([a-z]+)"', text))
