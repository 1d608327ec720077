from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Display(_message.Message):
    __slots__ = ("kind", "decimals", "pip_from", "pip_digits", "fraction_digits")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    PIP_FROM_FIELD_NUMBER: _ClassVar[int]
    PIP_DIGITS_FIELD_NUMBER: _ClassVar[int]
    FRACTION_DIGITS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    decimals: int
    pip_from: int
    pip_digits: int
    fraction_digits: int
    def __init__(self, kind: _Optional[str] = ..., decimals: _Optional[int] = ..., pip_from: _Optional[int] = ..., pip_digits: _Optional[int] = ..., fraction_digits: _Optional[int] = ...) -> None: ...

class Instrument(_message.Message):
    __slots__ = ("instrument_id", "symbol", "display_name", "asset_class", "group", "currency", "quote_currency", "isin", "issuer", "coupon", "maturity", "curve", "tenor", "settlement_days", "calendar", "trading_hours", "tick_size", "lot_size", "min_size", "max_size", "pip", "display", "spread_unit", "size_unit", "venue_ids", "stale_amber_ms", "stale_red_ms", "enabled", "version", "settlement_date", "contract_size", "source")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    ASSET_CLASS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    QUOTE_CURRENCY_FIELD_NUMBER: _ClassVar[int]
    ISIN_FIELD_NUMBER: _ClassVar[int]
    ISSUER_FIELD_NUMBER: _ClassVar[int]
    COUPON_FIELD_NUMBER: _ClassVar[int]
    MATURITY_FIELD_NUMBER: _ClassVar[int]
    CURVE_FIELD_NUMBER: _ClassVar[int]
    TENOR_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DAYS_FIELD_NUMBER: _ClassVar[int]
    CALENDAR_FIELD_NUMBER: _ClassVar[int]
    TRADING_HOURS_FIELD_NUMBER: _ClassVar[int]
    TICK_SIZE_FIELD_NUMBER: _ClassVar[int]
    LOT_SIZE_FIELD_NUMBER: _ClassVar[int]
    MIN_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_SIZE_FIELD_NUMBER: _ClassVar[int]
    PIP_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    SPREAD_UNIT_FIELD_NUMBER: _ClassVar[int]
    SIZE_UNIT_FIELD_NUMBER: _ClassVar[int]
    VENUE_IDS_FIELD_NUMBER: _ClassVar[int]
    STALE_AMBER_MS_FIELD_NUMBER: _ClassVar[int]
    STALE_RED_MS_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_DATE_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_SIZE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    instrument_id: str
    symbol: str
    display_name: str
    asset_class: str
    group: str
    currency: str
    quote_currency: str
    isin: str
    issuer: str
    coupon: str
    maturity: str
    curve: str
    tenor: str
    settlement_days: int
    calendar: str
    trading_hours: str
    tick_size: str
    lot_size: str
    min_size: str
    max_size: str
    pip: str
    display: Display
    spread_unit: str
    size_unit: str
    venue_ids: _containers.RepeatedScalarFieldContainer[str]
    stale_amber_ms: int
    stale_red_ms: int
    enabled: bool
    version: int
    settlement_date: str
    contract_size: str
    source: str
    def __init__(self, instrument_id: _Optional[str] = ..., symbol: _Optional[str] = ..., display_name: _Optional[str] = ..., asset_class: _Optional[str] = ..., group: _Optional[str] = ..., currency: _Optional[str] = ..., quote_currency: _Optional[str] = ..., isin: _Optional[str] = ..., issuer: _Optional[str] = ..., coupon: _Optional[str] = ..., maturity: _Optional[str] = ..., curve: _Optional[str] = ..., tenor: _Optional[str] = ..., settlement_days: _Optional[int] = ..., calendar: _Optional[str] = ..., trading_hours: _Optional[str] = ..., tick_size: _Optional[str] = ..., lot_size: _Optional[str] = ..., min_size: _Optional[str] = ..., max_size: _Optional[str] = ..., pip: _Optional[str] = ..., display: _Optional[_Union[Display, _Mapping]] = ..., spread_unit: _Optional[str] = ..., size_unit: _Optional[str] = ..., venue_ids: _Optional[_Iterable[str]] = ..., stale_amber_ms: _Optional[int] = ..., stale_red_ms: _Optional[int] = ..., enabled: _Optional[bool] = ..., version: _Optional[int] = ..., settlement_date: _Optional[str] = ..., contract_size: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class Venue(_message.Message):
    __slots__ = ("venue_id", "mic", "name", "execution_type", "asset_classes", "session", "enabled", "version")
    VENUE_ID_FIELD_NUMBER: _ClassVar[int]
    MIC_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    ASSET_CLASSES_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    venue_id: str
    mic: str
    name: str
    execution_type: str
    asset_classes: _containers.RepeatedScalarFieldContainer[str]
    session: str
    enabled: bool
    version: int
    def __init__(self, venue_id: _Optional[str] = ..., mic: _Optional[str] = ..., name: _Optional[str] = ..., execution_type: _Optional[str] = ..., asset_classes: _Optional[_Iterable[str]] = ..., session: _Optional[str] = ..., enabled: _Optional[bool] = ..., version: _Optional[int] = ...) -> None: ...

class Dealer(_message.Message):
    __slots__ = ("lp_id", "name", "enabled", "reason", "instrument_ids", "tenant_ids", "max_requests_per_second", "last_look", "last_look_ms", "last_look_max_drift", "quote_life_ms", "version")
    LP_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    TENANT_IDS_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUESTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_MS_FIELD_NUMBER: _ClassVar[int]
    LAST_LOOK_MAX_DRIFT_FIELD_NUMBER: _ClassVar[int]
    QUOTE_LIFE_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    lp_id: str
    name: str
    enabled: bool
    reason: str
    instrument_ids: _containers.RepeatedScalarFieldContainer[str]
    tenant_ids: _containers.RepeatedScalarFieldContainer[str]
    max_requests_per_second: int
    last_look: bool
    last_look_ms: int
    last_look_max_drift: str
    quote_life_ms: int
    version: int
    def __init__(self, lp_id: _Optional[str] = ..., name: _Optional[str] = ..., enabled: _Optional[bool] = ..., reason: _Optional[str] = ..., instrument_ids: _Optional[_Iterable[str]] = ..., tenant_ids: _Optional[_Iterable[str]] = ..., max_requests_per_second: _Optional[int] = ..., last_look: _Optional[bool] = ..., last_look_ms: _Optional[int] = ..., last_look_max_drift: _Optional[str] = ..., quote_life_ms: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class ListInstrumentsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListInstrumentsResponse(_message.Message):
    __slots__ = ("instruments", "as_of_us")
    INSTRUMENTS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    instruments: _containers.RepeatedCompositeFieldContainer[Instrument]
    as_of_us: int
    def __init__(self, instruments: _Optional[_Iterable[_Union[Instrument, _Mapping]]] = ..., as_of_us: _Optional[int] = ...) -> None: ...

class ListVenuesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVenuesResponse(_message.Message):
    __slots__ = ("venues", "as_of_us")
    VENUES_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    venues: _containers.RepeatedCompositeFieldContainer[Venue]
    as_of_us: int
    def __init__(self, venues: _Optional[_Iterable[_Union[Venue, _Mapping]]] = ..., as_of_us: _Optional[int] = ...) -> None: ...

class ListDealersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListDealersResponse(_message.Message):
    __slots__ = ("dealers", "as_of_us")
    DEALERS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    dealers: _containers.RepeatedCompositeFieldContainer[Dealer]
    as_of_us: int
    def __init__(self, dealers: _Optional[_Iterable[_Union[Dealer, _Mapping]]] = ..., as_of_us: _Optional[int] = ...) -> None: ...
