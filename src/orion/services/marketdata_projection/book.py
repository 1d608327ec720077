"""What is known of prices now: newest ticks with the day's range, who is stale, and the bars that
are being made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from orion.core.ticks import (
    Flag,
    MarketDataRecovered,
    MarketDataStaleDetected,
    Status,
    Tick,
)
from orion.core.values import plain
from orion.wire.proto import tick_to_proto
from orion.wire.stubs import marketdata_pb2

DAY_US = 86_400_000_000
Message = marketdata_pb2.MarketTick


@dataclass(slots=True)
class Bar:
    """A bar that is being made. `mid` is the last one."""

    instrument_id: str
    at: int
    mid: Decimal
    low: Decimal
    high: Decimal
    spread_sum: Decimal = Decimal(0)
    spread_max: Decimal = Decimal(0)
    ticks: int = 0

    def add(self, mid: Decimal, spread: Decimal) -> None:
        """One more tick."""
        self.mid = mid
        if mid < self.low:
            self.low = mid
        elif mid > self.high:
            self.high = mid
        self.spread_sum += spread
        if spread > self.spread_max:
            self.spread_max = spread
        self.ticks += 1

    @property
    def spread(self) -> Decimal:
        """The mean spread, to nine decimals."""
        return round(self.spread_sum / self.ticks, 9).normalize() if self.ticks else Decimal(0)

    def to_proto(self) -> marketdata_pb2.Bar:
        """The bar as it is asked for."""
        return marketdata_pb2.Bar(
            at_us=self.at,
            mid=plain(self.mid),
            low=plain(self.low),
            high=plain(self.high),
            spread=plain(self.spread),
            spread_max=plain(self.spread_max),
            ticks=self.ticks,
        )


@dataclass(slots=True)
class Day:
    """The range of a day (UTC)."""

    number: int
    open: Decimal
    low: Decimal
    high: Decimal


@dataclass(slots=True)
class Book:
    """Everything in memory. `bar_us`: length of a bar."""

    bar_us: int
    # The newest tick as it came, and the message made of it when somebody first asked.
    _newest: dict[str, Tick] = field(default_factory=dict)
    _messages: dict[str, Message] = field(default_factory=dict)
    _at: dict[str, int] = field(default_factory=dict)  # its source's time
    stale: dict[str, int] = field(default_factory=dict)  # instrument → since
    signs: dict[str, int] = field(default_factory=dict)  # last sign of life, as ingest tells
    days: dict[str, Day] = field(default_factory=dict)
    bars: dict[str, Bar] = field(default_factory=dict)
    finished: list[Bar] = field(default_factory=list)  # for the table, besides those being made
    touched: set[str] = field(default_factory=set)  # since the cache was written
    unsaved: set[str] = field(default_factory=set)  # since the table was written, `touched` besides

    def tick(self, tick: Tick) -> None:
        """Takes a tick in. A late one moves the day's range and bars, not the newest price. Nothing
        is made for readers here: ticks are many more than what is asked.
        """
        name = tick.instrument_id
        if tick.mid is not None and Flag.CROSSED not in tick.flags:
            self._day(tick, tick.mid)
            self._bar(tick, tick.mid)
        if tick.timestamp >= self._at.get(name, 0):
            self._at[name] = tick.timestamp
            self._newest[name] = tick
        self.touched.add(name)

    def message(self, name: str) -> Message | None:
        """The newest tick of an instrument for its readers, or None when there was none."""
        tick = self._newest.pop(name, None)
        if tick is not None:
            self._messages[name] = self.told(tick)
        return self._messages.get(name)

    def told(self, tick: Tick) -> Message:
        """A tick for its readers, with the day's range so far."""
        message = tick_to_proto(tick)
        self._range(message)
        return message

    def _range(self, message: Message) -> None:
        day = self.days.get(message.instrument_id)
        if day is not None and day.number == message.timestamp_us // DAY_US:
            message.open, message.day_low, message.day_high = map(
                plain, (day.open, day.low, day.high)
            )

    @property
    def names(self) -> list[str]:
        """The instruments that have a price."""
        return list(self._at)

    def _day(self, tick: Tick, mid: Decimal) -> None:
        number = tick.timestamp // DAY_US
        day = self.days.get(tick.instrument_id)
        if day is None or number > day.number:
            self.days[tick.instrument_id] = Day(number, mid, mid, mid)
        elif number == day.number:
            if mid < day.low:
                day.low = mid
            elif mid > day.high:
                day.high = mid

    def _bar(self, tick: Tick, mid: Decimal) -> None:
        if tick.bid is None or tick.ask is None:
            return
        at = tick.received_at // self.bar_us * self.bar_us
        bar = self.bars.get(tick.instrument_id)
        if bar is None or at > bar.at:
            if bar is not None:
                self.finished.append(bar)
            bar = Bar(tick.instrument_id, at, mid, mid, mid)
            self.bars[tick.instrument_id] = bar
        bar.add(mid, tick.ask - tick.bid)

    def status(self, event: Status) -> marketdata_pb2.StatusChange:
        """A feed fell silent or came back."""
        change = marketdata_pb2.StatusChange(
            instrument_id=event.instrument_id, last_tick_at_us=event.last_tick_at, since_us=event.at
        )
        match event:
            case MarketDataStaleDetected():
                change.stale = True
                self.stale[event.instrument_id] = event.at
            case MarketDataRecovered():
                self.stale.pop(event.instrument_id, None)
        if event.instrument_id in self._at:
            self.touched.add(event.instrument_id)
        return change

    def unsaved_bars(self, names: Iterable[str]) -> list[Bar]:
        """Bars that were ended, and those of these instruments as far as they are made; each
        once.
        """
        found = {(bar.instrument_id, bar.at): bar for bar in self.finished}
        for bar in filter(None, map(self.bars.get, names)):
            found[bar.instrument_id, bar.at] = bar
        return list(found.values())

    def restore(
        self, messages: Iterable[Message], days: Mapping[str, Day], bars: Iterable[Bar]
    ) -> None:
        """What the tables held at the start; what came live meanwhile stays."""
        for bar in bars:
            self.bars.setdefault(bar.instrument_id, bar)
        for message in messages:
            name = message.instrument_id
            if name not in self._at:
                self._at[name], self._messages[name] = message.timestamp_us, message
            if "STALE" in message.flags:
                self.stale.setdefault(name, message.received_at_us)
        for name, day in days.items():
            self.days.setdefault(name, day)

    def snapshot(self, names: Iterable[str]) -> list[Message]:
        """The newest ticks of these instruments as a snapshot tells them: with staleness and the
        feed's last sign of life. Those without a price are not in it.
        """
        found = (self.message(name) for name in names)
        return [self._shown(message) for message in found if message is not None]

    def _shown(self, message: Message) -> Message:
        shown = Message()
        shown.CopyFrom(message)
        self._range(shown)  # a late tick may have moved it
        name = message.instrument_id
        if "STALE" in shown.flags:
            shown.flags.remove("STALE")
        if name in self.stale:
            shown.flags.append("STALE")
        sign = max(self.signs.get(name, 0), message.received_at_us)
        if sign:
            shown.heartbeat_at_us = sign
        return shown
