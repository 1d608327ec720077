"""The public words of the REST API: what goes in (strict) and what comes out. OpenAPI is generated
from these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

# `$` alone would let a newline at the end through.
END = r"$(?!\n)"
DECIMAL = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?" + END
POSITIVE = r"^[0-9]{1,15}(\.[0-9]{1,8})?" + END
NAME = r"^[A-Za-z0-9_.:-]+" + END
ISO_DATE = r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])" + END
ISO_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]"
    r"(:[0-5][0-9](\.[0-9]{1,6})?)?Z" + END
)

Dec = Annotated[
    str, Meta(pattern=DECIMAL, description="A decimal number as text", examples=["1.14037"])
]
Size = Annotated[
    str,
    Meta(
        pattern=POSITIVE,
        max_length=24,
        description="A decimal number as text",
        examples=["1000000"],
    ),
]
Time = Annotated[
    str, Meta(extra_json_schema={"format": "date-time"}, examples=["2026-02-09T12:34:56.789Z"])
]
Date = Annotated[str, Meta(extra_json_schema={"format": "date"}, examples=["2026-02-11"])]
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=NAME, description="An opaque id")]
InstrumentId = Annotated[str, Meta(min_length=1, max_length=32, pattern=NAME, examples=["EURUSD"])]
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern=NAME)]
Side = Literal["BUY", "SELL"]
RfqStatus = Literal[
    "CREATED", "SENT", "QUOTING", "ACCEPTED", "REJECTED", "EXPIRED", "CANCELLED", "TRADED", "DENIED"
]
AssetClass = Literal["FX", "RATES", "CREDIT", "EQUITY"]


class Shape(msgspec.Struct, rename="camel", kw_only=True):
    """Something we say."""


class Input(msgspec.Struct, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Something we are told: unknown fields are refused."""


class FieldProblem(Shape, kw_only=True):
    """What is wrong with one field, header or parameter."""

    field: str
    code: str
    message: str


class Problem(Shape, kw_only=True):
    """A refusal (RFC 9457). `code` is stable: programs decide by it. A denied RFQ adds `rfqId`,
    `rfqStatus`, `checks`.
    """

    type: str
    title: str
    status: int
    detail: str
    code: Annotated[str, Meta(pattern="^[A-Z]+-[0-9]{3}$", examples=["RFQ-204"])]
    correlation_id: str
    request_id: str
    errors: list[FieldProblem] | UnsetType = UNSET


# ---- who am I


class Entitlements(Shape, kw_only=True):
    """What the user may deal. `instrumentIds` null: all of the asset classes."""

    asset_classes: list[str]
    instrument_ids: list[str] | None
    venue_ids: list[str]
    max_notional: Dec
    max_notional_currency: Literal["USD"]
    rfq_per_minute: int


class SessionInfo(Shape, kw_only=True):
    """How long this sign-in lasts."""

    expires_at: Time | None
    idle_timeout_seconds: int


class Feed(Shape, kw_only=True):
    """Where prices come from now. `speed` null: as fast as possible."""

    mode: Literal["SIM", "REPLAY"]
    scenario: str
    seed: int
    speed: float | None


class Me(Shape, kw_only=True):
    """The user, what they may do, and where they are."""

    user: str
    subject: str
    display_name: str
    tenant_id: str
    tenant_name: str
    desk: str
    roles: list[str]
    permissions: list[str]
    entitlements: Entitlements
    session: SessionInfo
    environment: str
    profile: Literal["embedded", "cluster"]
    build: str
    feed: Feed
    server_time: Time


# ---- instruments, dealers, prices


class Display(Shape, kw_only=True):
    """How a price is written and which digits stand out."""

    kind: Literal["PIPS", "DECIMAL", "THIRTYSECONDS"]
    decimals: int
    pip_from: int
    pip_digits: int
    fraction_digits: int


class Instrument(Shape, kw_only=True):
    """What can be dealt, with the conventions of its market."""

    instrument_id: str
    symbol: str
    display_name: str
    asset_class: AssetClass
    group: str
    currency: str
    quote_currency: str
    isin: str | None
    issuer: str | None
    coupon: Dec | None
    maturity: str | None
    curve: str | None
    tenor: str
    settlement_cycle: str
    settlement_date: Date
    calendar: str
    trading_hours: str
    tick_size: Dec
    lot_size: Dec
    min_size: Dec
    max_size: Dec
    pip: Dec
    display: Display
    spread_unit: Literal["pips", "cents", "32nds", "bps"]
    size_unit: str
    venue_ids: list[str]
    stale_amber_ms: int
    stale_red_ms: int
    dealable: bool
    source: str
    version: int


