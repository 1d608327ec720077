"""Core ⇄ the gRPC messages of contracts/proto/v1.

Decimals as plain strings, instants in microseconds, absent stays absent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from operator import is_
from typing import Any

from orion.core import rfq
from orion.core.instrument import AssetClass, Dealer, Display, DisplayKind, Instrument, Venue
from orion.core.limits import Check
from orion.core.rfq import view
from orion.core.rfq.state import DealerLine
from orion.core.rfq.words import Terms
from orion.core.settlement import settlement_date
from orion.core.ticks import Flag, Tick
from orion.core.trade import Trade
from orion.core.values import Instant, Side, plain
from orion.wire.payloads import make_room
from orion.wire.stubs import common_pb2, marketdata_pb2, reference_pb2, rfq_pb2, trade_pb2

_SIDES = {Side.BUY: common_pb2.BUY, Side.SELL: common_pb2.SELL}
_SIDES_BACK = {number: side for side, number in _SIDES.items()}


def side_to_proto(side: Side) -> common_pb2.Side:
    """BUY or SELL as the enum of common.proto."""
    return _SIDES[side]


def side_from_proto(number: int) -> Side:
    """Raises ValueError for a side that was not given."""
    side = _SIDES_BACK.get(number)  # type: ignore[call-overload]
    if side is None:
        raise ValueError("the side is missing")
    return side


def _opt(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _iso(day: date | None) -> str:
    return "" if day is None else day.isoformat()


# ---- RFQ ----------------------------------------------------------------------------------------


def rfq_to_proto(state: rfq.Rfq, at: Instant, *, parts: bool = True) -> rfq_pb2.RFQDetails:
    """The RFQ as it stands at `at`. Without `parts`:
    no quotes, dealers and checks, as lists show it.
    """
    return rfq_pb2.RFQDetails.FromString(rfq_to_bytes(state, at, parts=parts))


def rfq_to_bytes(state: rfq.Rfq, at: Instant, *, parts: bool = True) -> bytes:
    """The message of `rfq_to_proto` as bytes. Fields may come in any order, so what has not changed
    since the last message about this RFQ is put in as it was; only the rest is written anew.
    """
    asked, checks = _FIXED.of(state.terms, state.checks)
    shown = view.quotes(state, at) if parts else []
    if parts:  # the first of them, if it can be dealt: the same without ranking them again
        is_best = bool(shown) and shown[0].status is rfq.words.QuoteStatus.QUOTED
        best = shown[0].quote.quote_id if is_best else None
    else:
        best = view.best_quote_id(state, at)
    now = rfq_pb2.RFQDetails(
        status=state.status.value, version=state.version, revision=state.revision,
        server_time_us=at, ended_at_us=state.ended_at,
        best_quote_id=best, reason_code=state.reason_code, reason=state.reason,
    )
    _add_acceptance(now, state)
    pieces = [asked, now.SerializeToString()]
    if parts:
        pieces += [_DEALERS.of(d) for d in state.dealers]
        pieces += [_quote_item(v) for v in shown]
        pieces.append(checks)
    return b"".join(pieces)


def delimited(tag: bytes, body: bytes) -> bytes:
    """A field that has a length: its tag, the length, the bytes."""
    return tag + _varint(len(body)) + body


def _varint(number: int) -> bytes:
    if number < 128:
        return _SMALL[number]
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Kept:
    """Bytes of things that stay as they are, by identity. The things are kept beside them, so that
    their identities cannot pass to others.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._kept: dict[int, tuple[tuple[Any, ...], Any]] = {}

    def of(self, *things: Any) -> Any:
        """The bytes of these things; the first one is the name of them all."""
        kept = self._kept.get(id(things[0]))
        if kept is not None and all(map(is_, kept[0], things)):
            return kept[1]
        made = self._make(*things)
        if kept is None:
            make_room(self._kept, MAX_KEPT)
        self._kept[id(things[0])] = things, made
        return made


def _fixed(terms: Terms, checks: tuple[Check, ...]) -> tuple[bytes, bytes]:
    checked = rfq_pb2.RFQDetails(checks=[check_to_proto(c) for c in checks])
    return _asked(terms).SerializeToString(), checked.SerializeToString()


def _asked(terms: Terms) -> rfq_pb2.RFQDetails:
    return rfq_pb2.RFQDetails(
        rfq_id=terms.rfq_id, display_id=terms.display_id, correlation_id=terms.correlation_id,
        tenant_id=terms.tenant_id, requester=terms.requester, desk=terms.desk,
        instrument_id=terms.instrument_id, side=_SIDES[terms.side], size=plain(terms.size),
        currency=terms.currency, min_size=_opt(terms.min_size),
        partial_allowed=terms.partial_allowed, venue_id=terms.venue_id,
        settlement_date=_iso(terms.settlement_date), expiry_seconds=max(0, terms.expiry_seconds),
        created_at_us=terms.created_at, expires_at_us=terms.expires_at,
        mid_at_request=_opt(terms.mid_at_request),
    )


