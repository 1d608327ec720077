"""The platform about itself: alive, ready, described, measured."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.di import NamedDependency as Given

from orion.core.permissions import Permission as P
from orion.platform.errors import CONTRACTS, Coded
from orion.services.bff_workstation import metrics, shapes
from orion.services.bff_workstation.gate import PUBLIC
from orion.services.bff_workstation.openapi import document
from orion.services.bff_workstation.readiness import Readiness


@get(
    ["/healthz", "/api/v1/healthz"],
    permission=PUBLIC,
    operation_id=None,
    tags=["System"],
    summary="Alive",
)
async def healthz() -> shapes.Health:
    """This process answers."""
    return shapes.Health(status="ok")


@get(
    ["/readyz", "/api/v1/readyz"],
    permission=PUBLIC,
    operation_id=None,
    tags=["System"],
    summary="Ready",
)
async def readyz(readiness: Given[Readiness]) -> Response[shapes.Health]:
    """Every service answers, or 503 with the names of those that do not. What the platform does
    without for now is named besides."""
    missing, degraded = await asyncio.gather(readiness.missing(), readiness.degraded())
    if missing:
        body = shapes.Health(status="waiting", waiting_for=missing, degraded=degraded)
        return Response(
            body, status_code=503, headers={"retry-after": "1", "cache-control": "no-store"}
        )
    return Response(shapes.Health(status="ok", degraded=degraded))


@get(
    "/api/v1/openapi.json",
    permission=PUBLIC,
    operation_id="getOpenApi",
    tags=["System"],
    summary="This description",
)
async def openapi_json(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """OpenAPI 3.1, generated from the types that the routes use."""
    return Response(document(request.app))


@get(
    "/api/v1/asyncapi.json",
    permission=PUBLIC,
    operation_id="getAsyncApi",
    tags=["System"],
    summary="The stream's description",
)
async def asyncapi_json() -> Response[dict[str, Any]]:
    """AsyncAPI of the WebSocket at /api/v1/stream."""
    path = CONTRACTS / "asyncapi.json"
    if not path.is_file():
        raise Coded("API-104")
    return Response(msgspec.json.decode(path.read_bytes()))


@get("/metrics", permission=P.OPERATIONS_READ, include_in_schema=False, media_type=MediaType.TEXT)
async def all_metrics(sources: Given[metrics.Sources]) -> Response[bytes]:
    """Prometheus metrics of all processes, each sample labelled with its process."""
    return Response(
        await metrics.gathered(sources), media_type="text/plain; version=0.0.4; charset=utf-8"
    )


ROUTES = [healthz, readyz, openapi_json, asyncapi_json, all_metrics]
