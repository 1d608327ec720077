"""The calling side: channels by service name, tokens to forward, errors turned back into coded
ones.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import structlog

from orion.platform.caller import Caller
from orion.platform.errors import Coded, NotOwner, Unavailable, catalogue
from orion.platform.rpc.copies import CopiesChannel
from orion.platform.rpc.local import Home
from orion.platform.rpc.tls import Credentials

OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.max_send_message_length", 16 * 1024 * 1024),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.use_local_subchannel_pool", 1),
)
CARRIED = ("request_id", "correlation_id", "entity_id")  # goes along with every call
Metadata = tuple[tuple[str, str], ...]


class Directory:
    """Where the copies of each service are. `service_token` mints the token with which this
    process speaks for itself. Calls to the address of `home` stay in this process.
    """

    def __init__(
        self,
        addresses: Mapping[str, Sequence[str]],
        service_token: Callable[[], str],
        home: Home | None = None,
        credentials: Credentials | None = None,
    ):
        self._addresses = {
            name: (given,) if isinstance(given, str) else tuple(given)
            for name, given in addresses.items()
        }
        self.credentials = credentials
        self._token = service_token
        self.home = home
        self._channels: dict[str, grpc.aio.Channel] = {}  # by address
        self._shared: dict[str, grpc.aio.Channel] = {}  # by service, where it has copies

    def speaking_as(self, service_token: Callable[[], str]) -> Directory:
        """The same connections, with another service's own voice."""
        other = Directory(self._addresses, service_token, self.home, self.credentials)
        other._channels, other._shared = self._channels, self._shared
        return other

    def channel(self, service: str, address: str | None = None) -> grpc.aio.Channel:
        """The channel to a service, whichever copy answers, the one of this process first (or to
        one copy of it by address). Connects lazily; cached.
        """
        copies = (address,) if address else self._addresses[service]
        if len(copies) == 1:
            return self._to(service, copies[0])
        if self.home is not None and self.home.address in copies:
            return self.home.channel
        if service not in self._shared:
            self._shared[service] = CopiesChannel([self._to(service, copy) for copy in copies])
        return self._shared[service]

    def copies(self, service: str) -> tuple[str, ...]:
        """The addresses of all copies of a service."""
        return self._addresses[service]

    def _to(self, service: str, target: str) -> grpc.aio.Channel:
        if self.home is not None and target == self.home.address:
            return self.home.channel
        # Over TLS it matters who is expected there, not only where.
        key = target if self.credentials is None else f"{service}@{target}"
        if key not in self._channels:
            self._channels[key] = self._connection(service, target)
        return self._channels[key]

    def _connection(self, service: str, target: str) -> grpc.aio.Channel:
        secure = self.credentials
        if secure is None:
            return grpc.aio.insecure_channel(target, options=OPTIONS)
        options = (*OPTIONS, *secure.calling_options(service))
        return grpc.aio.secure_channel(target, secure.for_calling(), options=options)

    def as_user(self, caller: Caller) -> Metadata:
        """Metadata of a call on behalf of a user: the user's own token, verified again over
        there."""
        return (("authorization", f"Bearer {caller.token}"), *_context())

    def as_service(self) -> Metadata:
        """Metadata of a call by this service itself."""
        return (("authorization", f"Bearer {self._token()}"), *_context())

    async def close(self) -> None:
        """Closes all channels."""
        for channel in self._channels.values():
            await channel.close(grace=0.2)


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
