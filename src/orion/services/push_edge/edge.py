"""The edge itself: sockets come and go, messages are obeyed, streams from the services flow in."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from orion.core.entitlement import Grants, may_see
from orion.core.permissions import Permission, may
from orion.platform import telemetry
from orion.platform.caller import Caller
from orion.platform.errors import Coded, Unavailable
from orion.platform.module import Ports
from orion.platform.push import FORBIDDEN, NOT_SIGNED_IN, RESTARTING, Peer, reason_of
from orion.platform.rpc import rpc_errors
from orion.services.push_edge import frames
from orion.services.push_edge.channels import NOTIFICATIONS, TRADES, Channel, rfq_rules
from orion.services.push_edge.config import Config
from orion.services.push_edge.prices import Prices
from orion.services.push_edge.protocol import Ask, Refused, read
from orion.services.push_edge.sessions import (
    MAX_WAITING_MESSAGES,
    Credential,
    Roll,
    Session,
    allowed_origins,
    credential_of,
)
from orion.services.push_edge.ticks import TickHub
from orion.services.push_edge.upstream import Upstream
from orion.wire.stubs import (
    identity_pb2,
    identity_pb2_grpc,
    marketdata_pb2_grpc,
    notifications_pb2,
    notifications_pb2_grpc,
    reference_pb2,
    reference_pb2_grpc,
    rfq_pb2,
    rfq_pb2_grpc,
    trade_pb2,
    trade_pb2_grpc,
)

PATH = b"/api/v1/stream"
SWEEP_S = 0.25
SIGN_IN_S = 5.0
CATALOGUE_S = 30.0
CACHE_LOOK_S = 2.0
EXPIRY_LEEWAY_S = 5
_SOCKETS = telemetry.gauge("ws_sessions", "Open WebSocket sessions")
_CLOSED = telemetry.counter("ws_closed", "WebSocket sessions that ended")
_REFUSED = telemetry.counter("ws_refused", "Messages and sign-ins refused", ("code",))


class Edge:
    """Handler of the push server, and the tasks behind it."""

    def __init__(self, ports: Ports, config: Config, cookie_name: str, public_url: str):
        self._ports, self._config = ports, config
        self._cookie_name, self._origins = cookie_name, allowed_origins(public_url)
        now = ports.clock.now
        self.prices = Prices(self._pull)
        self.ticks = TickHub(config, lambda: ports.clock.ticks() / 1e9, now, self.prices.ask)
        rfqs = Channel(rfq_rules(int(config.rfq_keep_s * 1e6)), now)
        trades, notes = Channel(TRADES, now), Channel(NOTIFICATIONS, now)
        self.channels = {c.rules.name: c for c in (rfqs, trades, notes)}
        self.roll = Roll(config, now)
        self.upstreams = self._streams(rfqs, trades, notes)
        self._classes: dict[str, str] = {}  # instrument → asset class
        self._waiting: set[Peer] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beats = 0
        ports.verifier.revocations.listen(self.roll.revoked)

    def _streams(self, rfqs: Channel, trades: Channel, notes: Channel) -> list[Upstream]:
        where = self._ports.directory
        rfq = lambda: rfq_pb2_grpc.RFQServiceStub(where.channel("rfq")).WatchRFQ(  # noqa: E731
            rfq_pb2.WatchRFQRequest(), metadata=where.as_service()
        )
        trade = lambda: trade_pb2_grpc.ExecutionServiceStub(  # noqa: E731
            where.channel("execution")
        ).WatchTrades(trade_pb2.WatchTradesRequest(), metadata=where.as_service())
        note = lambda: notifications_pb2_grpc.NotificationServiceStub(  # noqa: E731
            where.channel("notifications")
        ).WatchNotifications(
            notifications_pb2.WatchNotificationsRequest(), metadata=where.as_service()
        )
        streams = [Upstream("ticks", self.prices.batches, lambda: None, self.ticks.take)]
        for channel, source in ((rfqs, rfq), (trades, trade), (notes, note)):
            streams.append(_following(channel, source))
        return streams

    def _pull(self) -> Any:
        where = self._ports.directory
        stub = marketdata_pb2_grpc.MarketDataServiceStub(where.channel("marketdata_projection"))
        return stub.PullTicks(metadata=where.as_service())

    # -- the handler of the push server

    def admit(self, request: Any) -> None:
        """Refuses what is not for us before it costs anything."""
        if request.path.split(b"?", 1)[0] != PATH:
            raise Coded("API-104")
        if len(self.roll) + len(self._waiting) >= self._config.max_sockets:
            raise Coded(
                "WS-504", "This server holds as many connections as it can", retry_after_s=5
            )
        if len(self._waiting) >= self._config.max_waiting:
            raise Coded("WS-504", "Too many sign-ins at once", retry_after_s=1)
        credential_of(request.headers, self._cookie_name, self._origins)

    def opened(self, peer: Peer, request: Any) -> None:
        """A socket is open; who it is gets checked at once."""
        credential = credential_of(request.headers, self._cookie_name, self._origins)
        peer.state = Session(credential)
        # picows keeps the request as long as the socket lives: a token and a page of headers per
        # socket.
        request.headers.clear()
        self._waiting.add(peer)
        self._start(self._sign_in(peer))

    def message(self, peer: Peer, text: bytes) -> None:
        """Obeys, or keeps it until the sign-in is checked."""
        session: Session = peer.state
        if session.waiting is not None:
            if len(session.waiting) >= MAX_WAITING_MESSAGES:
                raise Coded("WS-504", "Too many messages before the sign-in was checked")
            session.waiting.append(text)
            return
        try:
            self._obey(peer, read(text, self._config.instruments_per_subscription))
        except Refused as refusal:
            _REFUSED.labels(refusal.code).inc()
            told = frames.error_frame(refusal.code, refusal.detail, refusal.op, refusal.channel)
            peer.send(told)

    def closed(self, peer: Peer) -> None:
        """A socket is gone."""
        self._waiting.discard(peer)
        session: Session | None = peer.state
        if session is None:
            return
        self.ticks.leave(peer)
        for channel in self.channels.values():
            channel.leave(peer)
        self.roll.leave(peer)
        _CLOSED.inc()
        _SOCKETS.set(len(self.roll))

    # -- messages

    def _obey(self, peer: Peer, ask: Ask) -> None:
        caller = peer.state.caller
        if ask.op == "ping":
            peer.send(frames.pong_frame(ask.ping_id, self._ports.clock.now()))
        elif ask.channel == "ticks":
            self._obey_ticks(peer, caller, ask)
        elif ask.op == "unsubscribe":
            self.channels[ask.channel].leave(peer)
        else:
            channel = self.channels[ask.channel]
            if not channel.rules.may_subscribe(caller):
                detail = f"Your role does not read {ask.channel}"
                raise Refused("AUTH-103", detail, ask.op, ask.channel)
            channel.leave(peer)
            channel.subscribe(peer)

    def _obey_ticks(self, peer: Peer, caller: Caller, ask: Ask) -> None:
        if ask.op == "unsubscribe":
            self.ticks.unsubscribe(peer, ask.instrument_ids)
            return
        if not may(caller.roles, Permission.MARKET_READ):
            raise Refused("AUTH-103", "Your role does not read prices", ask.op, ask.channel)
        seen = [i for i in ask.instrument_ids if self._is_visible(caller, i)]
        if seen:
            self.ticks.subscribe(peer, seen)
        hidden = [i for i in ask.instrument_ids if i not in seen]
        if hidden:
            names = ", ".join(hidden)[:200]
            detail = f"Not there, or not yours to see: {names}"
            raise Refused("MD-402", detail, ask.op, ask.channel)

    def _is_visible(self, caller: Caller, name: str) -> bool:
        asset_class, g = self._classes.get(name), caller.grants
        if asset_class is None or g is None:
            return False
        grants = Grants(
            g.asset_classes, g.instrument_ids, g.venue_ids, g.max_notional, g.rfq_per_minute
        )
        return may_see(grants, name, asset_class)

    # -- signing in, and out

    async def _sign_in(self, peer: Peer) -> None:
        session: Session = peer.state
        try:
            async with asyncio.timeout(SIGN_IN_S):
                caller = await self._identify(session.credential)
        except (Coded, TimeoutError) as error:
            refusal = error if isinstance(error, Coded) else Unavailable()
            _REFUSED.labels(refusal.code).inc()
            peer.close(_close_code(refusal), reason_of(refusal))
            return
        finally:
            self._waiting.discard(peer)
        if peer.is_closing:
            return
        if self._ports.verifier.revocations.covers_caller(caller):
            peer.close(NOT_SIGNED_IN, reason_of(Coded("AUTH-105")))
            return
        # A token is not needed again; a cookie is, to renew.
        session.credential = Credential(cookie=session.credential.cookie)
        self.roll.enter(peer, caller)
        _SOCKETS.set(len(self.roll))
        waiting, session.waiting = session.waiting or [], None
        for text in waiting:
            try:
                self.message(peer, text)
            except Coded as refusal:
                peer.close(_close_code(refusal), reason_of(refusal))
                return

    async def _identify(self, credential: Credential) -> Caller:
        token = credential.token
        if credential.cookie is not None:
            where = self._ports.directory
            stub = identity_pb2_grpc.SessionServiceStub(where.channel("bff_workstation"))
            async with rpc_errors():
                answer = await stub.Resolve(
                    identity_pb2.ResolveSessionRequest(cookie=credential.cookie),
                    timeout=SIGN_IN_S,
                    metadata=where.as_service(),
                )
            token = answer.access_token
        if not token:
            raise Coded("AUTH-101")
        caller = await self._ports.verifier.verify(token)
        if caller.service is not None:
            raise Coded("AUTH-102")
        return caller

    async def _look_again(self, peer: Peer) -> None:
        """A token ends: a cookie's is renewed, a program's is over."""
        session: Session = peer.state
        caller, now = session.caller, self._ports.clock.now() // 1_000_000
        assert caller is not None
        if session.credential.cookie is None:
            peer.close(NOT_SIGNED_IN, reason_of(Coded("AUTH-105")))
            return
        session.look_at = now + 2
        try:
            async with asyncio.timeout(SIGN_IN_S):
                fresh = await self._identify(session.credential)
        except (Coded, TimeoutError) as error:
            is_outage = isinstance(error, TimeoutError | Unavailable)
            if not is_outage or now >= caller.expires_at + EXPIRY_LEEWAY_S:
                peer.close(NOT_SIGNED_IN, reason_of(Coded("AUTH-105")))
            return
        if not peer.is_closing:
            self._renewed(peer, caller, fresh)

    def _renewed(self, peer: Peer, before: Caller, fresh: Caller) -> None:
        if (before.tenant, before.subject) != (fresh.tenant, fresh.subject):
            peer.close(NOT_SIGNED_IN, reason_of(Coded("AUTH-105")))
        elif (before.roles, before.grants, before.desk) != (fresh.roles, fresh.grants, fresh.desk):
            # What one may see has changed: the client starts again with a clean sheet.
            peer.close(RESTARTING, "AUTH-105 Your rights have changed")
        else:
            self.roll.enter(peer, fresh)

    # -- tasks

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def sweep(self) -> None:
        """Ends what is over: tokens, and what snapshots keep."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for peer in self.roll.due():
                self._start(self._look_again(peer))
            for channel in self.channels.values():
                channel.tidy()

    async def heartbeat(self) -> None:
        """Tells every socket that we live, and how we do."""
        before = self.ticks.ticks_in
        while True:
            await asyncio.sleep(self._config.heartbeat_s)
            taken, before = self.ticks.ticks_in - before, self.ticks.ticks_in
            self._beats += 1
            told = {
                "sessions": len(self.roll),
                "ticksInPerSecond": round(taken / self._config.heartbeat_s, 1),
                "flushHz": round(self.ticks.pace.hz, 2),
                "degraded": self.degraded(),
            }
            frame = frames.heartbeat_frame(self._beats, self._ports.clock.now(), told)
            now = self._ports.clock.ticks() / 1e9
            for peer in self.roll.peers:
                if not peer.is_behind(now):
                    peer.send(frame)

    def degraded(self) -> list[str]:
        """What does not work as it should now, in words of the stream: its channels, `rate`, and
        `cache` while the platform goes on without one."""
        lost = [u.name for u in self.upstreams if not u.is_connected]
        lost += ["rate"] if self.ticks.pace.is_lowered else []
        return lost + (["cache"] if self._ports.cache.is_lost else [])

    async def watch_cache(self) -> None:
        """Asks the cache how it is: nothing else here would find out."""
        while self._ports.cache.is_shared:
            with suppress(Unavailable):
                await self._ports.cache.ping()
            await asyncio.sleep(CACHE_LOOK_S)
        await asyncio.Event().wait()

    async def catalogue(self) -> None:
        """Keeps the list of instruments: entitlements need their asset class."""
        while True:
            pause = CATALOGUE_S
            try:
                where = self._ports.directory
                stub = reference_pb2_grpc.ReferenceServiceStub(where.channel("reference"))
                async with rpc_errors():
                    answer = await stub.ListInstruments(
                        reference_pb2.ListInstrumentsRequest(),
                        timeout=5,
                        metadata=where.as_service(),
                    )
                self._classes = {i.instrument_id: i.asset_class for i in answer.instruments}
                self.ticks.limits({i.instrument_id: i.stale_amber_ms for i in answer.instruments})
            except Coded as error:
                pause = 0.2 if not self._classes else 2.0
                telemetry.log.debug("instruments are not known", error=str(error))
            await asyncio.sleep(pause)

    def ready(self) -> str | None:
        """None, or why not yet. A lost stream later is told in heartbeats; sockets stay."""
        if not self._classes:
            return "the instruments are not known yet"
        if not self.ticks.has_snapshot:
            return "no prices have come yet"
        return None

    def goodbye(self) -> None:
        """Closes every socket: clients come back by themselves."""
        for peer in [*self.roll.peers, *self._waiting]:
            peer.close(RESTARTING, "SYS-901 Restarting")


def _following(channel: Channel, source: Any) -> Upstream:
    def take(message: Any) -> None:
        channel.take(message.items, is_snapshot=message.snapshot)

    return Upstream(channel.rules.name, source, channel.reconnected, take)


def _close_code(refusal: Coded) -> int:
    if refusal.code in ("AUTH-101", "AUTH-102", "AUTH-105"):
        return NOT_SIGNED_IN
    if refusal.code.startswith("AUTH-"):
        return FORBIDDEN
    if refusal.kind.status == 503:
        return RESTARTING
    return 4400
