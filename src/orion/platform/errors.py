"""Errors that cross a process boundary carry a code of contracts/errors.toml; everything else is a
bug and shows only an id.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """A row of errors.toml."""

    code: str
    status: int
    grpc: str
    title: str


@cache
def catalogue() -> dict[str, ErrorKind]:
    """All codes, read once."""
    rows = tomllib.loads((CONTRACTS / "errors.toml").read_text())
    return {code: ErrorKind(code, r["status"], r["grpc"], r["title"]) for code, r in rows.items()}


class Coded(Exception):
    """A refusal with a code: raised anywhere below an edge, rendered once at the edge."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        extra: dict[str, object] | None = None,
    ):
        self.kind = catalogue()[code]
        self.code = code
        self.detail = detail or self.kind.title
        self.retry_after_s = retry_after_s
        self.extra = extra or {}
        super().__init__(f"{code}: {self.detail}")


class Unavailable(Coded):
    """Something outside did not answer after bounded retries."""

    def __init__(self, detail: str = "", *, code: str = "SYS-901", retry_after_s: float = 1.0):
        super().__init__(code, detail, retry_after_s=retry_after_s)


class NotOwner(Exception):
    """The command reached a process that does not own its partition; `address` is where the owner
    is, when known.
    """

    def __init__(self, service: str, part: int, address: str | None):
        self.service, self.part, self.address = service, part, address
        super().__init__(f"{service}/{part} is owned by {address or 'nobody yet'}")


@dataclass(eq=False)
class InvalidMessage(Exception):
    """A record that can never be processed: it goes to the dead letters at once."""

    topic: str
    part: int
    offset: int
    reason: str
    extra: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.topic}/{self.part}/{self.offset}: {self.reason}"
