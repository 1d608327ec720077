"""All processes' metrics as one: each process answers on its own unix socket; samples get a
`process` label.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from orion.platform import telemetry

LIMIT_BYTES = 8 * 1024 * 1024
TIMEOUT_S = 2.0
_SUFFIX = ".metrics.sock"


@dataclass(frozen=True, slots=True)
class Sources:
    """The folder where the processes' metric sockets are."""

    run_dir: Path


async def gathered(sources: Sources) -> bytes:
    """The exposition of all processes that answer. One that does not shows as orion_process_up
    0.
    """
    sockets = sorted(sources.run_dir.glob(f"*{_SUFFIX}"))
    texts = await asyncio.gather(*(_read(s) for s in sockets))
    return merged({s.name.removesuffix(_SUFFIX): t for s, t in zip(sockets, texts, strict=True)})


async def _read(path: Path) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=LIMIT_BYTES)
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            await writer.drain()
            answer = await reader.read(LIMIT_BYTES)
            while chunk := await reader.read(LIMIT_BYTES - len(answer)):
                answer += chunk
            writer.close()
    except (OSError, TimeoutError) as error:
        telemetry.log.warning(
            "metrics of a process cannot be read", socket=path.name, error=str(error)
        )
        return None
    return answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")


class _Merged:
    """A Prometheus collector over several expositions."""

    def __init__(self, texts: dict[str, str | None]):
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        up = Metric("orion_process_up", "The process answers on its metrics socket", "gauge")
        families: dict[str, Metric] = {}
        for process, text in self._texts.items():
            up.add_sample("orion_process_up", {"process": process}, 0 if text is None else 1)
            for found in text_string_to_metric_families(text or ""):
                mine = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                for s in found.samples:
                    mine.add_sample(s.name, {**s.labels, "process": process}, s.value, s.timestamp)
        yield up
        yield from families.values()


def merged(texts: dict[str, str | None]) -> bytes:
    """One exposition of several; None: that process did not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(texts))  # type: ignore[arg-type]
    return generate_latest(registry)
