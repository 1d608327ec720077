from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class WatchRevocationsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Revocation(_message.Message):
    __slots__ = ("session_id", "subject", "at_us", "is_bounded", "is_lifted")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    AT_US_FIELD_NUMBER: _ClassVar[int]
    IS_BOUNDED_FIELD_NUMBER: _ClassVar[int]
    IS_LIFTED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    subject: str
    at_us: int
    is_bounded: bool
    is_lifted: bool
    def __init__(self, session_id: _Optional[str] = ..., subject: _Optional[str] = ..., at_us: _Optional[int] = ..., is_bounded: _Optional[bool] = ..., is_lifted: _Optional[bool] = ...) -> None: ...

class Revocations(_message.Message):
    __slots__ = ("items", "snapshot")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Revocation]
    snapshot: bool
    def __init__(self, items: _Optional[_Iterable[_Union[Revocation, _Mapping]]] = ..., snapshot: _Optional[bool] = ...) -> None: ...

class DisableUserRequest(_message.Message):
    __slots__ = ("user", "disabled")
    USER_FIELD_NUMBER: _ClassVar[int]
    DISABLED_FIELD_NUMBER: _ClassVar[int]
    user: str
    disabled: bool
    def __init__(self, user: _Optional[str] = ..., disabled: _Optional[bool] = ...) -> None: ...

class DisableUserResponse(_message.Message):
    __slots__ = ("subject",)
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    subject: str
    def __init__(self, subject: _Optional[str] = ...) -> None: ...

class MintTokenRequest(_message.Message):
    __slots__ = ("user",)
    USER_FIELD_NUMBER: _ClassVar[int]
    user: str
    def __init__(self, user: _Optional[str] = ...) -> None: ...

class MintTokenResponse(_message.Message):
    __slots__ = ("access_token",)
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    def __init__(self, access_token: _Optional[str] = ...) -> None: ...

class RecordSignInRequest(_message.Message):
    __slots__ = ("client", "address")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    client: str
    address: str
    def __init__(self, client: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class RecordSignInResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RecordSignOutRequest(_message.Message):
    __slots__ = ("tenant", "subject", "user", "session_id", "reason", "issued_at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ISSUED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    subject: str
    user: str
    session_id: str
    reason: str
    issued_at: int
    def __init__(self, tenant: _Optional[str] = ..., subject: _Optional[str] = ..., user: _Optional[str] = ..., session_id: _Optional[str] = ..., reason: _Optional[str] = ..., issued_at: _Optional[int] = ...) -> None: ...

class RecordSignOutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResolveSessionRequest(_message.Message):
    __slots__ = ("cookie",)
    COOKIE_FIELD_NUMBER: _ClassVar[int]
    cookie: str
    def __init__(self, cookie: _Optional[str] = ...) -> None: ...

class ResolvedSession(_message.Message):
    __slots__ = ("access_token", "expires_at_us")
    ACCESS_TOKEN_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_US_FIELD_NUMBER: _ClassVar[int]
    access_token: str
    expires_at_us: int
    def __init__(self, access_token: _Optional[str] = ..., expires_at_us: _Optional[int] = ...) -> None: ...
