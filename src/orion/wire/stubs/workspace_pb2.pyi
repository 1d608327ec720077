from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetPreferencesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Preferences(_message.Message):
    __slots__ = ("version", "body")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    version: int
    body: bytes
    def __init__(self, version: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class PutPreferencesRequest(_message.Message):
    __slots__ = ("version", "body")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    version: int
    body: bytes
    def __init__(self, version: _Optional[int] = ..., body: _Optional[bytes] = ...) -> None: ...

class ListWatchlistsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Watchlist(_message.Message):
    __slots__ = ("watchlist_id", "name", "instrument_ids", "pinned", "position", "version")
    WATCHLIST_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTRUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    watchlist_id: str
    name: str
    instrument_ids: _containers.RepeatedScalarFieldContainer[str]
    pinned: _containers.RepeatedScalarFieldContainer[str]
    position: int
    version: int
    def __init__(self, watchlist_id: _Optional[str] = ..., name: _Optional[str] = ..., instrument_ids: _Optional[_Iterable[str]] = ..., pinned: _Optional[_Iterable[str]] = ..., position: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class ListWatchlistsResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Watchlist]
    def __init__(self, items: _Optional[_Iterable[_Union[Watchlist, _Mapping]]] = ...) -> None: ...

class PutWatchlistRequest(_message.Message):
    __slots__ = ("watchlist", "idempotency_key")
    WATCHLIST_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    watchlist: Watchlist
    idempotency_key: str
    def __init__(self, watchlist: _Optional[_Union[Watchlist, _Mapping]] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteWatchlistRequest(_message.Message):
    __slots__ = ("watchlist_id", "version")
    WATCHLIST_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    watchlist_id: str
    version: int
    def __init__(self, watchlist_id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class DeleteWatchlistResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