class InstrumentList(Shape, kw_only=True):
    """The instruments the caller may see."""

    items: list[Instrument]
    as_of: Time


class Tick(Shape, kw_only=True):
    """The newest price of an instrument. `timestamp` is the source's time, `receivedAt` ours."""

    instrument_id: str
    bid: Dec | None
    ask: Dec | None
    mid: Dec | None
    timestamp: Time
    received_at: Time
    source: str
    flags: list[str]
    source_timestamp: Time | UnsetType = UNSET
    heartbeat_at: Time | UnsetType = UNSET
    day_low: Dec | UnsetType = UNSET
    day_high: Dec | UnsetType = UNSET
    open: Dec | UnsetType = UNSET


class TickList(Shape, kw_only=True):
    """A snapshot of prices."""

    items: list[Tick]
    as_of: Time


class Bar(Shape, kw_only=True):
    """Five seconds of one instrument."""

    at: Time
    mid: Dec
    low: Dec
    high: Dec
    spread: Dec
    spread_max: Dec
    ticks: int


class BarList(Shape, kw_only=True):
    """History, oldest first."""

    items: list[Bar]
    as_of: Time


class Scorecard(Shape, kw_only=True):
    """How a dealer has answered. Ratios from 0 to 1, null while there is nothing to divide by."""

    requests: int
    quoted: int
    won: int
    hit_ratio: float | None
    response_p50_ms: float | None
    response_p95_ms: float | None
    last_look_reject_ratio: float | None


class Dealer(Shape, kw_only=True):
    """A liquidity provider that can be asked."""

    lp_id: str
    name: str
    enabled: bool
    reason: str | None
    instrument_ids: list[str]
    last_look: bool
    scorecard: Scorecard


class DealerList(Shape, kw_only=True):
    """The dealers the caller's tenant may ask."""

    items: list[Dealer]
    as_of: Time


# ---- RFQs


class CreateRfq(Input, kw_only=True):
    """Asks dealers for a price."""

    instrument_id: InstrumentId
    side: Annotated[
        Side, Meta(description="BUY pays the ask, SELL takes the bid", examples=["BUY"])
    ]
    size: Size
    expiry_seconds: Annotated[int, Meta(ge=5, le=300, examples=[30])]
    min_size: Size | UnsetType = UNSET
    partial_allowed: bool | UnsetType = UNSET
    lp_ids: (
        Annotated[list[Name], Meta(min_length=1, max_length=20, examples=[["NORTHGATE"]])]
        | UnsetType
    ) = UNSET
    venue_id: Name | UnsetType = UNSET
    settlement_date: Annotated[str, Meta(pattern=ISO_DATE, examples=["2026-02-11"])] | UnsetType = (
        UNSET
    )


class AcceptQuote(Input, kw_only=True):
    """Deals on a quote. `version` is the RFQ's version you saw; a reason is needed when the quote
    is not the best.
    """

    quote_id: Id
    version: Annotated[int, Meta(ge=1, le=2**31 - 1, examples=[3])]
    reason: Annotated[str, Meta(min_length=1, max_length=500)] | UnsetType = UNSET


