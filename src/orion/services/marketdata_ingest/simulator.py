"""The simulated market: the same seed gives the same prices, row for row.

Spot prices walk at random around a slow anchor, faster in volatile regimes; spreads revert to their
mean and widen with the regime; crosses are made from their legs' quotes, so no triangle ever pays;
bonds follow two yield curves (Nelson and Siegel, "Parsimonious Modeling of Yield Curves", 1987) and
corporate bonds a credit spread besides. Walks are floats; what leaves is rounded to the
instrument's tick and written as text, as from any vendor.
"""

from __future__ import annotations

import heapq
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from orion.platform.ids import Chance, seeded
from orion.services.marketdata_ingest.scenarios import SCENARIOS, Scenario

MARKET = Path(__file__).with_name("market.toml")
SECONDS_A_YEAR = 365.25 * 86400.0
MICROS = 1_000_000
REVERSION_S = 5 * 86400.0  # how slowly a walk is drawn back to where it began
SPREAD_REVERSION_S = 20.0
SPREAD_NOISE = 0.22  # standard deviation of the logarithm of a spread
BOUNCE_TICKS = 0.45  # noise of a quoted mid around the walk, in ticks
# a cross is quoted anew when its legs moved it by this share of its half spread
CROSS_STEP = 0.45
REGIMES = ("calm", "busy", "volatile")
REGIME_VOL = {"calm": 1.0, "busy": 1.8, "volatile": 4.0}
REGIME_SPREAD = {"calm": 1.0, "busy": 1.4, "volatile": 2.6}
CLOSED_RATE = 0.05


@dataclass(frozen=True, slots=True)
class SimInstrument:
    """What the simulator needs to know of an instrument."""

    instrument_id: str
    asset_class: str
    tick: Decimal
    pip: float
    coupon: float = 0.0
    maturity: date | None = None
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class SimRow:
    """A simulated quote. `at` is microseconds of market time since the start; `due` when it reaches
    us (later when late).
    """

    instrument_id: str
    bid: str
    ask: str
    at: int
    due: int
    flags: tuple[str, ...] = ()


def load_market(path: Path = MARKET) -> dict[str, Any]:
    """The market's starting point and temper."""
    return tomllib.loads(path.read_text())


class _Regime:
    """The volatility regime of an asset class: stays for a while, then moves to a neighbour."""

    def __init__(self, chance: Chance, dwell: Mapping[str, float], held: str | None):
        self._chance, self._dwell, self._held = chance, dwell, held
        self.name = held or "calm"
        self._until = 0.0 if held else self._stay(0.0)

    def _stay(self, now: float) -> float:
        return now + self._chance.expovariate(1.0 / self._dwell[f"{self.name}_s"])

    def at(self, now: float) -> str:
        while self._held is None and now >= self._until:
            if self.name == "busy":
                self.name = "calm" if self._chance.random() < 0.7 else "volatile"
            elif self.name == "calm":
                self.name = "busy" if self._chance.random() < 0.85 else "volatile"
            else:
                self.name = "busy"
            self._until = self._stay(self._until)
        return self.name


class _Spread:
    """A spread that reverts to its mean in the logarithm."""

    def __init__(self, chance: Chance, usual: float):
        self._chance, self._usual = chance, usual
        self._x, self._at = 0.0, 0.0

    def at(self, now: float, regime: str) -> float:
        keep = math.exp(-(now - self._at) / SPREAD_REVERSION_S)
        noise = SPREAD_NOISE * math.sqrt(1.0 - keep * keep)
        self._x = self._x * keep + noise * self._chance.gauss(0.0, 1.0)
        self._at = now
        return self._usual * math.exp(self._x) * REGIME_SPREAD[regime]


