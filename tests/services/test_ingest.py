"""What ingest believes: malformed, crossed, late, silent. No clock but the one that is moved by
hand.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orion.core.ticks import (
    Flag,
    MarketDataRecovered,
    MarketDataStaleDetected,
    Rules,
    Status,
    Tick,
)
from orion.platform.clock import ManualClock, SystemClock
from orion.platform.errors import Unavailable
from orion.services.marketdata_ingest.feed import FeedBatch, RawQuote
from orion.services.marketdata_ingest.formats import (
    UnknownFormat,
    pair_csv,
    recognise,
    rows,
    symbols_in,
    venue_json,
)
from orion.services.marketdata_ingest.ingest import STALLED_S, Ingest
from orion.services.marketdata_ingest.intake import Intake
from orion.services.marketdata_ingest.mock_venue import VenueFeed, mock_line_source
from orion.services.marketdata_ingest.module import crosses_of
from orion.services.marketdata_ingest.replay import ReplayFeed, known_symbols
from tests.services.market_world import RECORDING, SECOND, T0, HandFeed, instruments, row


def intake(**more: object) -> Intake:
    return Intake(instruments(), Rules(), at=T0, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("", ""), "EMPTY"),
        (row(None, None), "EMPTY"),
        (row("x", "1.2"), "NOT_A_NUMBER"),
        (row("NaN", "1.2"), "NOT_A_NUMBER"),
        (row("-1", "1.2"), "NOT_POSITIVE"),
        (row("0", "1"), "NOT_POSITIVE"),
        (row("1e12", "1"), "TOO_LARGE"),
        (row("1." + "1" * 20, "2"), "TOO_MANY_DECIMALS"),
        (row("1", "2", at=0), "BAD_TIME"),
        (row("1", "2", at=T0 + 60 * SECOND), "FROM_FUTURE"),
        (row("1", "2", symbol="XAU/XAG"), "UNKNOWN_SYMBOL"),
        (row("١", "2\x00"), "NOT_A_NUMBER"),
    ],
    ids=str,
)
def test_malformed_rows_are_dropped_counted_and_stop_nothing(bad: RawQuote, reason: str) -> None:
    it, feed = intake(), HandFeed()
    ticks, _ = it.take(feed, FeedBatch([row("1.1", "1.2"), bad, row("1.3", "1.4")]), T0)
    assert [str(t.bid) for t in ticks] == ["1.1", "1.3"]
    assert dict(it.account.dropped) == {reason: 1}
    assert (it.account.received, it.account.taken) == (3, 2)


@given(
    st.lists(
        st.builds(
            RawQuote,
            symbol=st.sampled_from(["EUR/USD", "USD/JPY", "?", ""]),
            bid=st.none() | st.text(max_size=12) | st.decimals(allow_nan=True).map(str),
            ask=st.none() | st.text(max_size=12) | st.floats().map(str),
            at=st.integers(-(2**62), 2**62),
        ),
        max_size=30,
    )
)
def test_whatever_comes_received_is_taken_plus_dropped(found: list[RawQuote]) -> None:
    it = intake()
    it.take(HandFeed(), FeedBatch(found, unread={"COLUMNS": 2}), T0)
    account = it.account
    assert account.received == len(found) + 2 == account.taken + sum(account.dropped.values())


def test_crossed_is_flagged_or_dropped() -> None:
    it, feed = intake(), HandFeed()
    (tick,), _ = it.take(feed, FeedBatch([row("1.2", "1.1")]), T0)
    assert Flag.CROSSED in tick.flags and it.account.crossed == 1
    strict = Intake(instruments(), Rules(drop_crossed=True), at=T0)
    assert strict.take(feed, FeedBatch([row("1.2", "1.1")]), T0)[0] == []
    assert dict(strict.account.dropped) == {"CROSSED": 1}


def test_late_is_behind_the_newest_of_its_instrument() -> None:
    it, feed = intake(), HandFeed()
    at = [T0, T0 - 240_000, T0 - 260_000, T0 + 1]
    ticks, _ = it.take(feed, FeedBatch([row("1", "2", at=t) for t in at]), T0 + SECOND)
    assert [Flag.LATE in t.flags for t in ticks] == [False, False, True, False]
    assert it.account.late == 1
    (other,), _ = it.take(
        feed, FeedBatch([row("1", "2", at=T0 - SECOND, symbol="USD/JPY")]), T0 + SECOND
    )
    assert Flag.LATE not in other.flags


def test_vendors_own_flags_are_kept_unknown_ones_not() -> None:
    it = intake()
    (tick,), _ = it.take(HandFeed(), FeedBatch([row("1", "2", flags=["INDICATIVE", "WHAT"])]), T0)
    assert tick.flags == (Flag.INDICATIVE,)


def test_silence_is_told_once_and_its_end_once() -> None:
    it, feed = intake(), HandFeed()
    quiet = instruments()["EURUSD"].stale_red_ms * 1000
    it.take(feed, FeedBatch([row("1", "2")]), T0)
    mine = lambda found: [e for e in found if e.instrument_id == "EURUSD"]  # noqa: E731
    assert mine(it.look(T0 + quiet - 1)) == []
    (event,) = mine(it.look(T0 + quiet))
    assert isinstance(event, MarketDataStaleDetected) and event.last_tick_at == T0
    assert mine(it.look(T0 + 2 * quiet)) == []
    # A heartbeat is a sign of life too: that is what keeps quiet symbols of a recording fresh.
    _, status = it.take(feed, FeedBatch(alive=["EUR/USD"]), T0 + 3 * quiet)
    (back,) = mine(status)
    assert isinstance(back, MarketDataRecovered) and back.stale_since == T0 + quiet
    assert mine(it.look(T0 + 4 * quiet - 1)) == [] and mine(it.look(T0 + 4 * quiet)) != []
    _, status = it.take(feed, FeedBatch([row("1", "2", at=T0 + 5 * quiet)]), T0 + 5 * quiet)
    assert [type(e) for e in mine(status)] == [MarketDataRecovered]


def test_heartbeats_keep_quiet_symbols_and_their_crosses_fresh() -> None:
    rules = crosses_of({"EURUSD", "USDJPY"}, instruments())
    it, feed = intake(crosses=rules), HandFeed()
    it.take(feed, FeedBatch([row("1.1", "1.2"), row("109", "110", symbol="USD/JPY")]), T0)
    told: list[Status] = []
    for second in range(1, 76):  # the longest gap of the recording
        it.take(feed, FeedBatch(alive=["EUR/USD", "USD/JPY"]), T0 + second * SECOND)
        told += it.look(T0 + second * SECOND)
    assert not {"EURUSD", "USDJPY", "EURJPY"} & {e.instrument_id for e in told}
    assert "GBPUSD" in {e.instrument_id for e in told}


def test_crosses_are_made_from_recorded_legs() -> None:
    rules = crosses_of({"EURUSD", "USDJPY"}, instruments())
    it, feed = intake(crosses=rules), HandFeed()
    legs = [row("1.10000", "1.10002"), row("109.000", "109.002", symbol="USD/JPY")]
    ticks, _ = it.take(feed, FeedBatch(legs), T0)
    cross = ticks[-1]
    assert (cross.instrument_id, str(cross.bid), str(cross.ask)) == ("EURJPY", "119.900", "119.905")
    assert Flag.DERIVED in cross.flags
    assert (it.account.received, it.account.taken, it.account.derived) == (2, 2, 1)
    ticks, _ = it.take(feed, FeedBatch([row("1.2", "1.1")]), T0)
    assert [t.instrument_id for t in ticks] == ["EURUSD"], "a crossed leg makes no cross"


class Shelf:
    """An outlet that keeps what it is told, and can be closed."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.status: list[Status] = []
        self.failures = 0

    async def tell(self, ticks: Sequence[Tick], status: Sequence[Status]) -> None:
        if self.failures:
            self.failures -= 1
            raise Unavailable("the log is away")
        self.ticks += ticks
        self.status += status


