"""From vendors' rows to ticks: translate, check, flag, count. One place through which every row
goes, and none is lost uncounted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orion.core.instrument import Instrument
from orion.core.ticks import (
    Cross,
    Dropped,
    DropReason,
    Flag,
    Freshness,
    Rules,
    Status,
    Tick,
    cross_tick,
    look,
    normalise,
    sign_of_life,
)
from orion.platform import telemetry
from orion.services.marketdata_ingest.feed import Feed, FeedBatch, RawQuote

_RECEIVED = telemetry.counter("md_rows_received", "Rows taken from feeds", ("feed",))
_DROPPED = telemetry.counter("md_rows_dropped", "Rows not used, by reason", ("feed", "reason"))
_FLAGGED = telemetry.counter("md_ticks_flagged", "Ticks published with a flag", ("flag",))
_KNOWN_FLAGS = {flag.value: flag for flag in Flag}


@dataclass(slots=True)
class Account:
    """received = taken + dropped, always; `published` follows `taken` when the log has them."""

    received: int = 0
    taken: int = 0
    published: int = 0
    derived: int = 0  # crosses made here from recorded legs: besides what was received
    late: int = 0
    crossed: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class Intake:
    """Keeps the newest source time and the freshness of every instrument."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        rules: Rules,
        *,
        crosses: Sequence[Cross] = (),
        at: int,
    ):
        self._instruments, self._rules = instruments, rules
        self._newest: dict[str, int] = {}
        self._legs: dict[str, list[Cross]] = {}
        self._last: dict[str, Tick] = {}
        for cross in crosses:
            self._legs.setdefault(cross.first, []).append(cross)
            self._legs.setdefault(cross.second, []).append(cross)
        self._fresh = {
            i.instrument_id: Freshness(i.instrument_id, i.stale_red_ms, 0, at)
            for i in instruments.values()
        }
        self.account = Account()

    def take(self, feed: Feed, batch: FeedBatch, at: int) -> tuple[list[Tick], list[Status]]:
        """The ticks of a batch that came at `at`, and the feeds that live again by it."""
        ticks: list[Tick] = []
        status: list[Status] = []
        for reason, count in batch.unread.items():
            self._drop(feed.name, reason, count)
        for row in batch.quotes:
            made = self._tick(feed, row, at)
            if isinstance(made, Tick):
                ticks.append(made)
                ticks.extend(self._derived(made))
        self._sign(ticks, status, at)
        self._alive((feed.symbols[s] for s in batch.alive if s in feed.symbols), status, at)
        received = len(batch.quotes) + sum(batch.unread.values())
        if received:
            self.account.received += received
            _RECEIVED.labels(feed.name).inc(received)
        return ticks, status

    def _tick(self, feed: Feed, row: RawQuote, at: int) -> Tick | None:
        name = feed.symbols.get(row.symbol)
        instrument = self._instruments.get(name or "")
        if instrument is None:
            self._drop(feed.name, DropReason.UNKNOWN_SYMBOL.value)
            return None
        made = normalise(
            instrument.instrument_id,
            row.bid,
            row.ask,
            timestamp=row.at,
            received_at=at,
            source=feed.name,
            newest=self._newest.get(instrument.instrument_id),
            tick_size=instrument.tick_size,
            source_timestamp=row.source_at,
            rules=self._rules,
        )
        if isinstance(made, Dropped):
            self._drop(feed.name, made.reason.value)
            return None
        if row.flags:
            own = tuple(_KNOWN_FLAGS[f] for f in row.flags if f in _KNOWN_FLAGS)
            made = replace(made, flags=(*made.flags, *own))
        self._count(made)
        if made.timestamp > self._newest.get(made.instrument_id, 0):
            self._newest[made.instrument_id] = made.timestamp
        return made

    def _count(self, tick: Tick) -> None:
        self.account.taken += 1
        for flag in tick.flags:
            _FLAGGED.labels(flag.value).inc()
            if flag is Flag.LATE:
                self.account.late += 1
            elif flag is Flag.CROSSED:
                self.account.crossed += 1

    def _drop(self, feed: str, reason: str, count: int = 1) -> None:
        self.account.dropped[reason] += count
        _DROPPED.labels(feed, reason).inc(count)

    def _derived(self, tick: Tick) -> list[Tick]:
        """The crosses that this leg moves. Late and crossed legs move none: a cross must not look
        better than it is.
        """
        rules = self._legs.get(tick.instrument_id)
        if not rules or Flag.LATE in tick.flags or Flag.CROSSED in tick.flags:
            return []
        self._last[tick.instrument_id] = tick
        made: list[Tick] = []
        for rule in rules:
            first, second = self._last.get(rule.first), self._last.get(rule.second)
            if first is not None and second is not None:
                cross = cross_tick(rule, first, second, source=tick.source)
                if cross is not None:
                    self.account.derived += 1
                    made.append(cross)
        return made

    # -- life

    def _sign(self, ticks: Iterable[Tick], status: list[Status], at: int) -> None:
        for name in {t.instrument_id for t in ticks}:
            self._fresh[name], event = sign_of_life(self._fresh[name], at, is_tick=True)
            if event is not None:
                status.append(event)

    def _alive(self, names: Iterable[str], status: list[Status], at: int) -> None:
        for name in names:
            followers = {c.instrument_id for c in self._legs.get(name, ())}
            for one in (name, *sorted(followers)):
                if one in self._fresh:
                    self._fresh[one], event = sign_of_life(self._fresh[one], at, is_tick=False)
                    if event is not None:
                        status.append(event)

    def look(self, at: int) -> list[Status]:
        """The feeds that have fallen silent by `at`: each silence is told once."""
        found: list[Status] = []
        for name, state in self._fresh.items():
            self._fresh[name], event = look(state, at)
            if event is not None:
                found.append(event)
        return found

    def signs(self) -> dict[str, int]:
        """The last sign of life of every instrument that has had a tick."""
        return {n: s.last_sign_at for n, s in self._fresh.items() if s.last_tick_at}
