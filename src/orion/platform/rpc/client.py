"""The calling side: channels by service name, tokens to forward, errors turned back into coded
ones.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import copy
from functools import partial
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import structlog

from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner, Unavailable, catalogue
from orion.platform.rpc.breaker import Budget
from orion.platform.rpc.local import Home
from orion.platform.rpc.route import Line, Route
from orion.platform.rpc.tls import Credentials

OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", 16 * 1024 * 1024),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
    # Who is silent for longer than both together is gone: a process that hangs, a cut cable.
    ("grpc.keepalive_time_ms", 3_000),
    ("grpc.keepalive_timeout_ms", 4_000),
    ("grpc.http2.ping_timeout_ms", 4_000),  # a minute by itself, and it alone decides
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    ("grpc.http2.max_ping_strikes", 0),
)
TAKES_CALLS = "orion"  # in gRPC's health service: until the process is about to end
SPREAD = (
    (
        "grpc.service_config",
        json.dumps(
            {
                "loadBalancingConfig": [{"round_robin": {}}],
                "healthCheckConfig": {"serviceName": TAKES_CALLS},
            }
        ),
    ),
)
CARRIED = ("request_id", "correlation_id", "entity_id")  # goes along with every call
Metadata = tuple[tuple[str, str], ...]


class Directory:
    """Where the copies of each service are. `service_token` mints the token with which this
    process speaks for itself. Calls to the address of `home` stay in this process; all others go
    by a Route. `repeatable`: the methods that may be asked twice, as the contract says.
    """

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        service_token: Callable[[], str],
        home: Home | None = None,
        credentials: Credentials | None = None,
        repeatable: Iterable[str] = (),
    ):
        self._addresses = {
            name: (given,) if isinstance(given, str) else tuple(given)
            for name, given in addresses.items()
        }
        self.home, self.credentials = home, credentials
        self._token, self._repeatable = service_token, frozenset(repeatable)
        self._connections: dict[str, grpc.aio.Channel] = {}  # in the clear: one per address
        self._lines: dict[tuple[str, str], Line] = {}
        self._routes: dict[tuple[str, str | None], Route] = {}
        self._budgets: dict[str, Budget] = {}

    def speaking_as(self, service_token: Callable[[], str]) -> Directory:
        """The same connections, with another service's own voice."""
        other = copy(self)
        other._token = service_token
        return other

    def channel(self, service: str, address: str | None = None) -> grpc.aio.Channel:
        """The channel to a service, whichever copy answers, the one of this process first (or to
        one copy of it by address). Connects lazily; cached.
        """
        copies = (address,) if address else self._addresses[service]
        if self.home is not None and self.home.address in copies:
            return self.home.channel
        key = (service, address)
        if key not in self._routes:
            self._routes[key] = Route(
                [self._line(service, one) for one in copies],
                self._budgets.setdefault(service, Budget()),
                self._repeatable,
                None if address else partial(self._owner, service),
            )
        return self._routes[key]

    def copies(self, service: str) -> tuple[str, ...]:
        """The addresses of all copies of a service."""
        return self._addresses[service]

    def _owner(self, service: str, address: str) -> Line | grpc.aio.Channel:
        if self.home is not None and self.home.address == address:
            return self.home.channel
        return self._line(service, address)

    def _line(self, service: str, address: str) -> Line:
        key = (service, address)
        if key not in self._lines:
            secure = self.credentials
            self._lines[key] = Line(
                service,
                address,
                partial(self._connection, service, address),
                (lambda: 0) if secure is None else (lambda: secure.generation),
            )
        return self._lines[key]

    def _connection(self, service: str, address: str) -> grpc.aio.Channel:
        # A name may stand for several machines: gRPC asks those in turn that take calls.
        options = (*OPTIONS, *(SPREAD if address.startswith(("dns:", "ipv4:", "ipv6:")) else ()))
        secure = self.credentials
        if secure is not None:
            # It matters who is expected there, not only where.
            options += secure.calling_options(service)
            return grpc.aio.secure_channel(address, secure.for_calling(), options=options)
        if address not in self._connections:
            self._connections[address] = grpc.aio.insecure_channel(address, options=options)
        return self._connections[address]

    def as_user(self, caller: Caller) -> Metadata:
        """Metadata of a call on behalf of a user: the user's own token, verified again over
        there."""
        return (("authorization", f"Bearer {caller.token}"), *_context())

    def as_service(self) -> Metadata:
        """Metadata of a call by this service itself."""
        return (("authorization", f"Bearer {self._token()}"), *_context())

    async def close(self) -> None:
        """Closes all connections."""
        for line in self._lines.values():
            await line.close()


def _context() -> Metadata:
    bound = structlog.contextvars.get_contextvars()
    return tuple((f"x-orion-{k}", quote(str(bound[k]), safe="")) for k in CARRIED if bound.get(k))


def error_of(error: grpc.aio.AioRpcError) -> Exception:
    """The coded error that a failed call stands for."""
    metadata: Any = error.trailing_metadata() or ()
    trailers = {str(k): v for k, v in metadata}
    code = trailers.get("orion-code")
    if "orion-owner" in trailers:
        service, part, address = str(trailers["orion-owner"]).split("|", 2)
        return NotOwner(service, int(part), address or None)
    if code in catalogue():
        extra: dict[str, Any] = {}
        with suppress(ValueError, TypeError):
            extra = json.loads(trailers.get("orion-extra-bin", b"{}"))
        retry = trailers.get("orion-retry-after")
        detail = error.details() or ""
        if code == "SYS-905":  # said by our own side of the call
            return Unavailable(detail, code=code, retry_after_s=float(retry or 1))
        return Coded(str(code), detail, retry_after_s=float(retry) if retry else None, extra=extra)
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Unavailable("No answer in time; the outcome is unknown", code="SYS-902")
    if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return Unavailable()
    return Coded("SYS-900")


@asynccontextmanager
async def rpc_errors() -> AsyncIterator[None]:
    """Turns a failed call inside into Coded, Unavailable or NotOwner."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from error
