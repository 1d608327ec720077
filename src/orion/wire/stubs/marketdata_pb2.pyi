from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchFeedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FeedPulse(_message.Message):
    __slots__ = ("status", "heartbeats")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEATS_FIELD_NUMBER: _ClassVar[int]
    status: FeedStatus
    heartbeats: _containers.RepeatedCompositeFieldContainer[Heartbeat]
    def __init__(self, status: _Optional[_Union[FeedStatus, _Mapping]] = ..., heartbeats: _Optional[_Iterable[_Union[Heartbeat, _Mapping]]] = ...) -> None: ...

class MarketTick(_message.Message):
    __slots__ = ("instrument_id", "bid", "ask", "mid", "timestamp_us", "received_at_us", "source", "flags", "source_timestamp_us", "heartbeat_at_us", "day_low", "day_high", "open")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    MID_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_TIMESTAMP_US_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_AT_US_FIELD_NUMBER: _ClassVar[int]
    DAY_LOW_FIELD_NUMBER: _ClassVar[int]
    DAY_HIGH_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    instrument_id: str
    bid: str
    ask: str
    mid: str
    timestamp_us: int
    received_at_us: int
    source: str
    flags: _containers.RepeatedScalarFieldContainer[str]
    source_timestamp_us: int
    heartbeat_at_us: int
    day_low: str
    day_high: str
    open: str
    def __init__(self, instrument_id: _Optional[str] = ..., bid: _Optional[str] = ..., ask: _Optional[str] = ..., mid: _Optional[str] = ..., timestamp_us: _Optional[int] = ..., received_at_us: _Optional[int] = ..., source: _Optional[str] = ..., flags: _Optional[_Iterable[str]] = ..., source_timestamp_us: _Optional[int] = ..., heartbeat_at_us: _Optional[int] = ..., day_low: _Optional[str] = ..., day_high: _Optional[str] = ..., open: _Optional[str] = ...) -> None: ...

class StatusChange(_message.Message):
    __slots__ = ("instrument_id", "stale", "since_us", "last_tick_at_us")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    LAST_TICK_AT_US_FIELD_NUMBER: _ClassVar[int]
    instrument_id: str
    stale: bool
    since_us: int
    last_tick_at_us: int
    def __init__(self, instrument_id: _Optional[str] = ..., stale: _Optional[bool] = ..., since_us: _Optional[int] = ..., last_tick_at_us: _Optional[int] = ...) -> None: ...

class TickBatch(_message.Message):
    __slots__ = ("ticks", "status", "snapshot", "heartbeats", "taken")
    TICKS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEATS_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    ticks: _containers.RepeatedCompositeFieldContainer[MarketTick]
    status: _containers.RepeatedCompositeFieldContainer[StatusChange]
    snapshot: bool
    heartbeats: _containers.RepeatedCompositeFieldContainer[Heartbeat]
    taken: int
    def __init__(self, ticks: _Optional[_Iterable[_Union[MarketTick, _Mapping]]] = ..., status: _Optional[_Iterable[_Union[StatusChange, _Mapping]]] = ..., snapshot: _Optional[bool] = ..., heartbeats: _Optional[_Iterable[_Union[Heartbeat, _Mapping]]] = ..., taken: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("instrument_id", "at_us")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    instrument_id: str
    at_us: int
    def __init__(self, instrument_id: _Optional[str] = ..., at_us: _Optional[int] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ("instrument_ids",)
    INSTRUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    instrument_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instrument_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("ticks", "as_of_us", "served_from")
    TICKS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    SERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    ticks: _containers.RepeatedCompositeFieldContainer[MarketTick]
    as_of_us: int
    served_from: str
    def __init__(self, ticks: _Optional[_Iterable[_Union[MarketTick, _Mapping]]] = ..., as_of_us: _Optional[int] = ..., served_from: _Optional[str] = ...) -> None: ...

class TickSubscription(_message.Message):
    __slots__ = ("instrument_ids", "conflate_ms")
    INSTRUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    CONFLATE_MS_FIELD_NUMBER: _ClassVar[int]
    instrument_ids: _containers.RepeatedScalarFieldContainer[str]
    conflate_ms: int
    def __init__(self, instrument_ids: _Optional[_Iterable[str]] = ..., conflate_ms: _Optional[int] = ...) -> None: ...

class TickDemand(_message.Message):
    __slots__ = ("instrument_ids", "patience_ms")
    INSTRUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_MS_FIELD_NUMBER: _ClassVar[int]
    instrument_ids: _containers.RepeatedScalarFieldContainer[str]
    patience_ms: int
    def __init__(self, instrument_ids: _Optional[_Iterable[str]] = ..., patience_ms: _Optional[int] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("instrument_id", "minutes")
    INSTRUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    instrument_id: str
    minutes: int
    def __init__(self, instrument_id: _Optional[str] = ..., minutes: _Optional[int] = ...) -> None: ...

class Bar(_message.Message):
    __slots__ = ("at_us", "mid", "low", "high", "spread", "spread_max", "ticks")
    AT_US_FIELD_NUMBER: _ClassVar[int]
    MID_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    SPREAD_MAX_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    at_us: int
    mid: str
    low: str
    high: str
    spread: str
    spread_max: str
    ticks: int
    def __init__(self, at_us: _Optional[int] = ..., mid: _Optional[str] = ..., low: _Optional[str] = ..., high: _Optional[str] = ..., spread: _Optional[str] = ..., spread_max: _Optional[str] = ..., ticks: _Optional[int] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("bars", "as_of_us")
    BARS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_US_FIELD_NUMBER: _ClassVar[int]
    bars: _containers.RepeatedCompositeFieldContainer[Bar]
    as_of_us: int
    def __init__(self, bars: _Optional[_Iterable[_Union[Bar, _Mapping]]] = ..., as_of_us: _Optional[int] = ...) -> None: ...

class FeedStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FeedStatus(_message.Message):
    __slots__ = ("mode", "scenario", "seed", "speed", "published", "dropped", "late", "replayed", "received", "crossed", "derived", "finished")
    class DroppedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MODE_FIELD_NUMBER: _ClassVar[int]
    SCENARIO_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    SPEED_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CROSSED_FIELD_NUMBER: _ClassVar[int]
    DERIVED_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    mode: str
    scenario: str
    seed: int
    speed: float
    published: int
    dropped: _containers.ScalarMap[str, int]
    late: int
    replayed: _containers.RepeatedScalarFieldContainer[str]
    received: int
    crossed: int
    derived: int
    finished: bool
    def __init__(self, mode: _Optional[str] = ..., scenario: _Optional[str] = ..., seed: _Optional[int] = ..., speed: _Optional[float] = ..., published: _Optional[int] = ..., dropped: _Optional[_Mapping[str, int]] = ..., late: _Optional[int] = ..., replayed: _Optional[_Iterable[str]] = ..., received: _Optional[int] = ..., crossed: _Optional[int] = ..., derived: _Optional[int] = ..., finished: _Optional[bool] = ...) -> None: ...
