"""The whole HTTP side of the door as one ASGI app: guard → (API | sign-in | identity | static
web).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import MethodNotAllowedException
from litestar.utils import normalize_path

from orion.platform.errors import Coded
from orion.platform.http.guard import App, Guard
from orion.platform.http.problems import PROBLEM, answer, coded
from orion.platform.http.static import StaticFiles
from orion.services.bff_workstation import gate, metrics, openapi
from orion.services.bff_workstation.config import Config
from orion.services.bff_workstation.links import Links
from orion.services.bff_workstation.profile import About
from orion.services.bff_workstation.readiness import Readiness
from orion.services.bff_workstation.routes import desk, market, rfqs, system, trades

API = "/api/v1"
STREAM = f"{API}/stream"
_API_PATHS = ("/healthz", "/readyz", "/metrics")


@dataclass(frozen=True, slots=True)
class Needs:
    """What the routes are given: nothing is imported or looked up behind their back."""

    links: Links
    about: About
    readiness: Readiness
    sources: metrics.Sources
    authenticate: gate.Authenticate
    config: Config = field(default_factory=Config)


def api(needs: Needs, more_routes: Sequence[Any] = ()) -> Litestar:
    """The Litestar app: all REST routes, strict requests, coded refusals."""
    given = {name: getattr(needs, name) for name in ("links", "about", "readiness", "sources")}
    dependencies: dict[str, Provide] = {
        n: Provide(_giver(v), sync_to_thread=False) for n, v in given.items()
    }
    dependencies["caller"] = Provide(gate.caller_of)
    v1 = Router(API, route_handlers=[*rfqs.ROUTES, *trades.ROUTES, *market.ROUTES, *desk.ROUTES])
    # Litestar's own loggers would print refusals a second time.
    logging.getLogger("litestar").setLevel(logging.CRITICAL)
    return Litestar(
        route_handlers=[v1, *system.ROUTES, *more_routes],
        dependencies=dependencies,
        guards=[gate.guard],
        request_class=gate.StrictRequest,
        exception_handlers={Exception: refuse},
        openapi_config=openapi.config(),
        request_max_body_size=needs.config.body_limit_bytes,
        logging_config=None,
        state=State({"authenticate": needs.authenticate}),
        response_headers={},
    )


def _giver(value: Any) -> Any:
    return lambda: value


def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any exception as a problem document."""
    refusal, headers = coded(error)
    told = answer(refusal, request.scope.get("state", {}).get("request_id", ""))
    return Response(
        told.body,
        status_code=told.status,
        media_type=PROBLEM,
        headers={**dict(told.headers), **headers},
    )


class Site:
    """Chooses by path who answers. Unknown API paths never fall through to the web."""

    def __init__(self, api_app: Litestar, web: App):
        self._api, self._web = api_app, web

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """The API's start and stop."""
        return self._api.lifespan()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._api(scope, receive, send)
            return
        path: str = scope["path"]
        if path == STREAM:
            # The acceptor chose by the first request of this connection; a later one for the stream
            # cannot move to the edge, so the client is told to come again (RFC 9110, 15.5.20).
            raise Coded("API-115")
        if path in _API_PATHS or path.split("/", 2)[1:2] in (["api"], ["auth"], ["oidc"]):
            if scope["method"] == "OPTIONS":
                await self._methods(path, send)
            else:
                await self._api(scope, receive, send)
            return
        await self._web(scope, receive, send)

    async def _methods(self, path: str, send: Any) -> None:
        """Which methods a path has. (The framework's own answer names those of one handler
        only.)
        """
        try:
            self._api.asgi_router.handle_routing(path=normalize_path(path), method="TRACE")
        except MethodNotAllowedException as known:
            allow = (known.headers or {})["allow"].encode()
            headers = [(b"allow", allow), (b"cache-control", b"no-store")]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})


def build(
    needs: Needs, *, public_url: str, web_dir: Path, more_routes: Sequence[Any] = ()
) -> Guard:
    """The app that uvicorn serves."""
    return Guard(Site(api(needs, more_routes), StaticFiles(web_dir)), public_url)


def routes_only() -> Litestar:
    """The app for describing it: no service behind it answers."""

    async def nobody(_: Any) -> Any:
        raise Coded("AUTH-101")

    nothing: Any = None
    return api(Needs(nothing, nothing, nothing, nothing, nobody))
