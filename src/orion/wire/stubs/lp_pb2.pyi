from . import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchDealersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DealerConnection(_message.Message):
    __slots__ = ("lp_id", "connected", "since_us")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    connected: bool
    since_us: int
    def __init__(self, lp_id: _Optional[str] = ..., connected: _Optional[bool] = ..., since_us: _Optional[int] = ...) -> None: ...

class DealerConnections(_message.Message):
    __slots__ = ("dealers", "snapshot")
    DEALERS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    dealers: _containers.RepeatedCompositeFieldContainer[DealerConnection]
    snapshot: bool
    def __init__(self, dealers: _Optional[_Iterable[_Union[DealerConnection, _Mapping]]] = ..., snapshot: _Optional[bool] = ...) -> None: ...

class FromDealer(_message.Message):
    __slots__ = ("hello", "quote", "declined", "withdraw", "last_look", "ping", "batch")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    DECLINED_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    hello: DealerHello
    quote: QuoteAnswer
    declined: PassAnswer
    withdraw: WithdrawAnswer
    last_look: LastLookReply
    ping: DealerPing
    batch: FromDealerBatch
    def __init__(self, hello: _Optional[_Union[DealerHello, _Mapping]] = ..., quote: _Optional[_Union[QuoteAnswer, _Mapping]] = ..., declined: _Optional[_Union[PassAnswer, _Mapping]] = ..., withdraw: _Optional[_Union[WithdrawAnswer, _Mapping]] = ..., last_look: _Optional[_Union[LastLookReply, _Mapping]] = ..., ping: _Optional[_Union[DealerPing, _Mapping]] = ..., batch: _Optional[_Union[FromDealerBatch, _Mapping]] = ...) -> None: ...

class FromDealerBatch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[FromDealer]
    def __init__(self, messages: _Optional[_Iterable[_Union[FromDealer, _Mapping]]] = ...) -> None: ...

class ToDealerBatch(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[ToDealer]
    def __init__(self, messages: _Optional[_Iterable[_Union[ToDealer, _Mapping]]] = ...) -> None: ...

class DealerHello(_message.Message):
    __slots__ = ("lp_id", "software", "takes_batches")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    TAKES_BATCHES_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    software: str
    takes_batches: bool
    def __init__(self, lp_id: _Optional[str] = ..., software: _Optional[str] = ..., takes_batches: _Optional[bool] = ...) -> None: ...

class QuoteAnswer(_message.Message):
    __slots__ = ("rfq_id", "dealer_quote_ref", "price", "size", "life_ms")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    dealer_quote_ref: str
    price: str
    size: str
    life_ms: int
    def __init__(self, rfq_id: _Optional[str] = ..., dealer_quote_ref: _Optional[str] = ..., price: _Optional[str] = ..., size: _Optional[str] = ..., life_ms: _Optional[int] = ...) -> None: ...

class PassAnswer(_message.Message):
    __slots__ = ("rfq_id", "reason")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    reason: str
    def __init__(self, rfq_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class WithdrawAnswer(_message.Message):
    __slots__ = ("rfq_id", "dealer_quote_ref")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    dealer_quote_ref: str
    def __init__(self, rfq_id: _Optional[str] = ..., dealer_quote_ref: _Optional[str] = ...) -> None: ...

class LastLookReply(_message.Message):
    __slots__ = ("rfq_id", "quote_id", "passed", "reason", "drift")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    PASSED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DRIFT_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    quote_id: str
    passed: bool
    reason: str
    drift: str
    def __init__(self, rfq_id: _Optional[str] = ..., quote_id: _Optional[str] = ..., passed: _Optional[bool] = ..., reason: _Optional[str] = ..., drift: _Optional[str] = ...) -> None: ...

class DealerPing(_message.Message):
    __slots__ = ("at_us",)
    AT_US_FIELD_NUMBER: _ClassVar[int]
    at_us: int
    def __init__(self, at_us: _Optional[int] = ...) -> None: ...

class ToDealer(_message.Message):
    __slots__ = ("welcome", "request", "outcome", "last_look", "ended", "pong", "batch")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    welcome: DealerWelcome
    request: QuoteRequest
    outcome: QuoteOutcome
    last_look: LastLookRequest
    ended: RequestEnded
    pong: DealerPing
    batch: ToDealerBatch
    def __init__(self, welcome: _Optional[_Union[DealerWelcome, _Mapping]] = ..., request: _Optional[_Union[QuoteRequest, _Mapping]] = ..., outcome: _Optional[_Union[QuoteOutcome, _Mapping]] = ..., last_look: _Optional[_Union[LastLookRequest, _Mapping]] = ..., ended: _Optional[_Union[RequestEnded, _Mapping]] = ..., pong: _Optional[_Union[DealerPing, _Mapping]] = ..., batch: _Optional[_Union[ToDealerBatch, _Mapping]] = ...) -> None: ...

class DealerWelcome(_message.Message):
    __slots__ = ("lp_id", "max_requests_per_second", "server_time_us")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_US_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    max_requests_per_second: int
    server_time_us: int
    def __init__(self, lp_id: _Optional[str] = ..., max_requests_per_second: _Optional[int] = ..., server_time_us: _Optional[int] = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("rfq_id", "instrument_id", "side", "size", "min_size", "partial_allowed", "created_at_us", "expires_at_us", "venue_id", "settlement_date", "client")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_FIELD_NUMBER: _ClassVar[int]
    PARTIAL_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_US_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    instrument_id: str
    side: _common_pb2.Side
    size: str
    min_size: str
    partial_allowed: bool
    created_at_us: int
    expires_at_us: int
    venue_id: str
    settlement_date: str
    client: str
    def __init__(self, rfq_id: _Optional[str] = ..., instrument_id: _Optional[str] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., size: _Optional[str] = ..., min_size: _Optional[str] = ..., partial_allowed: _Optional[bool] = ..., created_at_us: _Optional[int] = ..., expires_at_us: _Optional[int] = ..., venue_id: _Optional[str] = ..., settlement_date: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

class QuoteOutcome(_message.Message):
    __slots__ = ("rfq_id", "dealer_quote_ref", "taken", "code", "quote_id")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    dealer_quote_ref: str
    taken: bool
    code: str
    quote_id: str
    def __init__(self, rfq_id: _Optional[str] = ..., dealer_quote_ref: _Optional[str] = ..., taken: _Optional[bool] = ..., code: _Optional[str] = ..., quote_id: _Optional[str] = ...) -> None: ...

class LastLookRequest(_message.Message):
    __slots__ = ("rfq_id", "quote_id", "dealer_quote_ref", "price", "size", "deadline_us")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    DEALER_QUOTE_REF_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_US_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    quote_id: str
    dealer_quote_ref: str
    price: str
    size: str
    deadline_us: int
    def __init__(self, rfq_id: _Optional[str] = ..., quote_id: _Optional[str] = ..., dealer_quote_ref: _Optional[str] = ..., price: _Optional[str] = ..., size: _Optional[str] = ..., deadline_us: _Optional[int] = ...) -> None: ...

class RequestEnded(_message.Message):
    __slots__ = ("rfq_id", "how", "quote_id")
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    rfq_id: str
    how: str
    quote_id: str
    def __init__(self, rfq_id: _Optional[str] = ..., how: _Optional[str] = ..., quote_id: _Optional[str] = ...) -> None: ...
