"""The OpenAPI document: Litestar gives paths and parameters, msgspec gives the exact schemas, this
adds what every route shares.

`python -m orion.services.bff_workstation.openapi [--check]` writes contracts/openapi.json or
compares with it.
"""

from __future__ import annotations

import re
import sys
from copy import deepcopy
from typing import Any

import msgspec
from litestar import Litestar
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Tag

from orion.platform.config import BUILD
from orion.platform.errors import CONTRACTS
from orion.platform.http.problems import PROBLEM
from orion.services.bff_workstation import shapes
from orion.services.bff_workstation.gate import PUBLIC

PATH = CONTRACTS / "openapi.json"
REF = "#/components/schemas/{name}"
DESCRIPTION = (
    "Prices, RFQs, trades and their story. Decimals are strings; times are ISO 8601 UTC. "
    "Refusals are problem documents whose `code` is stable. Commands carry an `Idempotency-Key`: "
    "ask again with the same key when the outcome is unknown. Programs send "
    "`Authorization: Bearer`; browsers have a session cookie and, for writes, send their Origin."
)
TAGS = {
    "RFQ": "Ask dealers, look at their quotes, deal",
    "Trades": "What was dealt",
    "Audit": "The recorded story",
    "Market": "Instruments, dealers, prices",
    "You": "Your profile, settings, lists and notifications",
    "System": "Health and descriptions",
}
_ALWAYS = {
    "400": "The request is not valid",
    "431": "Address or headers are too large",
    "500": "A fault here; the id finds it in our log",
}
_SIGNED = {
    "401": "Not signed in",
    "403": "Your role does not allow this",
    "503": "A part of the platform is not answering",
}
_COMMAND = {
    "409": "Not possible in the present state",
    "422": "Refused by a rule; `code` says which",
    "429": "Too many requests",
}
_BODY = {
    "408": "The body did not arrive in time",
    "413": "The body is too large",
    "415": "The body must be JSON",
}


def config() -> OpenAPIConfig:
    """What Litestar needs to describe the routes. It serves no pages of its own."""
    return OpenAPIConfig(
        title="Orion",
        version=BUILD,
        description=DESCRIPTION,
        use_handler_docstrings=True,
        path="/api/v1/schema",
        tags=[Tag(name=n, description=d) for n, d in TAGS.items()],
    )


def document(app: Litestar) -> dict[str, Any]:
    """The whole document; made once per app."""
    made = getattr(app.state, "openapi_document", None)
    if made is None:
        made = app.state.openapi_document = _build(app)
    return made


def _build(app: Litestar) -> dict[str, Any]:
    described = deepcopy(app.openapi_schema.to_schema())
    structs = [
        t
        for t in vars(shapes).values()
        if isinstance(t, type)
        and issubclass(t, msgspec.Struct)
        and t not in (shapes.Shape, shapes.Input, shapes.RfqHead)
    ]
    _, schemas = msgspec.json.schema_components(structs, ref_template=REF)
    schemas["Preferences"] = _PREFERENCES
    described["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-orion-8080",
                "description": "The name ends with the port of the public address",
            },
        },
    }
    handlers = {
        (route.path_format, method): handler
        for route in app.routes
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items()
    }
    for path, item in described["paths"].items():
        for method, operation in item.items():
            _finish(operation, handlers[path, method.upper()].opt, path, method)
    return _tidy(described)


_PREFERENCES: dict[str, Any] = {
    "type": "object",
    "title": "Preferences",
    "required": ["version"],
    "description": "Settings of the screen: opaque but for these fields; at most 256 KB.",
    "properties": {
        "version": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
        "theme": {"enum": ["dark", "light", "system"]},
    },
    "additionalProperties": True,
    "examples": [{"version": 0, "theme": "dark", "layout": None}],
}


def _finish(operation: dict[str, Any], opt: dict[str, Any], path: str, method: str) -> None:
    is_open = opt.get("permission") == PUBLIC
    problems = dict(_ALWAYS)
    if not is_open:
        problems |= _SIGNED
        operation["security"] = [{"bearer": []}, {"session": []}]
        operation["x-permission"] = _named(opt.get("permission"))
    if "{" in path or "market" in path:
        problems["404"] = "There is none, or you may not see it"
    if method in ("post", "put", "delete", "patch") or "market" in path:
        problems |= _COMMAND
    if "requestBody" in operation:
        problems |= _BODY
    if path.endswith("asyncapi.json"):
        problems["404"] = "Not described in this build"
    ref = {"schema": {"$ref": REF.format(name="Problem")}}
    responses = operation["responses"]
    responses.pop("400", None)
    for status, text in sorted(problems.items()):
        responses[status] = {"description": text, "content": {PROBLEM: ref}}
    if path.endswith("readyz"):
        responses["503"] = {
            "description": "Not yet",
            "content": {"application/json": {"schema": {"$ref": REF.format(name="Health")}}},
        }
    if operation.get("operationId") in ("getPreferences", "putPreferences"):
        preferences = {"schema": {"$ref": REF.format(name="Preferences")}}
        responses["200"]["content"] = {"application/json": preferences}
        if "requestBody" in operation:
            operation["requestBody"]["content"] = {"application/json": preferences}
    responses_ok = next(iter(sorted(s for s in responses if s.startswith("2"))))
    responses[responses_ok]["description"] = operation["summary"]
    responses[responses_ok].pop("headers", None)


def _named(permission: Any) -> list[str]:
    many = permission if isinstance(permission, tuple) else (permission,)
    return [getattr(p, "value", str(p)) for p in many]


def _tidy(node: Any) -> Any:
    """Patterns without our guard against a newline at the end (ECMAScript has no such `$`),
    parameters without null.
    """
    if isinstance(node, dict):
        if "in" in node and "schema" in node:
            node["schema"] = _without_null(node["schema"])
            node.pop("allowReserved", None)
            node.pop("allowEmptyValue", None)
            node.pop("deprecated", None)
        return {k: _pattern(v) if k == "pattern" else _tidy(v) for k, v in node.items()}
    return [_tidy(v) for v in node] if isinstance(node, list) else node


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    options = schema.get("oneOf")
    if not options:
        return schema
    kept = [o for o in options if o.get("type") != "null"]
    rest = {k: v for k, v in schema.items() if k != "oneOf"}
    return {**kept[0], **rest} if len(kept) == 1 else {**rest, "oneOf": kept}


def _pattern(value: Any) -> Any:
    if not isinstance(value, str):
        return _tidy(value)
    return re.sub(re.escape(shapes.END) + "$", "$", value)


def text(app: Litestar) -> str:
    """The document as it is checked in."""
    return (
        msgspec.json.format(msgspec.json.encode(document(app), order="sorted"), indent=1).decode()
        + "\n"
    )


def main() -> None:
    """Writes contracts/openapi.json, or with --check exits 1 when it differs."""
    from orion.services.bff_workstation.site import routes_only

    made = text(routes_only())
    if "--check" not in sys.argv:
        PATH.write_text(made)
    elif not PATH.is_file() or PATH.read_text() != made:
        raise SystemExit(
            "contracts/openapi.json is stale: run python -m orion.services.bff_workstation.openapi"
        )


if __name__ == "__main__":
    main()
