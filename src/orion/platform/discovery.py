"""An issuer's metadata (OpenID Connect Discovery): read with limits, taken only when it is the
configured issuer's.

What it names is checked too: an address outside of https is taken only where the issuer itself is
on this machine.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orion.platform.config import ConfigError
from orion.platform.errors import Unavailable
from orion.platform.issuer import check_address

WELL_KNOWN = "/.well-known/openid-configuration"
MAX_BYTES = 256 * 1024
READ_S = 5.0


@dataclass(frozen=True, slots=True)
class Metadata:
    """What we use of an issuer's metadata. Empty: it has none such."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    revocation_endpoint: str = ""
    end_session_endpoint: str = ""
    token_auth_methods: tuple[str, ...] = ("client_secret_basic",)


def metadata_of(document: Any, issuer: str) -> Metadata:
    """The checked metadata. Raises Unavailable with a sentence."""
    if not isinstance(document, dict):
        raise Unavailable("The identity provider's metadata cannot be read")
    if document.get("issuer") != issuer:
        raise Unavailable("The identity provider is another one than configured")
    methods = document.get("token_endpoint_auth_methods_supported")
    return Metadata(
        issuer=issuer,
        authorization_endpoint=_address(document, issuer, "authorization_endpoint"),
        token_endpoint=_address(document, issuer, "token_endpoint"),
        jwks_uri=_address(document, issuer, "jwks_uri"),
        revocation_endpoint=_address(document, issuer, "revocation_endpoint", needed=False),
        end_session_endpoint=_address(document, issuer, "end_session_endpoint", needed=False),
        token_auth_methods=tuple(map(str, methods))
        if isinstance(methods, list)
        else ("client_secret_basic",),
    )


def _address(document: dict[str, Any], issuer: str, name: str, *, needed: bool = True) -> str:
    given = document.get(name)
    if given is None and not needed:
        return ""
    if not isinstance(given, str):
        raise Unavailable(f"The identity provider's metadata has no {name}")
    if urlsplit(issuer).scheme == "https":
        if urlsplit(given).scheme != "https":
            raise Unavailable(f"The identity provider's {name} is not https")
    elif urlsplit(given).hostname != urlsplit(issuer).hostname:
        try:
            check_address(name, given)
        except ConfigError:
            raise Unavailable(f"The identity provider's {name} is not https") from None
    return given


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def read_json(address: str, timeout_s: float = READ_S) -> Any:
    """A JSON document by GET: bounded in time and size, no redirections. Blocks; raises OSError
    and ValueError.

    By the standard library: an HTTP client library would be a fifth of what every process imports
    at its start.
    """
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(address, timeout=timeout_s) as answer:
        body = answer.read(MAX_BYTES + 1)
    if len(body) > MAX_BYTES:
        raise ValueError(f"{address} answers with more than {MAX_BYTES} bytes")
    return json.loads(body)


def read_keys(issuer: str, jwks_url: str = "", timeout_s: float = READ_S) -> Any:
    """The issuer's JWKS: from `jwks_url`, else from where its metadata says. Blocks; raises
    OSError, ValueError, Unavailable."""
    if not jwks_url:
        jwks_url = metadata_of(read_json(issuer + WELL_KNOWN, timeout_s), issuer).jwks_uri
    return read_json(jwks_url, timeout_s)
