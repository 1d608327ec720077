"""What every source of prices looks like to ingest: an endless stream of batches, in the vendor's
own words.

A feed knows its vendor's symbols, clock and format, and nothing of ours. It never raises for a bad
row: it counts it under a reason and goes on. Whoever connects a real venue writes one class with
these three members (the mock one is the example).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Micros = int
# How often a source says that it lives. FX is amber after two seconds of silence: a sign may be
# lost or late on its way to a screen, and a quiet pair still looks as alive as it is.
HEARTBEAT_US = 500_000


@dataclass(frozen=True, slots=True)
class RawQuote:
    """One row of a vendor, as it came: `bid` and `ask` are the vendor's text, not yet believed."""

    symbol: str
    bid: str | None
    ask: str | None
    at: Micros  # the source's time, moved to our present when replayed
    source_at: Micros | None = None  # what the recording said, when that differs
    flags: tuple[str, ...] = ()  # what the vendor itself says of it


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """What came together. `alive`: symbols whose source gave a sign of life; `unread`: rows that
    could not be read, by reason.
    """

    quotes: Sequence[RawQuote] = ()
    alive: Sequence[str] = ()
    unread: Mapping[str, int] = field(default_factory=dict)


class Feed(Protocol):
    """A source of prices."""

    name: str  # SIM, REPLAY, or the venue's name: the `source` of its ticks

    @property
    def symbols(self) -> Mapping[str, str]:
        """The vendor's symbol → our id. Rows of other symbols are dropped and counted."""
        ...

    def batches(self) -> AsyncIterator[FeedBatch]:
        """Batches for ever, or until the source ends. Reconnects by itself; raises only what nobody
        can mend.
        """
        ...