class _Walk:
    """A number that walks at random and is slowly drawn back to where it began."""

    def __init__(self, chance: Chance, start: float, sigma: float):
        self._chance, self._anchor, self._sigma = chance, start, sigma
        self.value, self._at = start, 0.0

    def at(self, now: float, regime: str) -> float:
        dt = now - self._at
        pull = (self._anchor - self.value) * min(1.0, dt / REVERSION_S)
        step = self._sigma * REGIME_VOL[regime] * math.sqrt(dt / SECONDS_A_YEAR)
        self.value += pull + step * self._chance.gauss(0.0, 1.0)
        self._at = now
        return self.value

    def jump(self, by: float) -> None:
        self.value += by


class _Curve:
    """A yield curve of three walking factors (level, slope, hump), in per cent."""

    def __init__(self, seed: int, name: str, row: Mapping[str, float]):
        vol = row["vol"]
        self._level = _Walk(seeded(seed, name, "level"), row["level"], vol)
        self._slope = _Walk(seeded(seed, name, "slope"), row["slope"], vol * 0.6)
        self._hump = _Walk(seeded(seed, name, "hump"), row["hump"], vol * 0.6)
        self._decay = row["decay_years"]
        self.compounding = int(row["compounding"])

    def at(self, now: float, regime: str, years: float) -> float:
        x = max(years, 0.01) / self._decay
        slope = (1.0 - math.exp(-x)) / x
        level = self._level.at(now, regime)
        return (
            level
            + self._slope.at(now, regime) * slope
            + self._hump.at(now, regime) * (slope - math.exp(-x))
        )

    def jump(self, by: float) -> None:
        self._level.jump(by)


def bond_price(yield_pct: float, coupon: float, years: float, per_year: int) -> float:
    """The clean price per 100 of a bullet bond (the street convention: compounding `per_year`
    times).
    """
    periods = max(1, math.ceil(years * per_year))
    first = years * per_year - (periods - 1)
    v = 1.0 / (1.0 + yield_pct / 100.0 / per_year)
    paid = coupon / per_year
    annuity = v**first * (1.0 - v**periods) / (1.0 - v)
    return paid * annuity + 100.0 * v ** (first + periods - 1) - paid * (1.0 - first)


class _Quoter:
    """Turns a mid and a spread into bid and ask on the tick grid; keeps what was last quoted."""

    def __init__(self, spec: SimInstrument, chance: Chance, spread: _Spread):
        self.spec, self._chance, self._spread = spec, chance, spread
        self._tick = float(spec.tick)
        self._exponent = spec.tick.as_tuple().exponent
        self.mid = 0.0
        self.half = 0.0

    def quote(self, now: float, regime: str, mid: float, *, bounce: bool) -> tuple[str, str]:
        if bounce:
            mid += self._chance.gauss(0.0, BOUNCE_TICKS) * self._tick
        half = max(self._spread.at(now, regime) * self.spec.pip, self._tick) / 2.0
        # Outward to the grid: the quote always holds the mid it was made from.
        low = max(1, math.floor((mid - half) / self._tick))
        high = max(low + 1, math.ceil((mid + half) / self._tick))
        self.mid = (low + high) * self._tick / 2.0
        self.half = (high - low) * self._tick / 2.0
        return self._text(low), self._text(high)

    def _text(self, ticks: int) -> str:
        return str(ticks * self.spec.tick)


@dataclass(slots=True)
class _Cross:
    quoter: _Quoter
    a: str
    b: str
    times: bool
    wanted: float = 0.0


