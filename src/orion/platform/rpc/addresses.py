"""Where services answer, read from one setting.

- empty: every process of this machine at a unix socket in the run folder
- `loopback:7400`: every process of this machine at a TCP port of its own, counted from there
- `dns:///{service}:7400`: one pattern for all services; `{host}` is the name with hyphens
- `rfq=host:port|host:port,audit=…`: services by name, each with the addresses of its copies; a
  pattern in the same list stands for those not named
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence

from orion.platform.config import ConfigError

KEY = "ORION_RPC_ADDRESSES"
LISTEN = "ORION_RPC_LISTEN"
LOOPBACK = "loopback:"
WILDCARDS = ("0.0.0.0", "[::]", "")


def is_local(setting: str) -> bool:
    """Whether all processes run on this machine, each found by its name."""
    return not setting or setting.startswith(LOOPBACK)


def of_process(setting: str, process: str, all_processes: Sequence[str]) -> str:
    """Where a process of this machine answers, by its place among all of them."""
    base = _port(setting.removeprefix(LOOPBACK), KEY)
    if process not in all_processes:
        raise ConfigError(KEY, f"{process} is no process here", f"Known: {all_processes}")
    return f"127.0.0.1:{base + all_processes.index(process)}"


def of_services(setting: str, services: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Where each service's copies answer, wherever they run. Raises ConfigError."""
    named: dict[str, tuple[str, ...]] = {}
    pattern = ""
    known = tuple(services)
    for item in filter(None, (part.strip() for part in setting.split(","))):
        name, equals, given = item.partition("=")
        if not equals:
            if pattern or "{" not in item:
                raise ConfigError(KEY, f"{item!r} names no service", "Write service=host:port")
            pattern = item
        elif name not in known:
            raise ConfigError(KEY, f"there is no service {name!r}", f"Known: {', '.join(known)}")
        else:
            named[name] = tuple(_address(one.strip()) for one in given.split("|"))
    missing = [name for name in known if name not in named]
    if missing and not pattern:
        raise ConfigError(
            KEY, f"{', '.join(missing)} has no address", "Name it, or add a pattern with {service}"
        )
    return {name: named.get(name) or (_filled(pattern, name),) for name in known}


def listening(listen: str, advertise: str, own: str) -> tuple[str, str]:
    """(where this process listens, under which address others find it). `own`: where the addresses
    say that it is, if they do.
    """
    listen = listen or own
    if not listen:
        raise ConfigError(LISTEN, "is not set", "Say where this process listens: 0.0.0.0:7400")
    if advertise:
        return listen, _address(advertise)
    host, _, port = listen.rpartition(":")
    if not listen.startswith("unix:") and host in WILDCARDS:
        return listen, f"{socket.gethostname()}:{port}"
    return listen, own or listen


def _filled(pattern: str, service: str) -> str:
    values: Mapping[str, str] = {"service": service, "host": service.replace("_", "-")}
    try:
        return _address(pattern.format_map(values))
    except (KeyError, ValueError, IndexError):
        raise ConfigError(KEY, f"{pattern!r} is no pattern", "Use {service} or {host}") from None


def _address(text: str) -> str:
    if text.startswith("unix:"):
        return text
    _port(text.rpartition(":")[2], KEY)
    return text


def _port(text: str, key: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ConfigError(key, f"{text!r} is no port", "Write host:port")
    return int(text)
