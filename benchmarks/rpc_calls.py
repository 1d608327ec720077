"""What a call between two services costs: in the clear and over TLS with certificates on both
sides, over a unix socket and TCP. `python -m benchmarks.rpc_calls [CALLS]`.

CPU of this process, which is both sides, per call. The ratio is what counts, the median of those of
neighbouring rounds, so that a machine that others use too tells it; the least of each kind is near
what it is when nobody disturbs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any

from orion.platform.auth import ServiceTokens, StaticKeys, Verifier
from orion.platform.certificates import Authority, Names
from orion.platform.clock import SystemClock
from orion.platform.rpc import Directory, RpcServer
from orion.platform.rpc.tls import Credentials, Peers, TlsFiles
from orion.wire.stubs import audit_pb2, audit_pb2_grpc

ROUNDS = 15
AT_ONCE = 8
KEY = bytes(range(64))
CLOCK = SystemClock()


class Audit(audit_pb2_grpc.AuditServiceServicer):
    """Answers at once, with about as much as a dealer's answer has."""

    async def GetTimeline(
        self, request: audit_pb2.TimelineRequest, context: Any
    ) -> audit_pb2.TimelineResponse:
        entry = audit_pb2.AuditEntry(service="rfq", summary="x" * 400)
        return audit_pb2.TimelineResponse(items=[entry])


async def opened(stack: AsyncExitStack, folder: Path, listen: str, *, tls: bool) -> Any:
    """A stub of a server of its own, and its metadata."""
    verifier = Verifier(StaticKeys({"keys": []}), issuer="none", clock=CLOCK, service_key=KEY)

    def shown(name: str) -> Credentials | None:
        files = TlsFiles(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
        return Credentials(files, "bench") if tls else None

    server = RpcServer(
        listen,
        verifier.verify,
        credentials=shown("audit"),
        peers=Peers("bench", (), {}) if tls else None,
    )
    server.add(audit_pb2_grpc.add_AuditServiceServicer_to_server, Audit())
    await server.start()
    stack.push_async_callback(server.stop, 0)
    address = listen if listen.startswith("unix:") else f"127.0.0.1:{server.port}"
    tokens = ServiceTokens(KEY, "rfq", CLOCK)
    directory = Directory({"audit": (address,)}, tokens, credentials=shown("rfq"))
    stack.push_async_callback(directory.close)
    return audit_pb2_grpc.AuditServiceStub(directory.channel("audit")), directory


async def cpu_us(stub: Any, directory: Directory, calls: int) -> float:
    """Microseconds of CPU per call, both sides together."""
    request = audit_pb2.TimelineRequest(correlation_id="c" * 30)

    async def some() -> None:
        for _ in range(calls // AT_ONCE):
            await stub.GetTimeline(request, timeout=5, metadata=directory.as_service())

    before = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.process_time() - before) / calls * 1e6


async def main(words: Sequence[str]) -> None:
    """Prints a line per kind of connection."""
    calls = int(words[0]) if words else 2_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Authority(folder, "bench", CLOCK).keep([Names(n, (n,)) for n in ("audit", "rfq")])
        async with AsyncExitStack() as stack:
            kinds = {
                f"{where} {'TLS' if tls else 'clear'}": await opened(
                    stack, folder, listen + (str(tls) if "unix" in listen else ""), tls=tls
                )
                for where, listen in (("unix", f"unix:{folder}/s"), ("tcp", "127.0.0.1:0"))
                for tls in (False, True)
            }
            found: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(ROUNDS + 1):
                for kind, (stub, directory) in kinds.items():
                    found[kind].append(await cpu_us(stub, directory, calls))
    for where in ("unix", "tcp"):
        clear, tls = (found[f"{where} {how}"][1:] for how in ("clear", "TLS"))
        ratios = sorted(t / c for c, t in zip(clear, tls, strict=True))
        print(
            f"{where}: least {min(clear):.0f} us in the clear, {min(tls):.0f} us over TLS; "
            f"ratio {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(sys.argv[1:]))