class Simulator:
    """An endless, repeatable market. `rows()` gives quotes in order of their due time."""

    def __init__(
        self,
        seed: int,
        instruments: Sequence[SimInstrument],
        *,
        as_of: date,
        scenario: Scenario | str = "calm",
        rate: float = 17.0,
        market: Mapping[str, Any] | None = None,
    ):
        self.scenario = SCENARIOS[scenario] if isinstance(scenario, str) else scenario
        self._seed, self._as_of = seed, as_of
        self._market = market or load_market()
        self._specs = {i.instrument_id: i for i in instruments}
        self._regimes = {
            name: _Regime(seeded(seed, name, "regime"), row, self.scenario.regime)
            for name, row in self._market["classes"].items()
        }
        self._curves = {
            name: _Curve(seed, name, row) for name, row in self._market["curves"].items()
        }
        self._walks: dict[str, _Walk] = {}
        self._quoters: dict[str, _Quoter] = {}
        self._crosses: dict[str, _Cross] = {}
        self._legs: dict[str, list[str]] = {}
        self._rates: dict[str, float] = {}
        self._pinned: set[str] = set()
        self._build()
        self._arrivals = seeded(seed, "arrivals")
        self._faults = seeded(seed, "faults")
        self._silence = seeded(seed, "silence")
        natural = sum(self._rates.values()) + NATURAL_CROSSES * len(self._crosses)
        self._scale = rate / natural if natural else 1.0
        if self.scenario.is_closed:
            self._scale *= CLOSED_RATE
        self._heap: list[tuple[int, str]] = []

    @property
    def simulated(self) -> tuple[str, ...]:
        """The instruments it quotes."""
        return (*self._rates, *self._crosses)

    def _build(self) -> None:
        spot, bonds = self._market["spot"], self._market["bonds"]
        for name, spec in self._specs.items():
            row = spot.get(name) or bonds.get(name)
            if row is None:
                continue
            self._rates[name] = row["rate"]
            self._quoters[name] = self._quoter(spec, row["spread"])
            chance = seeded(self._seed, name, "walk")
            if name in spot:
                self._walks[name] = _Walk(chance, math.log(row["mid"]), row["vol"])
            else:
                self._walks[name] = _Walk(
                    chance, row.get("credit", 0.0), row.get("credit_vol", 0.0)
                )
        for name, row in self._market["crosses"].items():
            legs = (row["a"], row["b"])
            if name not in self._specs or not all(leg in self._quoters for leg in legs):
                continue
            quoter = self._quoter(self._specs[name], row["spread"])
            self._crosses[name] = _Cross(quoter, *legs, times=row["op"] == "*")
            for leg in legs:
                self._legs.setdefault(leg, []).append(name)

    def _quoter(self, spec: SimInstrument, spread: float) -> _Quoter:
        name = spec.instrument_id
        return _Quoter(
            spec,
            seeded(self._seed, name, "bounce"),
            _Spread(seeded(self._seed, name, "spread"), spread),
        )

    def pin(self, leg: str, mid: float) -> None:
        """From now on this instrument comes from elsewhere (a recording): crosses are made from
        that mid, its own walk is silent.
        """
        self._pinned.add(leg)
        if leg in self._quoters:
            self._quoters[leg].mid = mid

    def rows(self) -> Iterator[SimRow]:
        """Quotes for ever: first one of each instrument, then as they come."""
        for name in self._rates:
            yield from self._tick(name, 0)
            self._plan(name, 0)
        gap_at = self.scenario.gap_every_s
        late: list[SimRow] = []
        while self._heap:
            due, name = self._heap[0]
            while late and late[0].due <= due:
                yield late.pop(0)
            heapq.heappop(self._heap)
            if gap_at and due >= gap_at * MICROS:
                self._jump()
                gap_at += self.scenario.gap_every_s
            for row in self._tick(name, due):
                row = self._spoil(row)
                if row.due > row.at:
                    late.append(row)
                else:
                    yield row
            self._plan(name, due)

    def _plan(self, name: str, now: int) -> None:
        rate = self._rates[name] * self._scale
        s = self.scenario
        if s.burst_every_s and (now / MICROS) % s.burst_every_s < s.burst_for_s:
            rate *= s.burst_factor
        wait = self._arrivals.expovariate(rate)
        heapq.heappush(self._heap, (now + max(1, int(wait * MICROS)), name))

    def _tick(self, name: str, at: int) -> Iterator[SimRow]:
        if name in self._pinned or name in self.silent(at):
            return
        now = at / MICROS
        regime = self._regimes[self._specs[name].asset_class].at(now)
        quoter = self._quoters[name]
        bid, ask = quoter.quote(now, regime, self._mid(name, now, regime), bounce=True)
        flags = ("INDICATIVE",) if self.scenario.is_closed else ()
        yield SimRow(name, bid, ask, at, at, flags)
        yield from self.crosses_of(name, at)

    def crosses_of(self, leg: str, at: int) -> Iterator[SimRow]:
        """Quotes of the crosses that the newest quote of this leg has moved."""
        now = at / MICROS
        silent = self.silent(at)
        for name in self._legs.get(leg, ()):
            cross = self._crosses[name]
            a, b = self._quoters[cross.a].mid, self._quoters[cross.b].mid
            if not a or not b or name in silent or name in self._pinned:
                continue
            mid = a * b if cross.times else a / b
            quoter = cross.quoter
            if quoter.mid and abs(mid - quoter.mid) < CROSS_STEP * quoter.half:
                continue
            regime = self._regimes[self._specs[name].asset_class].at(now)
            bid, ask = quoter.quote(now, regime, mid, bounce=False)
            flags = ("INDICATIVE",) if self.scenario.is_closed else ()
            yield SimRow(name, bid, ask, at, at, flags)

    def _mid(self, name: str, now: float, regime: str) -> float:
        walk, spec = self._walks[name], self._specs[name]
        if self.scenario.is_closed:
            now, regime = 0.0, "calm"
        value = walk.at(now, regime)
        if spec.maturity is None or spec.curve is None:
            return math.exp(value)
        curve = self._curves[spec.curve]
        years = (spec.maturity - self._as_of).days / 365.25
        return bond_price(
            curve.at(now, regime, years) + value, spec.coupon, years, curve.compounding
        )

    def _jump(self) -> None:
        size = self.scenario.gap_size * self._faults.choice((-1.0, 1.0))
        name = self._faults.choice(sorted(self._rates))
        spec = self._specs[name]
        if spec.curve is not None:
            self._curves[spec.curve].jump(size * 25.0)  # a quarter point of yield for one per cent
        else:
            self._walks[name].jump(size)

    def silent(self, at: int) -> frozenset[str]:
        """The instruments whose source says nothing at this moment, not even that it lives."""
        s = self.scenario
        if not s.silent_every_s or at < s.silent_every_s * MICROS / 2:
            return frozenset()
        spell, into = divmod(at / MICROS + s.silent_every_s / 2, s.silent_every_s)
        if into >= s.silent_for_s:
            return frozenset()
        return self._chosen(int(spell))

    def _chosen(self, spell: int) -> frozenset[str]:
        names = sorted(self.simulated)
        count = max(1, int(len(names) * self.scenario.silent_share))
        return frozenset(seeded(self._seed, "silent", spell).sample(names, count))

    def _spoil(self, row: SimRow) -> SimRow:
        s = self.scenario
        if not (s.garbage_share or s.crossed_share or s.late_share):
            return row
        x = self._faults.random()
        if x < s.garbage_share:
            bid = self._faults.choice(("", "n/a", "-1", "NaN", "1e999", "0", "--"))
            return SimRow(row.instrument_id, bid, row.ask, row.at, row.due, row.flags)
        if x < s.garbage_share + s.crossed_share:
            return SimRow(row.instrument_id, row.ask, row.bid, row.at, row.due, row.flags)
        if x < s.garbage_share + s.crossed_share + s.late_share:
            due = row.at + int(s.late_by_s * MICROS)
            return SimRow(row.instrument_id, row.bid, row.ask, row.at, due, row.flags)
        return row


# a cross's quotes per second at scale 1, measured over an hour of market time
NATURAL_CROSSES = 0.3