async def test_nothing_is_lost_or_doubled_while_the_log_is_away() -> None:
    feed, shelf = HandFeed(), Shelf()
    feed.waiting = [FeedBatch([row(f"1.{n:04}", "2")]) for n in range(1, 301)]
    shelf.failures = 3
    run = Ingest([feed], intake(), shelf, ManualClock(T0), in_flight=50, look_ms=1000)
    await asyncio.wait_for(run.run(), 20)
    assert [str(t.bid) for t in shelf.ticks] == [f"1.{n:04}" for n in range(1, 301)]
    assert run.intake.account.published == 300


async def test_what_was_not_heard_because_we_stood_still_is_no_silence() -> None:
    clock, shelf = ManualClock(T0), Shelf()

    class Beating(HandFeed):
        async def batches(self) -> AsyncIterator[FeedBatch]:
            for second in range(2):
                yield FeedBatch([row("1.1", "1.2", at=clock.now())], tuple(self.symbols))
                if second == 1:
                    return
                loop = asyncio.get_running_loop()
                # Its next sign is due a moment after silence is looked for; then nobody runs.
                loop.call_later(0.1, self._stand_still)
                await asyncio.sleep(0.35)

        def _stand_still(self) -> None:
            clock.at += 60 * SECOND
            time.sleep(STALLED_S + 0.3)

    it = Intake({"EURUSD": instruments()["EURUSD"]}, Rules(), at=T0)
    run = Ingest(
        [Beating(symbols={"EUR/USD": "EURUSD"})], it, shelf, clock, in_flight=50, look_ms=300
    )
    await asyncio.wait_for(run.run(), 20)
    assert len(shelf.ticks) == 2 and shelf.status == []


