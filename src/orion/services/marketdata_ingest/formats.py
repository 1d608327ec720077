"""Vendors' file formats. Each turns one line into a row in the vendor's own words, or says why it
cannot.

A format is recognised by its first line. To teach another one, write a parser and add it to
FORMATS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from orion.services.marketdata_ingest.feed import RawQuote

MAX_LINE = 4_096
SCAN_LINES = 200_000

Unread = str  # a reason
Parsed = RawQuote | Unread


class UnknownFormat(Exception):
    """No parser knows this file."""


@dataclass(frozen=True, slots=True)
class Format:
    """How one vendor writes. `has_header`: the first line only names the columns."""

    name: str
    recognise: Callable[[str], bool]
    parse: Callable[[str], Parsed]
    has_header: bool


@lru_cache(maxsize=64)
def _minute(text: str) -> int:
    moment = datetime.strptime(text, "%Y%m%d %H:%M").replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000


def pair_csv(line: str) -> Parsed:
    """`EUR/USD,20190101 23:00:00.078,1.14605,1.14643` (UTC, milliseconds)."""
    parts = line.split(",")
    if len(parts) != 4:
        return "COLUMNS"
    symbol, stamp, bid, ask = (p.strip() for p in parts)
    try:
        at = _minute(stamp[:14]) + int(stamp[15:17]) * 1_000_000
        fraction = stamp[18:]
        if stamp[14] != ":" or not 1 <= len(fraction) <= 6 or stamp[17] != ".":
            return "BAD_TIME"
        at += int(fraction.ljust(6, "0"))
    except (ValueError, IndexError):
        return "BAD_TIME"
    return RawQuote(symbol, bid, ask, at, at)


def venue_json(line: str) -> Parsed:
    """`{"i": "EUR-USD", "t": 1546383600078000000, "b": "1.14605", "o": "1.14643", "x": "F"}`
    (nanoseconds; x: F firm, I indicative).
    """
    try:
        row = json.loads(line)
        symbol, at = row["i"], row["t"]
        bid, ask = row.get("b"), row.get("o")
    except (ValueError, KeyError, TypeError, AttributeError):
        return "NOT_JSON"
    if not isinstance(symbol, str) or isinstance(at, bool) or not isinstance(at, int):
        return "COLUMNS"
    if not all(side is None or isinstance(side, str) for side in (bid, ask)):
        return "COLUMNS"
    flags = ("INDICATIVE",) if row.get("x") == "I" else ()
    return RawQuote(symbol, bid, ask, at // 1000, at // 1000, flags)


FORMATS = (
    Format("pair-csv", lambda first: first.lower() == "pair,timestamp_utc,bid,ask", pair_csv, True),
    Format("venue-json", lambda first: first.startswith("{"), venue_json, False),
)


def recognise(path: Path) -> Format:
    """The format of a file. Raises UnknownFormat with what would help, or OSError."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline(MAX_LINE).strip()
    for known in FORMATS:
        if known.recognise(first):
            return known
    names = ", ".join(f.name for f in FORMATS)
    raise UnknownFormat(f"{path.name} begins with {first[:80]!r}; known formats: {names}")


def rows(path: Path, form: Format) -> Iterator[Parsed]:
    """All rows of a file, in the order of the file."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        if form.has_header:
            file.readline()
        while line := file.readline(MAX_LINE):
            if line.endswith("\n") or len(line) < MAX_LINE:
                text = line.strip()
                if text:
                    yield form.parse(text)
            else:
                while line and not line.endswith("\n"):
                    line = file.readline(MAX_LINE)
                yield "TOO_LONG"


def symbols_in(path: Path, form: Format) -> tuple[str, ...]:
    """The symbols that occur in the first part of a file."""
    seen: dict[str, None] = {}
    for count, row in enumerate(rows(path, form)):
        if isinstance(row, RawQuote):
            seen[row.symbol] = None
        if count >= SCAN_LINES:
            break
    return tuple(seen)
