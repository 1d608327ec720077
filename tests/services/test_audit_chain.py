"""The chain's arithmetic: what a hash, a signature and an anchor line cover."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orion.services.audit import chain
from orion.services.audit.outside import AnchorFile, read_key
from orion.services.audit.summaries import summary

KEY = b"k" * 32
ROW = chain.Row(
    "rfq.quotes", 1, 0, 5, "alpha", "Quote", "q1", 1, "QuoteReceived", "e1", "rfq", "c1", b"{}"
)


@pytest.mark.parametrize("name", chain.FIELDS)
def test_the_hash_covers_every_column(name: str):
    value = getattr(ROW, name)
    other = (
        value + 1 if isinstance(value, int) else value + (b" " if isinstance(value, bytes) else " ")
    )
    assert chain.row_hash(b"x", ROW) != chain.row_hash(b"x", replace(ROW, **{name: other}))


def test_the_hash_covers_where_one_column_ends():
    moved = replace(ROW, entity="q", seq=11, type="QuoteReceived")
    assert chain.row_hash(b"x", replace(ROW, entity="q1", seq=1)) != chain.row_hash(b"x", moved)


def test_chains_of_different_partitions_begin_differently():
    heads = {chain.genesis(t, p).hash for t in ("a", "b") for p in (0, 1)}
    assert len(heads) == 4


def test_a_gap_is_never_extended():
    with pytest.raises(AssertionError):
        chain.extended(chain.genesis("rfq.quotes", 1), [replace(ROW, offs=1)])


def test_a_signature_holds_for_one_head_and_one_key():
    head, _ = chain.extended(chain.genesis("rfq.quotes", 1), [ROW])
    good = chain.signed(head, KEY)
    assert chain.is_signed(good, KEY)
    assert not chain.is_signed(good, b"j" * 32)
    for other in (
        replace(good, next=2),
        replace(good, part=2),
        replace(good, topic="x"),
        replace(good, hash=b"h"),
    ):
        assert not chain.is_signed(other, KEY)


def test_an_anchor_line_reads_back_only_whole():
    head = chain.signed(chain.genesis("rfq.quotes", 1), KEY)
    line = chain.anchor_line(1, 5, "", [head], KEY)
    anchor = chain.read_anchor(line, KEY)
    assert anchor is not None and anchor.heads == (head,)
    assert chain.read_anchor(line, b"j" * 32) is None
    for at in range(0, len(line), 7):
        changed = line[:at] + ("0" if line[at] != "0" else "1") + line[at + 1 :]
        assert chain.read_anchor(changed, KEY) is None, changed


def test_a_line_cut_by_a_crash_is_mended_by_the_next(tmp_path: Path):
    file = AnchorFile(tmp_path / "anchors")
    file.append("one")
    with file.path.open("a") as handle:
        handle.write('{"half')
    assert file.lines() == ["one"]
    file.append("two")
    assert file.path.read_text() == "one\ntwo\n"
    assert file.path.stat().st_mode & 0o077 == 0


def test_the_key_is_made_once_and_kept_private(tmp_path: Path):
    assert read_key(tmp_path / "secrets") is None
    made = read_key(tmp_path / "secrets", may_create=True)
    assert made is not None and made == read_key(tmp_path / "secrets")
    assert (tmp_path / "secrets" / "audit.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "payload", [{}, {"terms": 3}, {"quote": [1]}, {"dealers": 7}, {"trade": "x"}]
)
def test_a_summary_never_fails_on_a_strange_payload(payload: dict):
    for event in (
        "RFQCreated",
        "RFQSent",
        "QuoteReceived",
        "QuoteAccepted",
        "TradeExecuted",
        "SomethingNew",
    ):
        assert summary(event, payload)
