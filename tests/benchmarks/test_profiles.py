"""What the benchmarks of both profiles and of the outbox reckon with what they saw."""

from __future__ import annotations

import contextlib
import socket
from typing import Any, cast

import pytest

from benchmarks.harness import Outcome, Sheet
from benchmarks.outbox import WARM, Side, at_time, told, written
from benchmarks.own_platform import BLOCK, free_block
from benchmarks.own_profiles import beside, by_home, ratio
from orion.platform.bus.port import partition_of

LIFECYCLE, QUOTES = "rfq.lifecycle", "rfq.quotes"
SECOND = 1_000_000_000


def test_a_clusters_processes_are_reckoned_to_the_embedded_ones():
    spent = {"rfq": 2.0, "execution": 1.0, "push_edge": 0.5, "kafka": 4.0, "postgres": 1.5}
    assert by_home(spent) == {"core": 3.0, "edge": 0.5, "kafka": 4.0, "postgres": 1.5}
    assert by_home({"core": 3.0, "clients": 1.0}) == {"core": 3.0, "clients": 1.0}


def outcome(seconds: dict[str, float], trades: int, p99: float, **more: Any) -> Outcome:
    sheets = [Sheet("Steps", (), []), Sheet("Numbers", (), [])]
    raw = {"cpu_seconds": seconds, "trades": trades}
    return Outcome({"trade_seen_p99_ms": p99}, sheets, raw=raw, **more)


def test_both_profiles_stand_in_one_table_as_ratios_of_the_same_unit_of_work():
    embedded = outcome({"core": 2.0, "bots": 0.0}, 200, 10.0)
    cluster = outcome({"rfq": 2.0, "kafka": 1.0}, 100, 25.0, void=["late"], failed=["lost"])
    both = beside(embedded, cluster, unit="ms per trade", count="trades")
    assert both.numbers == {"trade_seen_p99_ms": 10.0, "cluster_trade_seen_p99_ms": 25.0}
    side, cpu = both.sheets[-2:]
    assert list(side.rows) == [("trade_seen_p99_ms", 10.0, 25.0, "2.50")]
    assert sorted(cpu.rows, key=lambda r: str(r[0])) == [
        ("all", 10.0, 30.0, "3.00"),
        ("core", 10.0, 20.0, "2.00"),
        ("kafka", 0.0, 10.0, "–"),
    ]
    assert (both.void, both.failed) == (["cluster: late"], ["cluster: lost"])


def test_nothing_is_no_ratio():
    assert (ratio(4.0, 6.0), ratio(0.0, 6.0)) == ("1.50", "–")


def test_a_block_of_ports_is_free_and_below_those_of_outgoing_connections():
    first = free_block()
    assert first + BLOCK < 32_768
    with contextlib.ExitStack() as stack:
        for port in (first, first + BLOCK - 1):
            stack.enter_context(socket.socket()).bind(("127.0.0.1", port))


def side(*moments: tuple[str, int, int, int]) -> Side:
    return Side(cast(Any, None), moments=list(moments))


def test_each_record_counts_once_from_its_own_commit():
    committed = {(0, 5): 0, (0, 6): 1_000_000, (1, 0): 0}
    seen = side(
        (LIFECYCLE, 0, 6, 2_000_000),  # 5 after 2 ms; what came before was not asked for
        (QUOTES, 0, 9, 9_000_000),
        (LIFECYCLE, 0, 7, 5_000_000),  # 6 after 4 ms
        (LIFECYCLE, 0, 7, 8_000_000),  # said again: it counts no second time
        (LIFECYCLE, 1, 1, 3_000_000),
    )
    times = told(committed, seen)
    assert times.get_total_count() == 3
    assert times.get_max_value() == pytest.approx(4_000, rel=0.01)
    assert times.get_min_value() == pytest.approx(2_000, rel=0.01)
    assert told(committed, side((LIFECYCLE, 0, 6, 1))).get_total_count() == 1


def test_the_lag_is_what_all_copies_together_have_not_done_by_then():
    one, other = side(), side()
    one.counts = [(SECOND, 0), (2 * SECOND, 40), (3 * SECOND, 60)]
    other.counts = [(SECOND, 0), (2 * SECOND + 1, 30)]
    assert [at_time([one, other], SECOND, s) for s in (0.0, 1.0, 1.5, 2.0)] == [0, 40, 70, 90]


def test_what_is_written_are_whole_events_spread_over_the_partitions():
    facts = written(WARM)
    assert len({f.event_id for f in facts}) == len({f.entity_id for f in facts}) == WARM
    assert all(f.entity_id.encode() in f.body and b"@@" not in f.body for f in facts)
    assert {partition_of(f.entity_id, 8) for f in facts} == set(range(8))
