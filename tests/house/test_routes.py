"""Every way in declares who may use it; what is not declared is closed."""

from __future__ import annotations

import ast
import inspect

from orion.core.permissions import Permission
from orion.services.bff_workstation import openapi, site
from orion.services.bff_workstation.gate import PUBLIC, SIGNED_IN
from orion.wire import stubs
from tests.house.tree import SRC, name, parsed, python

VERBS = {"get", "post", "put", "patch", "delete", "route", "websocket", "head"}
# The identity provider's own pages: reached before anyone is signed in; each checks what it needs
# itself.
OPEN_FILES = {"src/orion/services/identity/web.py"}


def decorators() -> list[tuple[str, ast.Call]]:
    """(where, decorator) of every HTTP route in the services, found in the text so that none can
    hide.
    """
    return [
        (f"{name(p)}:{node.name}", call)
        for p in python("src/orion/services")
        for node in ast.walk(parsed(p))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for call in node.decorator_list
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in VERBS
    ]


def test_every_route_in_the_text_declares_its_permission():
    found = [(w, c) for w, c in decorators() if w.split(":")[0] not in OPEN_FILES]
    assert len(found) >= 25
    silent = [w for w, c in found if not any(k.arg in ("permission", "opt") for k in c.keywords)]
    assert silent == []


def test_every_route_of_the_app_needs_a_permission_that_exists():
    app = site.routes_only()
    seen = 0
    for route in app.routes:
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            if method == "OPTIONS" or route.path_format.startswith("/api/v1/schema"):
                continue
            needed = handler.opt.get("permission")
            many = needed if isinstance(needed, tuple) else (needed,)
            assert many and all(
                n in (PUBLIC, SIGNED_IN) or isinstance(n, Permission) for n in many
            ), route.path_format
            seen += 1
    assert seen >= 24


def test_only_health_and_descriptions_are_open():
    open_ = {
        route.path_format
        for route in site.routes_only().routes
        for handler, _ in getattr(route, "route_handler_map", {}).values()
        if handler.opt.get("permission") == PUBLIC
    }
    assert open_ == {
        "/healthz",
        "/readyz",
        "/api/v1/healthz",
        "/api/v1/readyz",
        "/api/v1/openapi.json",
        "/api/v1/asyncapi.json",
    }


def test_every_command_route_is_a_command():
    for route in site.routes_only().routes:
        for method, (handler, _) in getattr(route, "route_handler_map", {}).items():
            if method == "POST" and not route.path_format.endswith("/read"):
                assert handler.opt.get("is_command"), route.path_format


def test_the_description_is_the_one_checked_in():
    assert openapi.PATH.read_text() == openapi.text(site.routes_only())


def test_every_rpc_method_asks_who_is_calling():
    """A servicer's method that neither looks at the caller nor hands over to something that does
    would serve anyone inside.
    """
    asks = ("current_caller", "_require", "_user", "_caller", "caller")
    blind = []
    for path in python("src/orion/services"):
        text = path.read_text()
        if "Servicer" not in text or path.name == "module.py" or path.parent == SRC:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef) and any(
                "Servicer" in ast.unparse(b) for b in node.bases
            ):
                methods = [
                    m
                    for m in node.body
                    if isinstance(m, ast.AsyncFunctionDef) and m.name[:1].isupper()
                ]
                source = ast.unparse(node)
                blind += [
                    f"{name(path)}:{m.name}" for m in methods if not any(a in source for a in asks)
                ]
    assert blind == []
    assert inspect.ismodule(stubs)
