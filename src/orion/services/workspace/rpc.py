"""WorkspaceService: each method checks the caller, bounds what came, and runs one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from orion.core.ids import derived, slot_of
from orion.core.permissions import Permission, may
from orion.platform.cache.aside import Aside
from orion.platform.cache.port import Cache
from orion.platform.caller import Caller
from orion.platform.clock import Clock
from orion.platform.errors import Coded
from orion.platform.rpc import Directory, current_caller, rpc_errors
from orion.platform.store.port import Database, Sql
from orion.services.workspace import queries
from orion.services.workspace.config import Config
from orion.services.workspace.queries import Owner, Watchlist
from orion.wire.stubs import reference_pb2, workspace_pb2
from orion.wire.stubs.reference_pb2_grpc import ReferenceServiceStub
from orion.wire.stubs.workspace_pb2_grpc import WorkspaceServiceServicer

GROUPS = ("FX G10", "FX crosses", "Rates", "Credit", "Equities")
CORE = "Desk core"  # the first list: a little of everything, as a desk starts its day
CORE_OF_GROUP = {"FX G10": 8, "FX crosses": 3, "Rates": 4, "Credit": 3, "Equities": 2}
CORE_PINNED = ("EURUSD", "USDJPY", "UST10Y")
MAX_NAME = 60
MAX_ID = 32
LAST = 2**32 - 1
MAX_POSITION = 1000


def _require(permission: Permission) -> tuple[Caller, Owner]:
    caller = current_caller()
    if caller.service is not None or not may(caller.roles, permission):
        raise Coded("AUTH-103")
    return caller, Owner(caller.tenant, caller.subject)


class WorkspaceRpc(WorkspaceServiceServicer):
    """Preferences and watchlists of the caller, never of anyone else."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        directory: Directory,
        clock: Clock,
        config: Config,
    ):
        self._database, self._directory, self._clock, self._config = (
            database,
            directory,
            clock,
            config,
        )
        self._lists = Aside(cache, "workspace.watchlists", config.cache_s)

    def _write(self, owner: Owner) -> Any:
        return self._database.write("workspace", [owner.tenant])

    @asynccontextmanager
    async def _change_lists(self, owner: Owner) -> AsyncIterator[Sql]:
        async with self._lists.change(_key(owner)), self._write(owner) as sql:
            yield sql

    async def GetPreferences(self, request: Any, context: Any) -> workspace_pb2.Preferences:
        """Version 0 and an empty object when nothing was saved."""
        _, owner = _require(Permission.PREFERENCES_WRITE)
        async with self._database.read(owner.tenant) as sql:
            version, body = await queries.preferences(sql, owner) or (0, b"{}")
        return workspace_pb2.Preferences(version=version, body=body)

    async def PutPreferences(self, request: Any, context: Any) -> workspace_pb2.Preferences:
        """Saves when `version` is the newest (0: nothing saved yet)."""
        _, owner = _require(Permission.PREFERENCES_WRITE)
        body = _object(request.body, self._config.max_preferences_bytes)
        async with self._write(owner) as sql:
            version = await queries.save_preferences(
                sql, owner, request.version, body, self._clock.now()
            )
        return workspace_pb2.Preferences(version=version, body=body)

    async def ListWatchlists(
        self, request: Any, context: Any
    ) -> workspace_pb2.ListWatchlistsResponse:
        """The first look gives the house's lists."""
        caller, owner = _require(Permission.WATCHLIST_WRITE)
        held = await self._lists.get(_key(owner))
        if held is not None:
            return workspace_pb2.ListWatchlistsResponse.FromString(held)
        async with self._database.read(owner.tenant) as sql:
            is_known = await queries.is_welcomed(sql, owner)
            found = await queries.watchlists(sql, owner)
        if not is_known:
            lists = await self._house_lists(caller, owner)
            async with self._change_lists(owner) as sql:
                await queries.welcome(sql, owner, lists, self._clock.now())
                found = await queries.watchlists(sql, owner)
        answer = workspace_pb2.ListWatchlistsResponse(items=[_message(w) for w in found])
        await self._lists.fill(_key(owner), answer.SerializeToString())
        return answer

    async def PutWatchlist(self, request: Any, context: Any) -> workspace_pb2.Watchlist:
        """Without an id: creates, under the idempotency key. With one: replaces when `version` is
        the newest.
        """
        _, owner = _require(Permission.WATCHLIST_WRITE)
        wanted = self._checked(request.watchlist)
        if wanted.watchlist_id:
            async with self._change_lists(owner) as sql:
                return _message(await queries.replace(sql, owner, wanted))
        if not request.idempotency_key:
            raise Coded("API-101")
        slot = slot_of(owner.tenant, owner.subject)
        new_id = derived(slot, "watchlist", owner.tenant, owner.subject, request.idempotency_key)
        asked = request.watchlist.SerializeToString(deterministic=True)
        made_with = hashlib.sha256(asked).digest()
        new = Watchlist(
            new_id, wanted.name, wanted.instrument_ids, wanted.pinned, wanted.position, 1
        )
        async with self._change_lists(owner) as sql:
            return _message(
                await queries.create(sql, owner, new, made_with, self._config.max_watchlists)
            )

    async def DeleteWatchlist(
        self, request: Any, context: Any
    ) -> workspace_pb2.DeleteWatchlistResponse:
        """Throws one of the caller's lists away."""
        _, owner = _require(Permission.WATCHLIST_WRITE)
        async with self._change_lists(owner) as sql:
            await queries.remove(sql, owner, request.watchlist_id[:64], request.version)
        return workspace_pb2.DeleteWatchlistResponse()

    def _checked(self, asked: workspace_pb2.Watchlist) -> Watchlist:
        name = asked.name.strip()
        if not 0 < len(name) <= MAX_NAME or "\x00" in name:
            raise Coded("API-100", f"A list's name has 1 to {MAX_NAME} characters")
        ids = _instruments(asked.instrument_ids, self._config.max_instruments)
        pinned = _instruments(asked.pinned, self._config.max_instruments)
        if not set(pinned) <= set(ids):
            raise Coded("API-100", "Only instruments of the list can be pinned")
        is_last = asked.position == LAST
        if not is_last and asked.position > MAX_POSITION:
            raise Coded("API-100", f"A list's position is at most {MAX_POSITION}")
        position = -1 if is_last else asked.position
        return Watchlist(asked.watchlist_id[:64], name, ids, pinned, position, asked.version)

    async def _house_lists(self, caller: Caller, owner: Owner) -> Sequence[Watchlist]:
        stub = ReferenceServiceStub(self._directory.channel("reference"))
        async with rpc_errors():
            known = await stub.ListInstruments(
                reference_pb2.ListInstrumentsRequest(),
                timeout=self._config.reference_timeout_ms / 1000,
                metadata=self._directory.as_user(caller),
            )
        by_group: dict[str, list[str]] = {}
        for one in known.instruments:
            by_group.setdefault(one.group, []).append(one.instrument_id)
        slot = slot_of(owner.tenant, owner.subject)
        names = [g for g in GROUPS if g in by_group] + sorted(set(by_group) - set(GROUPS))
        core = [i for name in names for i in by_group[name][: CORE_OF_GROUP.get(name, 0)]]
        lists = [(CORE, core, [i for i in CORE_PINNED if i in core])] if core else []
        lists += [(name, by_group[name], []) for name in names]
        limit = self._config.max_instruments
        return [
            Watchlist(
                derived(slot, "house list", owner.tenant, owner.subject, name),
                name,
                instruments[:limit],
                pinned,
                position,
                1,
            )
            for position, (name, instruments, pinned) in enumerate(lists)
        ]


def _key(owner: Owner) -> str:
    return f"{owner.tenant}/{owner.subject}"


def _instruments(ids: Sequence[str], limit: int) -> list[str]:
    kept = list(dict.fromkeys(ids))
    if len(kept) > limit:
        raise Coded("API-100", f"A list holds at most {limit} instruments")
    if any(not 0 < len(i) <= MAX_ID or not i.isprintable() for i in kept):
        raise Coded("API-100", "An instrument's id is not one")
    return kept


def _object(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise Coded("API-105", f"Preferences hold at most {limit} bytes")
    try:
        value = json.loads(body)
    except ValueError:
        raise Coded("API-106") from None
    if not isinstance(value, dict):
        raise Coded("API-100", "Preferences are a JSON object")
    return body


def _message(w: Watchlist) -> workspace_pb2.Watchlist:
    return workspace_pb2.Watchlist(
        watchlist_id=w.watchlist_id,
        name=w.name,
        instrument_ids=w.instrument_ids,
        pinned=w.pinned,
        position=w.position,
        version=w.version,
    )
