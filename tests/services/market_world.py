"""What the market data tests share: the real seed files, and rows by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path

from orion.core.instrument import Instrument
from orion.services.marketdata_ingest.feed import FeedBatch, RawQuote
from orion.services.marketdata_ingest.module import spec_of
from orion.services.marketdata_ingest.simulator import SimInstrument, Simulator
from orion.services.reference import seeds as seed_files

AS_OF = date(2026, 2, 9)
T0 = 1_770_000_000_000_000
SECOND = 1_000_000
FOLDER = Path(seed_files.__file__).with_name("seeds")
RECORDING = Path(spec_of.__code__.co_filename).with_name("recordings") / "fx_quotes_2019-01-01.csv"


def seeds() -> seed_files.Seeds:
    """The seed files of the product."""
    return seed_files.load(FOLDER)


def instruments() -> dict[str, Instrument]:
    """Its instruments."""
    return {i.instrument_id: i for i in seeds().instruments}


def specs() -> list[SimInstrument]:
    """As the simulator wants them."""
    return [spec_of(i) for i in seeds().instruments]


def simulator(seed: int = 4711, scenario: str = "calm", rate: float = 17.0) -> Simulator:
    """A simulator over the product's instruments."""
    return Simulator(seed, specs(), as_of=AS_OF, scenario=scenario, rate=rate)


class HandFeed:
    """A feed whose batches are written by hand."""

    def __init__(self, name: str = "HAND", symbols: dict[str, str] | None = None):
        self.name = name
        self.symbols = symbols or {"EUR/USD": "EURUSD", "USD/JPY": "USDJPY"}
        self.waiting: list[FeedBatch] = []

    async def batches(self) -> AsyncIterator[FeedBatch]:
        for batch in self.waiting:
            yield batch


def row(
    bid: str | None,
    ask: str | None,
    at: int = T0,
    symbol: str = "EUR/USD",
    flags: Sequence[str] = (),
) -> RawQuote:
    """A vendor's row."""
    return RawQuote(symbol, bid, ask, at, None, tuple(flags))