async def test_a_row_that_breaks_our_code_does_not_stop_the_feed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, shelf = HandFeed(), Shelf()
    feed.waiting = [
        FeedBatch([row("1", "2")]),
        FeedBatch([row("3", "4")]),
        FeedBatch([row("5", "6")]),
    ]
    it = intake()
    good = it.take

    def take(f: object, batch: FeedBatch, at: int) -> object:
        if batch.quotes[0].bid == "3":
            raise ZeroDivisionError
        return good(f, batch, at)  # type: ignore[arg-type]

    monkeypatch.setattr(it, "take", take)
    await asyncio.wait_for(
        Ingest([feed], it, shelf, ManualClock(T0), in_flight=50, look_ms=1000).run(), 10
    )
    assert [str(t.bid) for t in shelf.ticks] == ["1", "5"] and it.account.dropped["BUG"] == 1


# ---- files and formats


def test_the_recordings_format() -> None:
    form = recognise(RECORDING)
    first = next(iter(rows(RECORDING, form)))
    assert first == RawQuote(
        "USD/JPY", "109.676", "109.687", 1_546_383_600_071_000, 1_546_383_600_071_000
    )
    assert set(symbols_in(RECORDING, form)) == {"EUR/USD", "USD/JPY"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("EUR/USD,20190101 23:00:00.078,1.1", "COLUMNS"),
        ("EUR/USD,2019-01-01 23:00:00.078,1.1,1.2", "BAD_TIME"),
        ("EUR/USD,20191301 23:00:00.078,1.1,1.2", "BAD_TIME"),
        ("EUR/USD,,1.1,1.2", "BAD_TIME"),
        ("EUR/USD,20190101 23:00:00,1.1,1.2", "BAD_TIME"),
        ("a,b,c,d,e", "COLUMNS"),
        ("\x00", "COLUMNS"),
    ],
)
def test_lines_that_cannot_be_read(line: str, reason: str) -> None:
    assert pair_csv(line) == reason


