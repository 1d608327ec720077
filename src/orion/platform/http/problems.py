"""Problem documents (RFC 9457): the one place where an error becomes an HTTP answer."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from orion.platform import telemetry
from orion.platform.errors import Coded
from orion.platform.ids import new_uuid

PROBLEM = "application/problem+json"
_PATTERN = re.compile(r"Expected `str` matching regex .*", re.DOTALL)
_BY_STATUS = {
    401: "AUTH-101",
    403: "AUTH-103",
    404: "API-104",
    405: "API-107",
    406: "API-114",
    408: "API-113",
    413: "API-105",
    415: "API-108",
    429: "API-109",
    431: "API-112",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field, header or parameter of the request."""

    field: str
    code: str
    message: str


class InvalidRequest(Coded):
    """A request that does not fit its description; `fields` says where."""

    def __init__(
        self, detail: str = "", fields: Sequence[FieldProblem] = (), code: str = "API-100"
    ):
        super().__init__(code, detail)
        self.fields = tuple(fields)


@dataclass(slots=True)
class Answer:
    """An HTTP answer before it is sent."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)


def invalid(name: str, message: str, code: str = "API-100") -> InvalidRequest:
    """The refusal of a request for one field."""
    said = _said(message)
    return InvalidRequest(f"{name}: {said}", [FieldProblem(name, code, said)], code)


def _said(message: str) -> str:
    # People read this; the regular expression stands in the API's description.
    return _PATTERN.sub("does not have the form that is described", message)


def coded(error: Exception) -> tuple[Coded, dict[str, str]]:
    """The coded error that an exception stands for, and headers to answer with. An unknown one is a
    bug: logged under an id.
    """
    if isinstance(error, Coded):
        return error, {}
    # Here, because the streaming edge renders problems too and has no use for the framework.
    from litestar.exceptions import HTTPException, ValidationException

    if isinstance(error, ValidationException):
        rows = error.extra if isinstance(error.extra, list) else []
        fields = [_field(str(r.get("key", "")), str(r.get("message", ""))) for r in rows]
        # The framework's own sentence repeats the URL; ours names the first field instead.
        detail = (
            f"{fields[0].field}: {fields[0].message}" if fields else error.detail.split(" for ")[0]
        )
        return InvalidRequest(detail, fields), {}
    if isinstance(error, HTTPException) and error.status_code < 500:
        code = _BY_STATUS.get(error.status_code, "API-100")
        detail = error.detail if code == "API-100" else ""
        allow = {k: v for k, v in (error.headers or {}).items() if k.lower() == "allow"}
        return Coded(code, detail), allow
    incident = new_uuid()
    telemetry.log.error("request failed", incident=incident, exc_info=error)
    return Coded("SYS-900", f"Incident {incident}"), {}


def _field(name: str, message: str) -> FieldProblem:
    # The framework says of a parameter that is not there only its name again.
    where = "body" if name == "data" else name
    return FieldProblem(where, "API-100", "is missing" if message == repr(name) else _said(message))


def answer(error: Coded, request_id: str, correlation_id: str = "") -> Answer:
    """Renders a coded error. Fields that a service added (`extra`) stand beside the standard ones,
    never over them.
    """
    kind = error.kind
    correlation = str(error.extra.get("correlationId") or correlation_id or request_id)
    document: dict[str, Any] = {
        "type": f"urn:orion:problem:{error.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": error.detail,
        "code": error.code,
        "correlationId": correlation,
        "requestId": request_id,
    }
    fields = getattr(error, "fields", ())
    if fields:
        document["errors"] = fields
    for name, value in error.extra.items():
        # `status` of a problem is the HTTP status; a service's own status word goes beside it.
        key = "rfqStatus" if name == "status" else name
        document.setdefault(key, value)
    headers = [("content-type", PROBLEM), ("cache-control", "no-store")]
    if error.retry_after_s is not None or kind.status in (429, 503):
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after_s or 1)))))
    if kind.status == 401:
        headers.append(("www-authenticate", 'Bearer realm="orion"'))
    if kind.status in (408, 413, 421, 431):
        headers.append(("connection", "close"))
    return Answer(kind.status, msgspec.json.encode(document), headers)


def whole(refusal: Coded) -> bytes:
    """A whole HTTP/1.1 answer for where no HTTP machinery stands; the connection ends after it."""
    told = answer(refusal, new_uuid())
    kind = refusal.kind
    headers = {name: value for name, value in told.headers if name != "connection"}
    head = [
        f"HTTP/1.1 {kind.status} {kind.title}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"content-length: {len(told.body)}",
        "connection: close",
        "x-content-type-options: nosniff",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + told.body
