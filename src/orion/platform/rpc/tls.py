"""Both ends of a connection show a certificate of one authority. Files may be replaced at any time:
a server takes what lies there at the next handshake, a caller at its next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from orion.platform import telemetry
from orion.platform.certificates import are_pair, expiry_of, host_of, spiffe
from orion.platform.config import ConfigError
from orion.platform.errors import Coded

_EXPIRES = telemetry.gauge(
    "tls_certificate_expires", "When this process's certificate ends, seconds since 1970"
)
_BAD_FILES = telemetry.counter("tls_files_refused", "Certificate files that could not be used")
REMEDY = "Make them with `orion certs`, or set ORION_RPC_TLS=off"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the authorities that are trusted, our certificate and its key."""

    authority: Path
    certificate: Path
    key: Path

    def stamps(self) -> tuple[tuple[int, int, int], ...]:
        """What changes when a file does. Raises OSError."""
        found = [path.stat() for path in (self.authority, self.certificate, self.key)]
        return tuple((f.st_mtime_ns, f.st_ino, f.st_size) for f in found)


@dataclass(frozen=True, slots=True)
class _Content:
    authority: bytes
    certificate: bytes
    key: bytes


class Credentials:
    """This process's own, as they lie in the files. `generation` grows when those changed."""

    def __init__(self, files: TlsFiles, env: str):
        self._files, self.env = files, env
        self.generation = 0
        try:
            self._stamps = files.stamps()
            self._content = self._read()
        except (OSError, ValueError) as error:
            raise ConfigError(
                str(getattr(error, "filename", None) or files.certificate),
                f"the certificate of this process cannot be used ({error})",
                REMEDY,
            ) from error

    def look(self) -> None:
        """Takes new files when there are any and they fit together; else stays as it is."""
        try:
            stamps = self._files.stamps()
            if stamps == self._stamps:
                return
            content = self._read()
        except (OSError, ValueError) as error:
            _BAD_FILES.inc()
            telemetry.log.error("new certificate files cannot be used", error=str(error))
            return
        self._stamps, self._content = stamps, content
        self.generation += 1
        telemetry.log.info("certificate taken", file=str(self._files.certificate))

    def _read(self) -> _Content:
        files = self._files
        content = _Content(
            files.authority.read_bytes(), files.certificate.read_bytes(), files.key.read_bytes()
        )
        expiry_of(content.authority)
        if not are_pair(content.certificate, content.key):
            raise ValueError("the key is not that certificate's")
        _EXPIRES.set(expiry_of(content.certificate).timestamp())
        return content

    def for_calling(self) -> grpc.ChannelCredentials:
        """Credentials of a new connection."""
        now = self._content
        return grpc.ssl_channel_credentials(now.authority, now.key, now.certificate)

    def calling_options(self, service: str) -> tuple[tuple[str, Any], ...]:
        """Who answers must be that service, whatever its address is called."""
        return (("grpc.ssl_target_name_override", host_of(self.env, service)),)

    def for_answering(self) -> grpc.ServerCredentials:
        """Credentials of one server: callers must show a certificate; files are looked at before
        each handshake."""
        shown = self._content

        def fetch() -> Any:  # by a thread of gRPC's
            nonlocal shown
            self.look()
            if self._content is shown:
                return None
            shown = self._content
            return _server_configuration(shown)

        return grpc.dynamic_ssl_server_credentials(
            _server_configuration(shown), fetch, require_client_authentication=True
        )


def _server_configuration(content: _Content) -> Any:
    return grpc.ssl_server_certificate_configuration(
        [(content.key, content.certificate)], root_certificates=content.authority
    )


class Peers:
    """What the certificate of a connection allows: a service's token only over a connection of that
    service, a user's token only over one of a service that speaks for users, and some methods only
    to those that are named for them. A copy of a service that answers here (`own`) passes on what
    it was asked, with whoever's token that was.
    """

    def __init__(
        self,
        env: str,
        speak_for_users: Iterable[str],
        only: Mapping[str, frozenset[str]],
        own: Iterable[str] = (),
    ):
        self._env, self._only = env, dict(only)
        self._speakers = frozenset(_uri(env, name) for name in speak_for_users)
        self._own = frozenset(_uri(env, name) for name in own)

    def check(self, context: Any, service: str | None, method: str) -> None:
        """Raises Coded AUTH-110. `service`: of the token; None: a user's."""
        uris = frozenset(context.auth_context().get("peer_uri", ()))
        if uris.isdisjoint(self._own):
            if service is None and uris.isdisjoint(self._speakers):
                raise Coded("AUTH-110", "This connection may not speak for users")
            if service is not None and _uri(self._env, service) not in uris:
                raise Coded("AUTH-110")
        allowed = self._only.get(method)
        if service is not None and allowed is not None and service not in allowed:
            raise Coded("AUTH-103")


def _uri(env: str, name: str) -> bytes:
    return spiffe(env, name).encode()


async def follow_files(credentials: Credentials, pause_s: float = 5.0) -> None:
    """Looks again and again until cancelled."""
    while True:
        await asyncio.sleep(pause_s)
        credentials.look()