@given(st.text(max_size=80))
def test_no_line_breaks_a_parser(line: str) -> None:
    for parse in (pair_csv, venue_json):
        assert isinstance(parse(line), str | RawQuote)


def test_bad_rows_in_a_file_are_counted_beside_good_ones(tmp_path: Path) -> None:
    file = tmp_path / "mixed.csv"
    file.write_bytes(
        b"\xef\xbb\xbfpair,timestamp_utc,bid,ask\r\n"
        b"EUR/USD,20190101 23:00:00.078,1.1,1.2\r\n\r\nbroken\r\n"
        b"EUR/USD,20190101 23:00:01.078,\xff\xfe,1.2\r\n"
        + b"x" * 9_000
        + b"\r\nEUR/USD,20190101 23:00:02.000,1.3,1.4"
    )
    found = list(rows(file, recognise(file)))
    assert [f if isinstance(f, str) else f.ask for f in found] == [
        "1.2",
        "COLUMNS",
        "1.2",
        "TOO_LONG",
        "1.4",
    ]


def test_unknown_formats_say_what_is_known(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(UnknownFormat, match="pair-csv"):
        recognise(file)


async def test_replay_keeps_the_vendors_pace_and_rebases_time(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    lines = [
        "EUR/USD,20190101 23:00:00.000,1.1,1.2",
        "EUR/USD,20190101 23:00:02.000,1.3,1.4",
        "GBP/XXX,20190101 23:00:02.500,1.3,1.4",
        "EUR/USD,20190101 23:00:03.000,1.5,1.6",
    ]
    file.write_text("pair,timestamp_utc,bid,ask\n" + "\n".join(lines))
    clock = SystemClock()
    known = known_symbols({"EURUSD": ("EUR", "USD")})
    feed = ReplayFeed(file, known, clock, speed=100.0, loops=False)
    start = clock.now()
    quotes = [q async for b in feed.batches() for q in b.quotes]
    at = [q.at for q in quotes]
    assert [b - a for a, b in itertools.pairwise(at)] == [20_000, 5_000, 5_000]
    assert at[0] >= start and clock.now() >= at[-1]
    assert [q.source_at for q in quotes][:2] == [1_546_383_600_000_000, 1_546_383_602_000_000]
    assert feed.symbols == {"EUR/USD": "EURUSD"} and feed.finished


async def test_replay_loops(tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text("pair,timestamp_utc,bid,ask\nEUR/USD,20190101 23:00:00.000,1.1,1.2\n")
    feed = ReplayFeed(file, {"EUR/USD": "EURUSD"}, SystemClock(), speed=None, loops=True)
    seen = 0
    async with asyncio.timeout(20):
        async for batch in feed.batches():
            seen += len(batch.quotes)
            if seen == 2:
                break
    assert not feed.finished


async def test_the_mock_venue_is_an_adapter_like_any_other() -> None:
    clock = SystemClock()
    lines = mock_line_source(clock, {"GBP-USD": 1.27}, seed=1, per_second=2_000)
    feed, it = VenueFeed("MOCK", {"GBP-USD": "GBPUSD"}, lines), intake()
    async with asyncio.timeout(20):
        async for batch in feed.batches():
            it.take(feed, batch, clock.now())
            if it.account.taken >= 200 and it.account.dropped["NOT_JSON"]:
                break
    assert it.account.received == it.account.taken + sum(it.account.dropped.values())
    assert "GBPUSD" in it.signs()


async def test_a_venue_that_hangs_up_is_called_again() -> None:
    calls = 0

    async def lines():
        nonlocal calls
        calls += 1
        yield '{"i": "GBP-USD", "t": 1770000000000000000, "b": "1.2", "o": "1.3"}'
        raise ConnectionResetError

    feed = VenueFeed("MOCK", {"GBP-USD": "GBPUSD"}, lines)
    async with asyncio.timeout(20):
        async for _ in feed.batches():
            if calls == 3:
                break
    assert feed.reconnects == 2