class CancelRfq(Input, kw_only=True):
    """Withdraws the request."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET


class RoutedDealer(Shape, kw_only=True):
    """A dealer of this RFQ and what it did."""

    lp_id: str
    name: str
    status: Literal["PENDING", "QUOTED", "PASSED", "EXCLUDED"]
    reason: str | None
    response_ms: float | None


class Quote(Shape, kw_only=True):
    """A dealer's answer. `rank` 1 is the best that can be dealt now; `spreadToMid` is in price
    units.
    """

    quote_id: str
    lp_id: str
    lp_name: str
    price: Dec
    size: Dec
    status: Literal["QUOTED", "PASSED", "WITHDRAWN", "EXPIRED", "LAST_LOOK_REJECTED", "WON", "LOST"]
    rank: int | None
    received_at: Time
    response_ms: float
    expires_at: Time
    spread_to_mid: Dec | None
    reason: str | None


class Check(Shape, kw_only=True):
    """One check before anything was sent, with what was measured."""

    check: str
    outcome: Literal["PASSED", "FAILED"]
    actual: str
    limit: str
    code: str | None


class LastLook(Shape, kw_only=True):
    """A dealer is looking at an accepted quote a last time."""

    quote_id: str
    lp_id: str
    deadline: Time


class RfqHead(Shape, kw_only=True):
    """What a list row and the whole RFQ have in common."""

    rfq_id: str
    display_id: str
    status: RfqStatus
    version: int
    correlation_id: str
    tenant_id: str
    requester: str
    desk: str
    instrument_id: str
    side: Side
    size: Dec
    currency: str
    min_size: Dec | None
    partial_allowed: bool
    venue_id: str
    settlement_date: str
    expiry_seconds: int
    created_at: Time
    expires_at: Time
    ended_at: Time | None
    server_time: Time
    mid_at_request: Dec | None
    best_quote_id: str | None
    accepted_quote_id: str | UnsetType = UNSET
    trade_id: str | UnsetType = UNSET
    trade_display_id: str | UnsetType = UNSET
    last_look: LastLook | None = None
    reason_code: str | None = None
    reason: str | None = None


class Rfq(RfqHead, kw_only=True):
    """An RFQ with its dealers, quotes and checks. `version` does not change when quotes arrive;
    `revision` does.
    """

    dealers: list[RoutedDealer]
    quotes: list[Quote]
    checks: list[Check]
    revision: int


class RfqRow(RfqHead, kw_only=True):
    """An RFQ as a row of the blotter."""

    quote_count: int
    dealer_count: int
    best_price: Dec | None
    price: Dec | None
    lp_id: str | None


class RfqList(Shape, kw_only=True):
    """A page of RFQs, newest first."""

    items: list[RfqRow]
    next_cursor: str | None
    as_of: Time


# ---- trades, audit, notifications


class Trade(Shape, kw_only=True):
    """An agreed deal. `notional` is in `currency`, the quote currency."""

    trade_id: str
    display_id: str
    rfq_id: str
    quote_id: str
    instrument_id: str
    side: Side
    quantity: Dec
    price: Dec
    notional: Dec
    currency: str
    buyer: str
    seller: str
    lp_id: str
    venue_id: str
    traded_at: Time
    settlement_date: str
    tenant_id: str
    correlation_id: str
    requester: str
    desk: str
    status: str


class TradeList(Shape, kw_only=True):
    """A page of trades, newest first."""

    items: list[Trade]
    next_cursor: str | None
    as_of: Time


class Entity(Shape, kw_only=True):
    """What an event is about, and its number in that thing's own life."""

    entity_type: str
    entity_id: str
    sequence: int


class AuditItem(Shape, kw_only=True):
    """One recorded event. `offsetMs` counts from the first event of the time line."""

    occurred_at: Time
    offset_ms: float
    service: str
    event_type: str
    event_id: str
    entity: Entity
    topic: str
    partition: int
    offset: int
    payload: dict[str, Any]
    summary: str


class Timeline(Shape, kw_only=True):
    """The story of a correlation id, oldest first."""

    items: list[AuditItem]


class Notification(Shape, kw_only=True):
    """Something the user should know."""

    notification_id: str
    kind: str
    severity: Literal["INFO", "WARN", "BAD"]
    title: str
    text: str
    at: Time
    correlation_id: str | UnsetType = UNSET
    rfq_id: str | UnsetType = UNSET
    trade_id: str | UnsetType = UNSET
    read: bool


class NotificationList(Shape, kw_only=True):
    """The user's own notifications, newest first."""

    items: list[Notification]


class MarkRead(Input, kw_only=True):
    """Which notifications the user has read."""

    notification_ids: Annotated[list[Id], Meta(min_length=1, max_length=200)]


class Marked(Shape, kw_only=True):
    """How many became read by this call."""

    marked: int


# ---- the user's own workspace


class Watchlist(Shape, kw_only=True):
    """A named list of instruments; pinned ones stand first."""

    watchlist_id: str
    name: str
    instrument_ids: list[str]
    pinned: list[str]
    position: int
    version: int


class WatchlistList(Shape, kw_only=True):
    """The user's lists by position."""

    items: list[Watchlist]


Instruments = Annotated[list[InstrumentId], Meta(max_length=200)]
ListName = Annotated[str, Meta(min_length=1, max_length=60, examples=["FX G10"])]
Position = Annotated[int, Meta(ge=0, le=1000)]


class CreateWatchlist(Input, kw_only=True):
    """A new list; without `position` it comes last."""

    name: ListName
    instrument_ids: Instruments = []
    pinned: Instruments = []
    position: Position | UnsetType = UNSET


class ChangeWatchlist(Input, kw_only=True):
    """The whole list as it shall be. `version` is the one you read."""

    name: ListName
    instrument_ids: Instruments
    pinned: Instruments = []
    position: Position
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Health(Shape, kw_only=True):
    """Alive, or ready. `waitingFor` names what does not answer; `degraded` what is not there while
    everything goes on without it (`cache`: answers come from the database).
    """

    status: Literal["ok", "waiting"]
    waiting_for: list[str] = []
    degraded: list[str] = []