def _add_acceptance(message: rfq_pb2.RFQDetails, state: rfq.Rfq) -> None:
    held = state.acceptance
    if held is None:
        return
    message.accepted_quote_id = held.quote_id
    if held.final:
        # The trade's id follows from the accept, so it is known before execution has answered.
        message.trade_id = state.trade_id or held.trade_id
        message.trade_display_id = (
            state.trade_display_id or "T-" + state.terms.display_id.removeprefix("R-")
        )
    elif held.deadline is not None:
        message.last_look.CopyFrom(rfq_pb2.LastLook(
            quote_id=held.quote_id, lp_id=held.lp_id, deadline_us=held.deadline
        ))


def _dealer(line: DealerLine) -> bytes:
    response = None if line.response_us is None else line.response_us / 1000
    message = rfq_pb2.RoutedDealer(
        lp_id=line.routed.lp_id, name=line.routed.name, status=line.status.value,
        reason=line.reason, response_ms=response,
    )
    return delimited(_DEALER, message.SerializeToString())


def _given(quote: rfq.words.Quote) -> bytes:
    return rfq_pb2.Quote(
        quote_id=quote.quote_id, lp_id=quote.lp_id, lp_name=quote.lp_name,
        price=plain(quote.price), size=plain(quote.size), received_at_us=quote.received_at,
        response_ms=quote.response_us / 1000, expires_at_us=quote.expires_at,
        spread_to_mid=_opt(quote.spread_to_mid),
    ).SerializeToString()


def _quote_item(shown: view.QuoteView) -> bytes:
    body = _GIVEN.of(shown.quote) + _SHOWN[shown.status]
    if shown.rank is not None:
        body += _RANK + _varint(shown.rank)
    if shown.reason is not None:
        body += rfq_pb2.Quote(reason=shown.reason).SerializeToString()
    return delimited(_QUOTE, body)


# Tags as contracts/proto/v1/rfq.proto numbers the fields; tests/wire/test_proto.py would notice.
_DEALER, _QUOTE, _RANK = b"\xb2\x01", b"\xba\x01", b"\x38"
_SMALL = [bytes((n,)) for n in range(128)]
_SHOWN = {s: rfq_pb2.Quote(status=s.value).SerializeToString() for s in rfq.words.QuoteStatus}
MAX_KEPT = 16_384
_FIXED, _DEALERS, _GIVEN = _Kept(_fixed), _Kept(_dealer), _Kept(_given)


def check_to_proto(check: Check) -> common_pb2.Check:
    """A check's record."""
    return common_pb2.Check(
        check=check.check, passed=check.passed, actual=check.actual, limit=check.limit,
        code=check.code,
    )


# ---- trade --------------------------------------------------------------------------------------


def trade_to_proto(trade: Trade) -> trade_pb2.TradeDetails:
    """The trade."""
    return trade_pb2.TradeDetails(
        trade_id=trade.trade_id, display_id=trade.display_id, rfq_id=trade.rfq_id,
        quote_id=trade.quote_id, instrument_id=trade.instrument_id, side=_SIDES[trade.side],
        quantity=plain(trade.quantity), price=plain(trade.price), notional=plain(trade.notional),
        currency=trade.currency, buyer=trade.buyer, seller=trade.seller, lp_id=trade.lp_id,
        venue_id=trade.venue_id, traded_at_us=trade.traded_at,
        settlement_date=_iso(trade.settlement_date), tenant_id=trade.tenant_id,
        correlation_id=trade.correlation_id, requester=trade.requester, desk=trade.desk,
        status=trade.status.value,
    )


# ---- reference ----------------------------------------------------------------------------------


def instrument_to_proto(instrument: Instrument, today: date) -> reference_pb2.Instrument:
    """The instrument, with the settlement date of a trade agreed `today`."""
    i, shown = instrument, instrument.display
    return reference_pb2.Instrument(
        instrument_id=i.instrument_id, symbol=i.symbol, display_name=i.display_name,
        asset_class=i.asset_class.value, group=i.group, currency=i.currency,
        quote_currency=i.quote_currency, isin=i.isin, issuer=i.issuer, coupon=_opt(i.coupon),
        maturity=i.maturity, curve=i.curve, tenor=i.tenor, settlement_days=i.settlement_days,
        calendar=i.calendar, trading_hours=i.trading_hours, tick_size=plain(i.tick_size),
        lot_size=plain(i.lot_size), min_size=plain(i.min_size), max_size=plain(i.max_size),
        pip=plain(i.pip), spread_unit=i.spread_unit, size_unit=i.size_unit,
        display=reference_pb2.Display(
            kind=shown.kind.value, decimals=shown.decimals, pip_from=shown.pip_from,
            pip_digits=shown.pip_digits, fraction_digits=shown.fraction_digits,
        ),
        venue_ids=i.venue_ids, stale_amber_ms=i.stale_amber_ms, stale_red_ms=i.stale_red_ms,
        enabled=i.enabled, version=i.version, contract_size=plain(i.contract_size),
        settlement_date=settlement_date(i, today).isoformat(), source=i.source,
    )


