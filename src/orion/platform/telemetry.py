"""Logs (one JSON line each), metrics (Prometheus) and spans (OpenTelemetry, off unless an endpoint
is set).

A span's trace id is derived from the correlation id, so that every process that works on one RFQ
writes into one trace without handing context around: through RPC and through the bus alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import structlog
from opentelemetry import trace
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

# Until `configure`, lines go to the console; a traceback there must not show the values of
# variables, which may be secrets (structlog's own default does).
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)
log: Any = structlog.get_logger()
_tracer: trace.Tracer | None = None

ABOUT = ("tenant", "correlation_id", "entity_id")
# In a record's envelope. Feeds and sessions have correlation ids of other shapes: their traces
# would never end.
_CORRELATION = re.compile(rb'"correlationId": ?"([0-9a-f]{4}[a-z2-7]{26})"')

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def configure(process: str, level: str = "info", otlp_endpoint: str = "", file: Any = None) -> None:
    """Sets this process's logging (to `file`, else stderr) and tracing up. Call once, first."""
    numeric = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _about,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=file or sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[_JsonHandler()], force=True)
    if otlp_endpoint:
        _start_tracing(process, otlp_endpoint)


def _about(_logger: Any, _method: str, line: Any) -> Any:
    """Every line says whom it is about, under the same names; empty where it is about nobody."""
    if "entity" in line:
        line["entity_id"] = line.pop("entity")
    for name in ABOUT:
        line.setdefault(name, "")
    return line


class Traced(Protocol):
    """What a record of the log says about itself (orion.platform.bus.port.Record)."""

    @property
    def topic(self) -> str: ...
    @property
    def part(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def at(self) -> int: ...
    @property
    def tenant(self) -> str: ...
    @property
    def entity(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class _JsonHandler(logging.Handler):
    """Libraries that use the standard logging come out as the same JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(record.levelno, record.getMessage(), logger=record.name, **extra)


def _start_tracing(process: str, endpoint: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    global _tracer
    provider = TracerProvider(resource=Resource.create({"service.name": f"orion-{process}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    _tracer = provider.get_tracer("orion")


def trace_id_of(correlation: str) -> int:
    """The 128-bit trace id that belongs to a correlation id."""
    return (
        int.from_bytes(hashlib.blake2b(correlation.encode(), digest_size=16).digest(), "big") or 1
    )


def traceparent(body: bytes) -> str:
    """The W3C trace context of a record's story, for readers that are not ours; empty: it has
    none.
    """
    found = _CORRELATION.search(body)
    if found is None:
        return ""
    story = found.group(1).decode()
    parent = trace_id_of("root" + story) & (2**64 - 1) or 1
    return f"00-{trace_id_of(story):032x}-{parent:016x}-01"


def span(name: str, began_ns: int, **attributes: Any) -> None:
    """A span from `began_ns` (time.time_ns) to now, in the trace of the correlation id that is
    bound here, else of the request id. Costs one comparison while tracing is off.
    """
    if _tracer is None:
        return
    about = structlog.contextvars.get_contextvars()
    story = str(about.get("correlation_id") or about.get("request_id") or "")
    known = {f"orion.{k}": str(about[k]) for k in (*ABOUT, "request_id") if about.get(k)}
    _span(name, began_ns, story, {**known, **attributes})


def record_spans(name: str, records: Iterable[Traced], *, since_decided: bool = False) -> None:
    """A span for each record of the log, in the trace of its correlation id: from the moment it was
    decided, else a moment. Costs one comparison while tracing is off.
    """
    if _tracer is None:
        return
    now = time.time_ns()
    for record in records:
        found = _CORRELATION.search(record.body)
        if found is None:
            continue
        story = found.group(1).decode()
        _span(
            f"{name} {record.type}",
            record.at * 1_000 if since_decided else now,
            story,
            {
                "orion.correlation_id": story,
                "orion.tenant": record.tenant,
                "orion.entity_id": record.entity,
                "orion.position": f"{record.topic}/{record.part}/{record.offset}",
            },
        )


def _span(name: str, began_ns: int, story: str, attributes: dict[str, Any]) -> None:
    assert _tracer is not None
    context = None
    if story:
        parent = trace.SpanContext(
            trace_id=trace_id_of(story),
            span_id=trace_id_of("root" + story) & (2**64 - 1) or 1,
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    _tracer.start_span(name, context=context, attributes=attributes, start_time=began_ns).end()


def bind(**values: Any) -> None:
    """Binds values (tenant, correlation_id, entity_id …) to every log line, span and outgoing call
    of this task from here on.
    """
    structlog.contextvars.bind_contextvars(**values)


@contextmanager
def bound(**values: Any) -> Iterator[None]:
    """Binds values (tenant, correlation_id, entity_id …) to every log line written inside."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """A Prometheus counter `orion_<name>`; the same name gives the same counter."""
    return _metric(Counter, name, doc, labels)


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """A Prometheus gauge `orion_<name>`."""
    return _metric(Gauge, name, doc, labels)


def histogram(
    name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY_BUCKETS
) -> Histogram:
    """A Prometheus histogram `orion_<name>`, seconds unless the name says otherwise."""
    return _metric(Histogram, name, doc, labels, buckets=tuple(buckets))


_metrics: dict[str, Any] = {}
_homes: dict[str, str] = {}  # the module that made each


def keep(services: Collection[str]) -> None:
    """In a copy of a process that imported every service: forgets the metrics of those that do
    not run here.
    """
    for name, home in list(_homes.items()):
        words = home.split(".")
        if words[:2] == ["orion", "services"] and words[2] not in services:
            REGISTRY.unregister(_metrics.pop(name))
            del _homes[name]


def _metric(kind: Any, name: str, doc: str, labels: Sequence[str], **more: Any) -> Any:
    full = f"orion_{name}"
    if full not in _metrics:
        _metrics[full] = kind(full, doc, tuple(labels), **more)
        _homes[full] = str(sys._getframe(2).f_globals.get("__name__", ""))
    return _metrics[full]


def exposition() -> bytes:
    """This process's metrics in the Prometheus text format."""
    return generate_latest(REGISTRY)


async def serve_metrics(path: Path) -> asyncio.Server:
    """Answers every connection on this unix socket with the metrics, as HTTP. Keep the returned
    server.
    """
    with suppress(FileNotFoundError):
        path.unlink()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Exception):
            async with asyncio.timeout(2):
                await reader.readuntil(b"\r\n\r\n")
            body = exposition()
            kind = "Content-Type: text/plain; version=0.0.4"
            head = f"HTTP/1.0 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, str(path))
