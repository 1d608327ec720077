"""Market weather: named sets of things that happen to simulated prices, for demos, tests and
drills.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario changes. Times in seconds of market time, shares from 0 to 1."""

    name: str
    doc: str
    regime: str | None = None  # hold this volatility regime
    gap_every_s: float = 0.0  # a jump in some instruments, this often
    gap_size: float = 0.01
    silent_every_s: float = 0.0  # some sources fall silent (no rows, no heartbeats) this often …
    silent_for_s: float = 0.0  # … for so long
    silent_share: float = 0.0
    garbage_share: float = 0.0  # rows nobody can use
    crossed_share: float = 0.0  # bid above ask
    late_share: float = 0.0  # rows that come late, with the time they should have had
    late_by_s: float = 0.0
    burst_every_s: float = 0.0  # the rate jumps this often …
    burst_for_s: float = 0.0
    burst_factor: float = 1.0
    is_closed: bool = False  # the market is closed: last prices, indicative, rarely


SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in (
        Scenario("calm", "Ordinary markets: mostly quiet, with busy and volatile spells"),
        Scenario("volatile", "Everything moves and spreads are wide", regime="volatile"),
        Scenario("gap", "Prices jump by one per cent now and then", gap_every_s=45.0),
        Scenario(
            "stale",
            "Some sources fall silent for a while and come back",
            silent_every_s=75.0,
            silent_for_s=35.0,
            silent_share=0.25,
        ),
        Scenario(
            "garbage",
            "A bad source: unreadable and crossed rows among good ones",
            garbage_share=0.05,
            crossed_share=0.03,
        ),
        Scenario("late", "One row in ten comes two seconds late", late_share=0.1, late_by_s=2.0),
        Scenario(
            "burst",
            "Ten times the rate now and then",
            burst_every_s=20.0,
            burst_for_s=3.0,
            burst_factor=10.0,
        ),
        Scenario(
            "closed", "The market is closed: last prices, marked as indicative", is_closed=True
        ),
    )
}
