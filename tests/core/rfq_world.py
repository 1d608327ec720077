"""One instrument, three dealers, one trader: what the RFQ tests are played with."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from typing import Any

from orion.core import ids, rfq
from orion.core.entitlement import Grants
from orion.core.instrument import AssetClass, Dealer, Display, DisplayKind, Instrument, Venue
from orion.core.rfq import commands as c
from orion.core.values import MILLISECOND, SECOND, Side

T0 = 1_770_633_000_000_000  # Monday 2026-02-09 10:30:00 UTC
TENANT, SUBJECT, USER = "alpha", "u-1", "trader@alpha"

EURUSD = Instrument(
    instrument_id="EURUSD", symbol="EUR/USD", display_name="Euro / US dollar",
    asset_class=AssetClass.FX, group="FX G10", currency="EUR", quote_currency="USD", tenor="SPOT",
    settlement_days=2, calendar="EUR+USD", trading_hours="24x7", tick_size=D("0.00001"),
    lot_size=D("1000"), min_size=D("100000"), max_size=D("50000000"), pip=D("0.0001"),
    display=Display(DisplayKind.PIPS, 5, 2, 2, 1), spread_unit="pips", size_unit="EUR",
    contract_size=D(1), venue_ids=("ORION-RFQ",), stale_amber_ms=2000, stale_red_ms=5000,
)
BOND = replace(
    EURUSD, instrument_id="UST10Y", symbol="UST 10Y", asset_class=AssetClass.RATES, group="Rates",
    currency="USD", calendar="USD", settlement_days=1, tick_size=D("0.015625"),
    contract_size=D("0.01"), coupon=D("4.25"), maturity="2036-02-15",
)
VENUE = Venue("ORION-RFQ", "XORF", "Orion RFQ", "RFQ", (AssetClass.FX,), "24x7")
GRANTS = Grants(
    asset_classes=frozenset({"FX"}), venue_ids=frozenset({"ORION-RFQ"}),
    max_notional=D("25000000"), rfq_per_minute=10,
)


def dealer(lp_id: str, **changes: Any) -> Dealer:
    base = Dealer(
        lp_id, lp_id.title(), ("EURUSD",), max_requests_per_second=50, quote_life_ms=5000,
    )
    return replace(base, **changes)


ASH, BIRCH = dealer("ASH"), dealer("BIRCH")
CEDAR = dealer("CEDAR", last_look=True, last_look_ms=500, last_look_max_drift=D("0.5"))
RFQ_ID = ids.rfq_id(TENANT, USER, SUBJECT, "key-00001")


def create(**changes: Any) -> c.CreateRFQ:
    base = c.CreateRFQ(
        at=T0, rfq_id=RFQ_ID, correlation_id=ids.correlation_id(RFQ_ID), number=1048,
        tenant_id=TENANT, subject=SUBJECT, requester=USER, desk="FX", grants=GRANTS,
        instrument=EURUSD, side=Side.BUY, size=D("5000000"), expiry_seconds=30,
        candidates=(c.Candidate(ASH), c.Candidate(BIRCH), c.Candidate(CEDAR)), rate_count=0,
        usd_rate=D(1), mid=D("1.14624"), venue=VENUE,
    )
    return replace(base, **changes)


def quote(
    lp_id: str, price: str, *, ref: str = "1", at: int = T0 + 50 * MILLISECOND,
    size: str = "5000000", life_ms: int = 0,
) -> c.ReceiveQuote:
    return c.ReceiveQuote(
        at=at, quote_id=quote_id(lp_id, ref), lp_id=ids.LpId(lp_id), dealer_quote_ref=ref,
        price=D(price), size=D(size), life_ms=life_ms, mid=D("1.14624"),
    )


def quote_id(lp_id: str, ref: str = "1") -> ids.QuoteId:
    return ids.quote_id(RFQ_ID, lp_id, ref)


def accept(
    lp_id: str, version: int, *, ref: str = "1", at: int = T0 + SECOND, key: str = "accept-1",
    reason: str | None = None, subject: str = SUBJECT,
) -> c.AcceptQuote:
    chosen = quote_id(lp_id, ref)
    return c.AcceptQuote(
        at=at, command_id=key, subject=subject, quote_id=chosen, version=version,
        trade_id=ids.trade_id(RFQ_ID, chosen), reason=reason, mid=D("1.14625"),
    )


def traded(lp_id: str, *, ref: str = "1", at: int = T0 + 2 * SECOND) -> c.MarkTraded:
    chosen = quote_id(lp_id, ref)
    return c.MarkTraded(
        at=at, quote_id=chosen, trade_id=ids.trade_id(RFQ_ID, chosen), trade_display_id="T-1048"
    )


def play(*commands: c.Command, state: rfq.Rfq | None = None) -> rfq.Rfq:
    """The state after these commands; each must do something."""
    for command in commands:
        decision = rfq.decide(state, command)
        assert decision.events, f"{type(command).__name__}: {decision.reject}"
        state, _ = rfq.fold(state, decision.events)
    assert state is not None
    return state


def names(decision: Any) -> list[str]:
    """The event types of a decision, for rows that people read."""
    return [type(event).__name__ for event in decision.events]
