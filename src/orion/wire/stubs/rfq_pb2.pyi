from . import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateRFQRequest(_message.Message):
    __slots__ = ("idempotency", "instrument_id", "side", "size", "expiry_seconds", "min_size", "partial_allowed", "lp_ids", "venue_id", "settlement_date")
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    LP_IDS_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    idempotency: _common_pb2.Idempotency
    instrument_id: str
    side: _common_pb2.Side
    size: str
    expiry_seconds: int
    min_size: str
    partial_allowed: bool
    lp_ids: _containers.RepeatedScalarFieldContainer[str]
    venue_id: str
    settlement_date: str
    def __init__(self, idempotency: _Optional[_Union[_common_pb2.Idempotency, _Mapping]] = ..., instrument_id: _Optional[str] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., size: _Optional[str] = ..., expiry_seconds: _Optional[int] = ..., min_size: _Optional[str] = ..., partial_allowed: _Optional[bool] = ..., lp_ids: _Optional[_Iterable[str]] = ..., venue_id: _Optional[str] = ..., settlement_date: _Optional[str] = ...) -> None: ...

class RoutedDealer(_message.Message):
    __slots__ = ("lp_id", "name", "status", "reason", "response_ms")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MS_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    name: str
    status: str
    reason: str
    response_ms: float
    def __init__(self, lp_id: _Optional[str] = ..., name: _Optional[str] = ..., status: _Optional[str] = ..., reason: _Optional[str] = ..., response_ms: _Optional[float] = ...) -> None: ...

