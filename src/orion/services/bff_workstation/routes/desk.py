"""The user's own things: profile, preferences, watchlists, notifications."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency as Given
from litestar.params import JSONBody, PathParameter, QueryParameter
from msgspec import UNSET

from orion.core.permissions import Permission as P
from orion.platform.caller import Caller
from orion.platform.http.problems import invalid
from orion.services.bff_workstation import profile, render, shapes
from orion.services.bff_workstation.config import Config
from orion.services.bff_workstation.gate import SIGNED_IN, IdempotencyKey
from orion.services.bff_workstation.links import Links
from orion.wire.stubs import notifications_pb2, workspace_pb2

ListPath = Annotated[str, PathParameter(description="The list's id", min_length=1, max_length=64)]
Version = Annotated[
    int | None,
    QueryParameter(name="version", ge=1, le=2**31 - 1, description="The version you read"),
]
PREFERENCES_LIMIT = Config().preferences_limit_bytes
LAST = 2**32 - 1  # position of a list that shall come last


@get(
    "/me",
    permission=SIGNED_IN,
    operation_id="getMe",
    tags=["You"],
    summary="Who you are and what you may",
)
async def get_me(
    caller: Given[Caller], links: Given[Links], about: Given[profile.About]
) -> shapes.Me:
    """The verified user of this session or token."""
    return await profile.me(caller, links, about)


@get(
    "/preferences",
    permission=P.PREFERENCES_WRITE,
    operation_id="getPreferences",
    tags=["You"],
    summary="Your screen's settings",
)
async def get_preferences(caller: Given[Caller], links: Given[Links]) -> Response[dict[str, Any]]:
    """Version 0: nothing was saved yet."""
    found = await links.ask(
        caller, "workspace", "GetPreferences", workspace_pb2.GetPreferencesRequest()
    )
    return _preferences(found)


@put(
    "/preferences",
    permission=P.PREFERENCES_WRITE,
    operation_id="putPreferences",
    tags=["You"],
    summary="Save your screen's settings",
    request_max_body_size=PREFERENCES_LIMIT,
)
async def put_preferences(
    data: JSONBody[dict[str, Any]], caller: Given[Caller], links: Given[Links]
) -> Response[dict[str, Any]]:
    """`version` is the one you read; when it was changed meanwhile the answer is 409 API-111."""
    version = data.pop("version", None)
    if not isinstance(version, int) or isinstance(version, bool) or not 0 <= version < 2**31:
        raise invalid("version", "must be the version you read")
    theme = data.get("theme", "system")
    if theme not in ("dark", "light", "system"):
        raise invalid("theme", "must be dark, light or system")
    request = workspace_pb2.PutPreferencesRequest(version=version, body=msgspec.json.encode(data))
    return _preferences(await links.tell(caller, "workspace", "PutPreferences", request))


def _preferences(found: workspace_pb2.Preferences) -> Response[dict[str, Any]]:
    return Response({"version": found.version, **msgspec.json.decode(found.body)})


@get(
    "/watchlists",
    permission=P.WATCHLIST_WRITE,
    operation_id="listWatchlists",
    tags=["You"],
    summary="Your watchlists",
)
async def list_watchlists(caller: Given[Caller], links: Given[Links]) -> shapes.WatchlistList:
    """The first look gives you the house's lists, yours from then on."""
    found = await links.ask(
        caller, "workspace", "ListWatchlists", workspace_pb2.ListWatchlistsRequest()
    )
    return shapes.WatchlistList(items=[render.watchlist(w) for w in found.items])


@post(
    "/watchlists",
    permission=P.WATCHLIST_WRITE,
    is_command=True,
    operation_id="createWatchlist",
    tags=["You"],
    summary="Make a watchlist",
)
async def create_watchlist(
    data: JSONBody[shapes.CreateWatchlist],
    key: IdempotencyKey,
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.Watchlist:
    """At most 50 lists of 200 instruments."""
    position = LAST if data.position is UNSET else data.position
    asked = workspace_pb2.Watchlist(
        name=data.name, instrument_ids=data.instrument_ids, pinned=data.pinned, position=position
    )
    request = workspace_pb2.PutWatchlistRequest(watchlist=asked, idempotency_key=key)
    return render.watchlist(await links.tell(caller, "workspace", "PutWatchlist", request))


@put(
    "/watchlists/{watchlist_id:str}",
    permission=P.WATCHLIST_WRITE,
    operation_id="putWatchlist",
    tags=["You"],
    summary="Change a watchlist",
)
async def put_watchlist(
    watchlist_id: ListPath,
    data: JSONBody[shapes.ChangeWatchlist],
    caller: Given[Caller],
    links: Given[Links],
) -> shapes.Watchlist:
    """Replaces the whole list when `version` is still the newest."""
    asked = workspace_pb2.Watchlist(
        watchlist_id=watchlist_id,
        name=data.name,
        instrument_ids=data.instrument_ids,
        pinned=data.pinned,
        position=data.position,
        version=data.version,
    )
    request = workspace_pb2.PutWatchlistRequest(watchlist=asked)
    return render.watchlist(await links.tell(caller, "workspace", "PutWatchlist", request))


@delete(
    "/watchlists/{watchlist_id:str}",
    permission=P.WATCHLIST_WRITE,
    operation_id="deleteWatchlist",
    tags=["You"],
    summary="Throw a watchlist away",
)
async def delete_watchlist(
    watchlist_id: ListPath, caller: Given[Caller], links: Given[Links], version: Version = None
) -> None:
    """Without `version` whatever is there goes."""
    request = workspace_pb2.DeleteWatchlistRequest(watchlist_id=watchlist_id, version=version or 0)
    await links.tell(caller, "workspace", "DeleteWatchlist", request)


@get(
    "/notifications",
    permission=P.NOTIFICATION_READ,
    operation_id="listNotifications",
    tags=["You"],
    summary="What you should know",
)
async def list_notifications(
    caller: Given[Caller],
    links: Given[Links],
    limit: Annotated[int, QueryParameter(name="limit", ge=1, le=200)] = 50,
) -> shapes.NotificationList:
    """Your own, newest first."""
    request = notifications_pb2.ListNotificationsRequest(limit=limit)
    found = await links.ask(caller, "notifications", "ListNotifications", request)
    return shapes.NotificationList(items=[render.notification(n) for n in found.items])


@post(
    "/notifications/read",
    permission=P.NOTIFICATION_READ,
    status_code=200,
    operation_id="markNotificationsRead",
    tags=["You"],
    summary="I have read these",
)
async def mark_read(
    data: JSONBody[shapes.MarkRead], caller: Given[Caller], links: Given[Links]
) -> shapes.Marked:
    """Ids that are not yours or read already do nothing."""
    request = notifications_pb2.MarkReadRequest(notification_ids=data.notification_ids)
    done = await links.tell(caller, "notifications", "MarkRead", request)
    return shapes.Marked(marked=done.marked)


ROUTES = [
    get_me,
    get_preferences,
    put_preferences,
    list_watchlists,
    create_watchlist,
    put_watchlist,
    delete_watchlist,
    list_notifications,
    mark_read,
]
