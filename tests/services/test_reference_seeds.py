"""The seed files say what the requirements ask for, and wrong files stop with a sentence."""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from orion.core.instrument import AssetClass
from orion.core.settlement import is_business_day, settlement_date
from orion.services.marketdata_ingest.feed import HEARTBEAT_US
from orion.services.marketdata_ingest.simulator import load_market
from orion.services.reference.catalogue import Catalogue
from orion.services.reference.seeds import SeedError, is_isin, load
from tests.services.market_world import FOLDER, instruments, seeds


def test_there_is_enough_of_everything() -> None:
    found = seeds()
    classes = Counter(i.asset_class for i in found.instruments)
    assert len(found.instruments) >= 32
    assert classes[AssetClass.CREDIT] >= 6 and classes[AssetClass.EQUITY] >= 4
    curves = {i.curve for i in found.instruments if i.asset_class is AssetClass.RATES}
    assert curves == {"UST", "BUND"}
    assert [d.lp_id for d in found.dealers if d.enabled] == [
        "NORTHGATE",
        "HALDEN",
        "MERIDIANX",
        "TARNWICK",
        "BRACKWATER",
    ]
    corvid = next(d for d in found.dealers if d.lp_id == "CORVID")
    assert not corvid.enabled and corvid.reason
    assert all(v.mic.startswith("X") and len(v.mic) == 4 for v in found.venues)


@pytest.mark.parametrize("instrument", seeds().instruments, ids=lambda i: i.instrument_id)
def test_each_instrument_can_be_dealt(instrument) -> None:
    i = instrument
    assert i.venue_ids and i.tick_size > 0 and i.lot_size > 0
    today = date(2026, 2, 9)
    when = settlement_date(i, today)
    assert when > today and is_business_day(i.calendar.split("+"), when)
    if i.isin is not None:
        assert is_isin(i.isin)
    if i.asset_class in (AssetClass.RATES, AssetClass.CREDIT):
        assert i.maturity and i.coupon is not None and i.contract_size == i.contract_size / 1
        assert str(i.contract_size) == "0.01"


def test_a_currency_that_says_nothing_for_two_seconds_is_amber_after_five_red() -> None:
    limits = {
        (i.stale_amber_ms, i.stale_red_ms) for i in seeds().instruments if i.asset_class == "FX"
    }
    assert limits == {(2_000, 5_000)}
    # What feeds say must come often enough for that, with one sign lost on the way.
    assert 3 * HEARTBEAT_US <= 2_000 * 1_000


def test_the_simulator_knows_exactly_the_instruments() -> None:
    market = load_market()
    simulated = {*market["spot"], *market["crosses"], *market["bonds"]}
    assert simulated == set(instruments())


@pytest.mark.parametrize(
    ("isin", "is_right"),
    [
        ("US0378331005", True),
        ("XS9AD42529A3", True),
        ("US0378331006", False),
        ("XS9AD42529A4", False),
        ("US037833100", False),
        ("0S0378331005", False),
        ("US03783310O5", False),
    ],
)
def test_isin(isin: str, is_right: bool) -> None:
    assert is_isin(isin) is is_right


def changed_folder(tmp_path: Path, name: str, old: str, new: str) -> Path:
    for file in FOLDER.glob("*.toml"):
        text = file.read_text()
        if file.name == name:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / file.name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("instruments.toml", "XS9AD42529A3", "XS9AD42529A4", "ALDR425_29"),
        ("instruments.toml", 'tick_size = "0.00001"', 'tick_size = "0.1"', "EURUSD"),
        ("instruments.toml", 'pip = "0.0001"', 'pip = "x"', "EURUSD"),
        ("instruments.toml", '"XORN", "XLYR"', '"XORN", "XNON"', "XNON"),
        ("dealers.toml", "reason =", "reason_ =", "CORVID"),
        ("venues.toml", 'mic = "XORN"', "", "XORN"),
        ("venues.toml", 'mic = "XORN"', "mic = [", "venues.toml"),
    ],
)
def test_wrong_files_name_what_is_wrong(
    tmp_path: Path, name: str, old: str, new: str, says: str
) -> None:
    with pytest.raises(SeedError, match=says):
        load(changed_folder(tmp_path, name, old, new))


def test_only_changes_become_events(tmp_path: Path) -> None:
    catalogue = Catalogue()
    first = catalogue.changes(seeds(), 1)
    assert len(first) == len(seeds().instruments) + len(seeds().venues) + len(seeds().dealers)
    assert all(e.changed == () for e in first)
    for event in first:
        assert catalogue.apply(event)
        assert not catalogue.apply(event)
    assert catalogue.changes(seeds(), 2) == []

    folder = changed_folder(
        tmp_path, "dealers.toml", "quote_life_ms = 8000", "quote_life_ms = 9000"
    )
    rows = tomllib.loads((folder / "instruments.toml").read_text())
    assert "VEGA" in rows["instruments"]
    text = (folder / "instruments.toml").read_text()
    gone = "\n".join(line for line in text.splitlines() if not line.startswith("VEGA "))
    (folder / "instruments.toml").write_text(gone)
    second = catalogue.changes(load(folder), 3)
    by_id = {getattr(e, "instrument", None) or e.dealer: e.changed for e in second}
    found = {getattr(k, "lp_id", None) or k.instrument_id: (k, v) for k, v in by_id.items()}
    vega, what = found["VEGA"]
    assert (vega.enabled, vega.version, what) == (False, 2, ("enabled",))
    northgate, what = found["NORTHGATE"]
    assert northgate.version == 2 and set(what) == {"quote_life_ms", "instrument_ids"}
    for event in second:
        catalogue.apply(event)
    assert catalogue.changes(load(folder), 4) == []