def instrument_from_proto(message: reference_pb2.Instrument) -> Instrument:
    """The instrument. Raises ValueError or decimal.InvalidOperation for a message that is none."""
    m, shown = message, message.display
    return Instrument(
        instrument_id=m.instrument_id, symbol=m.symbol, display_name=m.display_name,
        asset_class=AssetClass(m.asset_class), group=m.group, currency=m.currency,
        quote_currency=m.quote_currency, tenor=m.tenor, settlement_days=m.settlement_days,
        calendar=m.calendar, trading_hours=m.trading_hours, tick_size=Decimal(m.tick_size),
        lot_size=Decimal(m.lot_size), min_size=Decimal(m.min_size), max_size=Decimal(m.max_size),
        pip=Decimal(m.pip), spread_unit=m.spread_unit, size_unit=m.size_unit,
        display=Display(
            DisplayKind(shown.kind), shown.decimals, shown.pip_from, shown.pip_digits,
            shown.fraction_digits,
        ),
        contract_size=Decimal(m.contract_size), venue_ids=tuple(m.venue_ids),
        stale_amber_ms=m.stale_amber_ms, stale_red_ms=m.stale_red_ms, enabled=m.enabled,
        version=m.version, source=m.source,
        isin=m.isin if m.HasField("isin") else None,
        issuer=m.issuer if m.HasField("issuer") else None,
        coupon=Decimal(m.coupon) if m.HasField("coupon") else None,
        maturity=m.maturity if m.HasField("maturity") else None,
        curve=m.curve if m.HasField("curve") else None,
    )


def venue_to_proto(venue: Venue) -> reference_pb2.Venue:
    """The venue."""
    return reference_pb2.Venue(
        venue_id=venue.venue_id, mic=venue.mic, name=venue.name,
        execution_type=venue.execution_type, session=venue.session, enabled=venue.enabled,
        asset_classes=[c.value for c in venue.asset_classes], version=venue.version,
    )


def venue_from_proto(message: reference_pb2.Venue) -> Venue:
    """The venue. Raises ValueError for an unknown asset class."""
    return Venue(
        message.venue_id, message.mic, message.name, message.execution_type,
        tuple(AssetClass(c) for c in message.asset_classes), message.session, message.enabled,
        message.version,
    )


def dealer_to_proto(dealer: Dealer) -> reference_pb2.Dealer:
    """The dealer and its rules."""
    return reference_pb2.Dealer(
        lp_id=dealer.lp_id, name=dealer.name, enabled=dealer.enabled, reason=dealer.reason,
        instrument_ids=dealer.instrument_ids, tenant_ids=dealer.tenant_ids,
        max_requests_per_second=dealer.max_requests_per_second, last_look=dealer.last_look,
        last_look_ms=dealer.last_look_ms, last_look_max_drift=plain(dealer.last_look_max_drift),
        quote_life_ms=dealer.quote_life_ms, version=dealer.version,
    )


def dealer_from_proto(message: reference_pb2.Dealer) -> Dealer:
    """The dealer. Raises decimal.InvalidOperation for a drift that is no number."""
    return Dealer(
        message.lp_id, message.name, tuple(message.instrument_ids),
        message.max_requests_per_second, message.quote_life_ms, enabled=message.enabled,
        reason=message.reason if message.HasField("reason") else None,
        tenant_ids=tuple(message.tenant_ids), last_look=message.last_look,
        last_look_ms=message.last_look_ms,
        last_look_max_drift=Decimal(message.last_look_max_drift or "0"), version=message.version,
    )


# ---- market data --------------------------------------------------------------------------------


def tick_to_proto(tick: Tick) -> marketdata_pb2.MarketTick:
    """The tick, without what a snapshot adds (day's low and high, heartbeat)."""
    return marketdata_pb2.MarketTick(
        instrument_id=tick.instrument_id, bid=_opt(tick.bid), ask=_opt(tick.ask),
        mid=_opt(tick.mid), timestamp_us=tick.timestamp, received_at_us=tick.received_at,
        source=tick.source, flags=[f.value for f in tick.flags],
        source_timestamp_us=tick.source_timestamp,
    )


def tick_from_proto(message: marketdata_pb2.MarketTick) -> Tick:
    """The tick. Raises ValueError or decimal.InvalidOperation for a message that is none."""
    m = message
    return Tick(
        m.instrument_id,
        Decimal(m.bid) if m.HasField("bid") else None,
        Decimal(m.ask) if m.HasField("ask") else None,
        Decimal(m.mid) if m.HasField("mid") else None,
        m.timestamp_us, m.received_at_us, m.source, tuple(Flag(f) for f in m.flags),
        m.source_timestamp_us if m.HasField("source_timestamp_us") else None,
    )
