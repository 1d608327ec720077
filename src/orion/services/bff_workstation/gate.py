"""In front of every route: who are you, may you, and is the request shaped as described. Deny by
default.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import HeaderParameter

from orion.core import ids
from orion.core.permissions import Permission, permissions_of
from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.platform.errors import Coded
from orion.platform.http.problems import invalid
from orion.services.bff_workstation.shapes import END
from orion.wire import json_in
from orion.wire.stubs import common_pb2

PUBLIC = "public"
"""Anyone, signed in or not."""
SIGNED_IN = "signed in"
"""Any user, whatever the role."""
Authenticate = Callable[[ASGIConnection[Any, Any, Any, Any]], Awaitable[Caller]]
KEY = re.compile(r"^[A-Za-z0-9_-]{8,128}" + END)
IdempotencyKey = Annotated[
    str,
    HeaderParameter(
        name="Idempotency-Key",
        pattern=r"^[A-Za-z0-9_-]{8,128}" + END,
        description="The same key and body give the same outcome, however often they are sent",
    ),
]


async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Litestar's guard for all routes: a route that declares no permission is closed."""
    needed = handler.opt.get("permission")
    if needed == PUBLIC:
        if not handler.opt.get("any_query"):  # where another site's answer arrives
            check_query(connection)
        return
    authenticate: Authenticate = connection.app.state.authenticate
    caller = await authenticate(connection)
    if needed is None or not allowed(caller, needed):
        raise Coded("AUTH-103")
    check_query(connection)
    connection.scope["user"] = caller
    _say_about(caller, connection.path_params)
    if handler.opt.get("is_command"):
        key = connection.headers.get("idempotency-key")
        if key is None or not KEY.fullmatch(key):
            raise invalid("Idempotency-Key", "must be 8 to 128 of A-Z a-z 0-9 _ -", "API-101")


def _say_about(caller: Caller, given: Mapping[str, Any]) -> None:
    """Whom log lines, spans and calls of this request are about, as far as its address says."""
    rfq = str(given.get("rfq_id", ""))
    told: dict[str, str] = {"tenant": caller.tenant, "user": caller.user}
    if ids.is_id(rfq):
        told |= {"entity_id": rfq, "correlation_id": ids.correlation_id(rfq)}
    elif ids.is_id(trade := str(given.get("trade_id", ""))):
        told["entity_id"] = trade
    elif ids.is_id(story := str(given.get("correlation_id", ""))):
        told["correlation_id"] = story
    telemetry.bind(**told)


def allowed(caller: Caller, needed: str | Permission | tuple[Permission, ...]) -> bool:
    """True when one of the caller's roles has (one of) the needed permissions. Services of ours are
    no users.
    """
    if caller.service is not None:
        return False
    if needed == SIGNED_IN:
        return True
    one_of = needed if isinstance(needed, tuple) else (needed,)
    return not permissions_of(caller.roles).isdisjoint(one_of)


def check_query(connection: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuses query parameters that the route does not know, and repeated ones that are not
    lists.
    """
    given = connection.scope.get("query_string", b"")
    known, lists = _declared(connection)
    if not given:
        return
    seen: set[str] = set()
    for name, _ in parse_qsl(given.decode("latin-1"), keep_blank_values=True, max_num_fields=500):
        if name not in known:
            raise invalid(name[:60], "is not a parameter of this request")
        if name in seen and name not in lists:
            raise invalid(name, "is given more than once")
        seen.add(name)


def _declared(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[set[str], set[str]]:
    handler = connection.route_handler
    cached = handler.opt.get("_query")
    if cached is None:
        method = connection.scope["method"]  # type: ignore[typeddict-item]
        for route in connection.app.routes:
            for own, model in getattr(route, "route_handler_map", {}).values():
                if own is handler and method in own.http_methods:
                    known = {p.field_alias for p in model.expected_query_params}
                    cached = (known, set(model.sequence_query_parameter_names))
        handler.opt["_query"] = cached = cached or (set(), set())
    return cached


class StrictRequest(Request[Caller, Any, Any]):
    """A request whose JSON body becomes exactly the type of the route's `data`, or a refusal that
    says where it differs.
    """

    async def json(self) -> Any:
        kind = self.content_type[0]
        if kind != "application/json":
            raise Coded("API-108")
        wanted = self.route_handler.parsed_fn_signature.parameters["data"].annotation  # type: ignore[attr-defined]
        return decode(await self.body(), wanted)


def decode(body: bytes, wanted: Any) -> Any:
    """The body as the wanted type. Refuses what JSON parsers disagree about, then what the type
    does not know.
    """
    try:
        plain = json_in.loads(body)
    except json_in.NotJson as problem:
        raise Coded("API-106", str(problem)) from None
    try:
        return msgspec.convert(plain, wanted)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `")
        where = path.rstrip("`").removeprefix("$").lstrip(".") or "body"
        raise invalid(where, text) from None


def idempotency(key: str, operation: str, *parts: Any) -> common_pb2.Idempotency:
    """The key with the hash of what is asked, in one canonical spelling (so that white space and
    field order do not matter).
    """
    canonical = msgspec.json.encode(parts, order="sorted")
    return common_pb2.Idempotency(
        key=key, body_hash=hashlib.sha256(canonical).digest(), operation=operation
    )


async def caller_of(request: Request[Caller, Any, Any]) -> Caller:
    """The verified caller that the guard put there."""
    return request.user
