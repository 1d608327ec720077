"""What every decision of core looks like: events, or a refusal with a code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reject:
    """A business refusal: a value, never an exception. `code` is one of contracts/errors.toml."""

    code: str
    detail: str