class Quote(_message.Message):
    __slots__ = ("quote_id", "lp_id", "lp_name", "price", "size", "status", "rank", "received_at_us", "response_ms", "expires_at_us", "spread_to_mid", "reason")
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    LP_NAME_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    SPREAD_TO_MID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    quote_id: str
    lp_id: str
    lp_name: str
    price: str
    size: str
    status: str
    rank: int
    received_at_us: int
    response_ms: float
    expires_at_us: int
    spread_to_mid: str
    reason: str
    def __init__(self, quote_id: _Optional[str] = ..., lp_id: _Optional[str] = ..., lp_name: _Optional[str] = ..., price: _Optional[str] = ..., size: _Optional[str] = ..., status: _Optional[str] = ..., rank: _Optional[int] = ..., received_at_us: _Optional[int] = ..., response_ms: _Optional[float] = ..., expires_at_us: _Optional[int] = ..., spread_to_mid: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LastLook(_message.Message):
    __slots__ = ("quote_id", "lp_id", "deadline_us")
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    quote_id: str
    lp_id: str
    deadline_us: int
    def __init__(self, quote_id: _Optional[str] = ..., lp_id: _Optional[str] = ..., deadline_us: _Optional[int] = ...) -> None: ...

class RFQDetails(_message.Message):
    __slots__ = ("rfq_id", "display_id", "status", "version", "correlation_id", "tenant_id", "requester", "desk", "instrument_id", "side", "size", "currency", "min_size", "partial_allowed", "venue_id", "settlement_date", "expiry_seconds", "created_at_us", "expires_at_us", "ended_at_us", "mid_at_request", "dealers", "quotes", "best_quote_id", "accepted_quote_id", "trade_id", "trade_display_id", "last_look", "reason_code", "reason", "checks", "server_time_us", "revision")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_US_FIELD_NUMBER: _ClassVar[int]
    MID_AT_REQUEST_FIELD_NUMBER: _ClassVar[int]
    DEALERS_FIELD_NUMBER: _ClassVar[int]
    QUOTES_FIELD_NUMBER: _ClassVar[int]
    BEST_QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    TRADE_DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_US_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    display_id: str
    status: str
    version: int
    correlation_id: str
    tenant_id: str
    requester: str
    desk: str
    instrument_id: str
    side: _common_pb2.Side
    size: str
    currency: str
    min_size: str
    partial_allowed: bool
    venue_id: str
    settlement_date: str
    expiry_seconds: int
    created_at_us: int
    expires_at_us: int
    ended_at_us: int
    mid_at_request: str
    dealers: _containers.RepeatedCompositeFieldContainer[RoutedDealer]
    quotes: _containers.RepeatedCompositeFieldContainer[Quote]
    best_quote_id: str
    accepted_quote_id: str
    trade_id: str
    trade_display_id: str
    last_look: LastLook
    reason_code: str
    reason: str
    checks: _containers.RepeatedCompositeFieldContainer[_common_pb2.Check]
    server_time_us: int
    revision: int
    def __init__(self, rfq_id: _Optional[str] = ..., display_id: _Optional[str] = ..., status: _Optional[str] = ..., version: _Optional[int] = ..., correlation_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., requester: _Optional[str] = ..., desk: _Optional[str] = ..., instrument_id: _Optional[str] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., size: _Optional[str] = ..., currency: _Optional[str] = ..., min_size: _Optional[str] = ..., partial_allowed: _Optional[bool] = ..., venue_id: _Optional[str] = ..., settlement_date: _Optional[str] = ..., expiry_seconds: _Optional[int] = ..., created_at_us: _Optional[int] = ..., expires_at_us: _Optional[int] = ..., ended_at_us: _Optional[int] = ..., mid_at_request: _Optional[str] = ..., dealers: _Optional[_Iterable[_Union[RoutedDealer, _Mapping]]] = ..., quotes: _Optional[_Iterable[_Union[Quote, _Mapping]]] = ..., best_quote_id: _Optional[str] = ..., accepted_quote_id: _Optional[str] = ..., trade_id: _Optional[str] = ..., trade_display_id: _Optional[str] = ..., last_look: _Optional[_Union[LastLook, _Mapping]] = ..., reason_code: _Optional[str] = ..., reason: _Optional[str] = ..., checks: _Optional[_Iterable[_Union[_common_pb2.Check, _Mapping]]] = ..., server_time_us: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class GetRFQRequest(_message.Message):
    __slots__ = ("rfq_id",)
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    def __init__(self, rfq_id: _Optional[str] = ...) -> None: ...

class AcceptQuoteRequest(_message.Message):
    __slots__ = ("idempotency", "rfq_id", "quote_id", "version", "reason")
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    idempotency: _common_pb2.Idempotency
    rfq_id: str
    quote_id: str
    version: int
    reason: str
    def __init__(self, idempotency: _Optional[_Union[_common_pb2.Idempotency, _Mapping]] = ..., rfq_id: _Optional[str] = ..., quote_id: _Optional[str] = ..., version: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelRFQRequest(_message.Message):
    __slots__ = ("idempotency", "rfq_id", "version")
    IDEMPOTENCY_FIELD_NUMBER: _ClassVar[int]
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    idempotency: _common_pb2.Idempotency
    rfq_id: str
    version: int
    def __init__(self, idempotency: _Optional[_Union[_common_pb2.Idempotency, _Mapping]] = ..., rfq_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class RFQFilter(_message.Message):
    __slots__ = ("status", "instrument_id", "side", "requester", "from_us", "to_us", "q", "lp_id", "rfq_id", "correlation_id", "desk", "venue_id", "display_id", "size", "currency", "settlement_date", "price", "trade_id", "reason_code")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    FROM_US_FIELD_NUMBER: _ClassVar[int]
    TO_US_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    status: _containers.RepeatedScalarFieldContainer[str]
    instrument_id: _containers.RepeatedScalarFieldContainer[str]
    side: _common_pb2.Side
    requester: str
    from_us: int
    to_us: int
    q: str
    lp_id: str
    rfq_id: str
    correlation_id: str
    desk: str
    venue_id: str
    display_id: str
    size: str
    currency: str
    settlement_date: str
    price: str
    trade_id: str
    reason_code: str
    def __init__(self, status: _Optional[_Iterable[str]] = ..., instrument_id: _Optional[_Iterable[str]] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., requester: _Optional[str] = ..., from_us: _Optional[int] = ..., to_us: _Optional[int] = ..., q: _Optional[str] = ..., lp_id: _Optional[str] = ..., rfq_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., desk: _Optional[str] = ..., venue_id: _Optional[str] = ..., display_id: _Optional[str] = ..., size: _Optional[str] = ..., currency: _Optional[str] = ..., settlement_date: _Optional[str] = ..., price: _Optional[str] = ..., trade_id: _Optional[str] = ..., reason_code: _Optional[str] = ...) -> None: ...

class RFQRow(_message.Message):
    __slots__ = ("rfq", "quote_count", "dealer_count", "best_price", "price", "lp_id")
    RFQ_FIELD_NUMBER: _ClassVar[int]
    QUOTE_COUNT_FIELD_NUMBER: _ClassVar[int]
    DEALER_COUNT_FIELD_NUMBER: _ClassVar[int]
    BEST_PRICE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    rfq: RFQDetails
    quote_count: int
    dealer_count: int
    best_price: str
    price: str
    lp_id: str
    def __init__(self, rfq: _Optional[_Union[RFQDetails, _Mapping]] = ..., quote_count: _Optional[int] = ..., dealer_count: _Optional[int] = ..., best_price: _Optional[str] = ..., price: _Optional[str] = ..., lp_id: _Optional[str] = ...) -> None: ...

class ListRFQsRequest(_message.Message):
    __slots__ = ("filter", "page")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    filter: RFQFilter
    page: _common_pb2.Page
    def __init__(self, filter: _Optional[_Union[RFQFilter, _Mapping]] = ..., page: _Optional[_Union[_common_pb2.Page, _Mapping]] = ...) -> None: ...

class ListRFQsResponse(_message.Message):
    __slots__ = ("items", "next_cursor", "as_of_us")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RFQRow]
    next_cursor: str
    as_of_us: int
    def __init__(self, items: _Optional[_Iterable[_Union[RFQRow, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., as_of_us: _Optional[int] = ...) -> None: ...

class WatchRFQRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RFQUpdate(_message.Message):
    __slots__ = ("items", "snapshot")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[RFQDetails]
    snapshot: bool
    def __init__(self, items: _Optional[_Iterable[_Union[RFQDetails, _Mapping]]] = ..., snapshot: _Optional[bool] = ...) -> None: ...

class DealerAnswer(_message.Message):
    __slots__ = ("rfq_id", "lp_id", "quote", "declined", "withdraw", "last_look", "tenant_id")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    lp_id: str
    quote: DealerQuote
    declined: DealerPass
    withdraw: DealerWithdraw
    last_look: LastLookAnswer
    tenant_id: str
    def __init__(self, rfq_id: _Optional[str] = ..., lp_id: _Optional[str] = ..., quote: _Optional[_Union[DealerQuote, _Mapping]] = ..., declined: _Optional[_Union[DealerPass, _Mapping]] = ..., withdraw: _Optional[_Union[DealerWithdraw, _Mapping]] = ..., last_look: _Optional[_Union[LastLookAnswer, _Mapping]] = ..., tenant_id: _Optional[str] = ...) -> None: ...

class DealerQuote(_message.Message):
    __slots__ = ("dealer_quote_ref", "price", "size", "life_ms")
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    dealer_quote_ref: str
    price: str
    size: str
    life_ms: int
    def __init__(self, dealer_quote_ref: _Optional[str] = ..., price: _Optional[str] = ..., size: _Optional[str] = ..., life_ms: _Optional[int] = ...) -> None: ...

class DealerPass(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class DealerWithdraw(_message.Message):
    __slots__ = ("dealer_quote_ref",)
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    dealer_quote_ref: str
    def __init__(self, dealer_quote_ref: _Optional[str] = ...) -> None: ...

class LastLookAnswer(_message.Message):
    __slots__ = ("quote_id", "passed", "reason", "drift")
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    quote_id: str
    passed: bool
    reason: str
    drift: str
    def __init__(self, quote_id: _Optional[str] = ..., passed: _Optional[bool] = ..., reason: _Optional[str] = ..., drift: _Optional[str] = ...) -> None: ...

class SubmitQuotesRequest(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[DealerAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[DealerAnswer, _Mapping]]] = ...) -> None: ...

class AnswerOutcome(_message.Message):
    __slots__ = ("taken", "code", "quote_id")
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    taken: bool
    code: str
    quote_id: str
    def __init__(self, taken: _Optional[bool] = ..., code: _Optional[str] = ..., quote_id: _Optional[str] = ...) -> None: ...

class SubmitQuotesResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[AnswerOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[AnswerOutcome, _Mapping]]] = ...) -> None: ...

class DealerStatisticsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DealerScore(_message.Message):
    __slots__ = ("lp_id", "requests", "quoted", "won", "passed", "last_look_asked", "last_look_rejected", "response_p50_ms", "response_p95_ms", "spread_to_mid_mean")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    QUOTED_FIELD_NUMBER: _ClassVar[int]
    WON_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_ASKED_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_REJECTED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_P50_MS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_P95_MS_FIELD_NUMBER: _ClassVar[int]
    SPREAD_TO_MID_MEAN_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    requests: int
    quoted: int
    won: int
    passed: int
    last_look_asked: int
    last_look_rejected: int
    response_p50_ms: float
    response_p95_ms: float
    spread_to_mid_mean: float
    def __init__(self, lp_id: _Optional[str] = ..., requests: _Optional[int] = ..., quoted: _Optional[int] = ..., won: _Optional[int] = ..., passed: _Optional[int] = ..., last_look_asked: _Optional[int] = ..., last_look_rejected: _Optional[int] = ..., response_p50_ms: _Optional[float] = ..., response_p95_ms: _Optional[float] = ..., spread_to_mid_mean: _Optional[float] = ...) -> None: ...

class DealerStatisticsResponse(_message.Message):
    __slots__ = ("scores", "as_of_us")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedCompositeFieldContainer[DealerScore]
    as_of_us: int
    def __init__(self, scores: _Optional[_Iterable[_Union[DealerScore, _Mapping]]] = ..., as_of_us: _Optional[int] = ...) -> None: ...
