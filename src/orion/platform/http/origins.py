"""Which pages may send us something, and what a cookie is called here."""

from __future__ import annotations

from urllib.parse import urlsplit

from orion.platform.http.guard import is_loopback


def allowed_origins(public_url: str) -> frozenset[str]:
    """The origins of our own pages: the public address, and on this machine its other name."""
    url = urlsplit(public_url)
    names = {url.hostname or ""}
    if is_loopback(url.hostname or ""):
        names = {"localhost", "127.0.0.1"}
    port = f":{url.port}" if url.port else ""
    return frozenset(f"{url.scheme}://{name}{port}" for name in names)


def cookie_name(public_url: str, purpose: str = "") -> str:
    """`__Host-orion-<port>`: cookies know no ports, so each platform on a machine has its name."""
    url = urlsplit(public_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"__Host-orion-{purpose}{port}"
