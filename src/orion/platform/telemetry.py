"""Logs (one JSON line each), metrics (Prometheus) and spans (OpenTelemetry, off unless an endpoint
is set).

A span's trace id is derived from the correlation id, so that every process that works on one RFQ
writes into one trace without handing context around: through RPC and through the bus alike.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from opentelemetry import trace
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest

log: Any = structlog.get_logger()
_tracer: trace.Tracer | None = None

LATENCY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def configure(process: str, level: str = "info", otlp_endpoint: str = "", file: Any = None) -> None:
    """Sets this process's logging (to `file`, else stderr) and tracing up. Call once, first."""
    numeric = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
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


@contextmanager
def span(name: str, correlation: str = "", **attributes: Any) -> Iterator[None]:
    """A span in the trace of this correlation id. Costs one comparison while tracing is off."""
    if _tracer is None:
        yield
        return
    context = None
    if correlation:
        parent = trace.SpanContext(
            trace_id=trace_id_of(correlation),
            span_id=trace_id_of("root" + correlation) & (2**64 - 1) or 1,
            is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        attributes["orion.correlation_id"] = correlation
    with _tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield


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
