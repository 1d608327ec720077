from . import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TradeDetails(_message.Message):
    __slots__ = ("trade_id", "display_id", "rfq_id", "quote_id", "instrument_id", "side", "quantity", "price", "notional", "currency", "buyer", "seller", "lp_id", "venue_id", "traded_at_us", "settlement_date", "tenant_id", "correlation_id", "requester", "desk", "status")
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BUYER_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    TRADED_AT_US_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    display_id: str
    rfq_id: str
    quote_id: str
    instrument_id: str
    side: _common_pb2.Side
    quantity: str
    price: str
    notional: str
    currency: str
    buyer: str
    seller: str
    lp_id: str
    venue_id: str
    traded_at_us: int
    settlement_date: str
    tenant_id: str
    correlation_id: str
    requester: str
    desk: str
    status: str
    def __init__(self, trade_id: _Optional[str] = ..., display_id: _Optional[str] = ..., rfq_id: _Optional[str] = ..., quote_id: _Optional[str] = ..., instrument_id: _Optional[str] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., quantity: _Optional[str] = ..., price: _Optional[str] = ..., notional: _Optional[str] = ..., currency: _Optional[str] = ..., buyer: _Optional[str] = ..., seller: _Optional[str] = ..., lp_id: _Optional[str] = ..., venue_id: _Optional[str] = ..., traded_at_us: _Optional[int] = ..., settlement_date: _Optional[str] = ..., tenant_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., requester: _Optional[str] = ..., desk: _Optional[str] = ..., status: _Optional[str] = ...) -> None: ...

class GetTradeRequest(_message.Message):
    __slots__ = ("trade_id",)
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    trade_id: str
    def __init__(self, trade_id: _Optional[str] = ...) -> None: ...

class TradeFilter(_message.Message):
    __slots__ = ("instrument_id", "side", "lp_id", "requester", "from_us", "to_us", "q", "rfq_id", "trade_id", "correlation_id", "venue_id", "currency", "desk", "settlement_date", "display_id", "quote_id", "quantity", "price", "notional", "buyer", "seller", "status")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    REQUESTER_FIELD_NUMBER: _ClassVar[int]
    FROM_US_FIELD_NUMBER: _ClassVar[int]
    TO_US_FIELD_NUMBER: _ClassVar[int]
    Q_FIELD_NUMBER: _ClassVar[int]
    RFQ_ID_FIELD_NUMBER: _ClassVar[int]
    TRADE_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DESK_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    QUOTE_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    NOTIONAL_FIELD_NUMBER: _ClassVar[int]
    BUYER_FIELD_NUMBER: _ClassVar[int]
    SELLER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    instrument_id: _containers.RepeatedScalarFieldContainer[str]
    side: _common_pb2.Side
    lp_id: str
    requester: str
    from_us: int
    to_us: int
    q: str
    rfq_id: str
    trade_id: str
    correlation_id: str
    venue_id: str
    currency: str
    desk: str
    settlement_date: str
    display_id: str
    quote_id: str
    quantity: str
    price: str
    notional: str
    buyer: str
    seller: str
    status: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instrument_id: _Optional[_Iterable[str]] = ..., side: _Optional[_Union[_common_pb2.Side, str]] = ..., lp_id: _Optional[str] = ..., requester: _Optional[str] = ..., from_us: _Optional[int] = ..., to_us: _Optional[int] = ..., q: _Optional[str] = ..., rfq_id: _Optional[str] = ..., trade_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., venue_id: _Optional[str] = ..., currency: _Optional[str] = ..., desk: _Optional[str] = ..., settlement_date: _Optional[str] = ..., display_id: _Optional[str] = ..., quote_id: _Optional[str] = ..., quantity: _Optional[str] = ..., price: _Optional[str] = ..., notional: _Optional[str] = ..., buyer: _Optional[str] = ..., seller: _Optional[str] = ..., status: _Optional[_Iterable[str]] = ...) -> None: ...

class ListTradesRequest(_message.Message):
    __slots__ = ("filter", "page")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    filter: TradeFilter
    page: _common_pb2.Page
    def __init__(self, filter: _Optional[_Union[TradeFilter, _Mapping]] = ..., page: _Optional[_Union[_common_pb2.Page, _Mapping]] = ...) -> None: ...

class ListTradesResponse(_message.Message):
    __slots__ = ("items", "next_cursor", "as_of_us")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[TradeDetails]
    next_cursor: str
    as_of_us: int
    def __init__(self, items: _Optional[_Iterable[_Union[TradeDetails, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., as_of_us: _Optional[int] = ...) -> None: ...

class WatchTradesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class TradeUpdate(_message.Message):
    __slots__ = ("items", "snapshot")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[TradeDetails]
    snapshot: bool
    def __init__(self, items: _Optional[_Iterable[_Union[TradeDetails, _Mapping]]] = ..., snapshot: _Optional[bool] = ...) -> None: ...
