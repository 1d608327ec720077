"""RFQs, trades and notifications to screens: complete, in order, numbered without a gap per
session, and only what one may see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from orion.core.permissions import Permission, may, may_read, permissions_of, read_scope
from orion.platform.caller import Caller
from orion.services.push_edge import frames
from orion.services.push_edge.ticks import Socket

ITEMS_PER_FRAME = 50
SHARED = "shared"  # the tenant of what belongs to all
MAX_PER_TENANT = 20_000  # a bound on memory; what is kept ends long before

_may_read = lru_cache(maxsize=65_536)(may_read)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a channel carries. Times in microseconds."""

    name: str
    key: Callable[[Any], tuple[str, str]]  # (tenant, id)
    order: Callable[[Any], tuple[int, str]]  # the newest have the greatest
    revision: Callable[[Any], int]  # an update with a smaller one is old news
    encode: Callable[[Any], bytes]
    may_subscribe: Callable[[Caller], bool]
    may_see: Callable[[Caller, Any], bool]
    is_kept: Callable[[Any, int], bool]  # still in snapshots at this instant
    snapshot_items: int


@dataclass(slots=True)
class _Held:
    item: Any
    body: bytes


class Channel:
    """One channel: what snapshots hold, and who listens."""

    def __init__(self, rules: Rules, now: Callable[[], int]):
        self.rules, self._now = rules, now
        self._held: dict[str, dict[str, _Held]] = {}
        self._sockets: dict[str, dict[Socket, None]] = {}
        self.is_ready = False
        self._fresh = False

    # -- in

    def reconnected(self) -> None:
        """The upstream was opened again: its next snapshot replaces what is held."""
        self._fresh = True

    def take(self, items: Sequence[Any], *, is_snapshot: bool) -> None:
        """What the owner told."""
        if is_snapshot and self._fresh:
            self._fresh = False
            self.is_ready = True
            self._held = {}
            self._keep(items)
            for sockets in self._sockets.values():
                for socket in list(sockets):
                    self._snapshot(socket)
            return
        self.is_ready = self.is_ready or is_snapshot
        by_tenant: dict[str, list[_Held]] = {}
        for tenant, held in self._keep(items):
            by_tenant.setdefault(tenant, []).append(held)
        for tenant, fresh in by_tenant.items():
            for socket in self._listeners(tenant):
                self._update(socket, fresh)

    def _listeners(self, tenant: str) -> list[Socket]:
        if tenant == SHARED:
            return [socket for sockets in self._sockets.values() for socket in sockets]
        return list(self._sockets.get(tenant, ()))

    def _keep(self, items: Iterable[Any]) -> list[tuple[str, _Held]]:
        kept: list[tuple[str, _Held]] = []
        for item in items:
            tenant, name = self.rules.key(item)
            held = self._held.setdefault(tenant, {})
            before = held.get(name)
            if before is not None and self.rules.revision(item) < self.rules.revision(before.item):
                continue
            entry = _Held(item, self.rules.encode(item))
            held.pop(name, None)  # newest last: the oldest is what falls out
            held[name] = entry
            if len(held) > MAX_PER_TENANT:
                del held[next(iter(held))]
            kept.append((tenant, entry))
        return kept

    def tidy(self) -> None:
        """Forgets what no snapshot holds any more."""
        now = self._now()
        for held in self._held.values():
            for name in [n for n, h in held.items() if not self.rules.is_kept(h.item, now)]:
                del held[name]

    # -- subscriptions

    def subscribe(self, socket: Socket) -> None:
        """Adds a socket; its snapshot comes now, or when the owner has told what there is."""
        self._sockets.setdefault(socket.state.caller.tenant, {})[socket] = None
        if self.is_ready:
            self._snapshot(socket)

    def leave(self, socket: Socket) -> None:
        """The socket is gone or does not want it any more. Its numbers start again with the next
        subscription.
        """
        caller = socket.state.caller
        if caller is None:
            return
        sockets = self._sockets.get(caller.tenant)
        if sockets is not None:
            sockets.pop(socket, None)
            if not sockets:
                del self._sockets[caller.tenant]
        socket.state.seqs.pop(self.rules.name, None)

    # -- out

    def _snapshot(self, socket: Socket) -> None:
        caller, now, rules = socket.state.caller, self._now(), self.rules
        held = [
            h for tenant in (caller.tenant, SHARED) for h in self._held.get(tenant, {}).values()
        ]
        seen = [h for h in held if rules.is_kept(h.item, now) and rules.may_see(caller, h.item)]
        seen.sort(key=lambda h: rules.revision(h.item))
        # One of each: what all may see, and what is known of it for this one alone, are one item.
        newest = {rules.order(h.item): h for h in seen}
        order = sorted(newest, reverse=True)[: rules.snapshot_items]
        bodies = [newest[place].body for place in order]
        first, *rest = list(frames.batches(bodies, ITEMS_PER_FRAME)) or [[]]
        self._send(socket, "snapshot", first)
        for piece in rest:
            self._send(socket, "update", piece)

    def _update(self, socket: Socket, fresh: Sequence[_Held]) -> None:
        caller = socket.state.caller
        bodies = [h.body for h in fresh if self.rules.may_see(caller, h.item)]
        for piece in frames.batches(bodies, ITEMS_PER_FRAME):
            self._send(socket, "update", piece)

    def _send(self, socket: Socket, kind: str, bodies: Iterable[bytes]) -> None:
        seqs = socket.state.seqs
        number = seqs[self.rules.name] = seqs.get(self.rules.name, 0) + 1
        socket.send(frames.frame(kind, self.rules.name, number, bodies))


def _sees(area: str, caller: Caller, item: Any) -> bool:
    # Tenants first: the matrix of roles knows nothing of other tenants.
    return item.tenant_id == caller.tenant and _may_read(
        caller.roles,
        area,
        user=caller.user,
        desk=caller.desk,
        owner=item.requester,
        owner_desk=item.desk,
    )


def _concerns(caller: Caller, note: Any) -> bool:
    if note.permission:
        # Dead letters: for those of the tenant who run the platform; of shared records, of any.
        return (
            note.tenant_id in (caller.tenant, SHARED)
            and note.subject in ("", caller.subject)
            and note.permission in {p.value for p in permissions_of(caller.roles)}
        )
    return note.tenant_id == caller.tenant and note.user == caller.user


def rfq_rules(keep_us: int) -> Rules:
    """RFQs: open, or ended a moment ago."""
    return Rules(
        name="rfqs",
        key=lambda m: (m.tenant_id, m.rfq_id),
        order=lambda m: (m.created_at_us, m.rfq_id),
        revision=lambda m: m.revision,
        encode=frames.rfq,
        may_subscribe=lambda caller: read_scope(caller.roles, "rfq") is not None,
        may_see=lambda caller, m: _sees("rfq", caller, m),
        is_kept=lambda m, now: not m.HasField("ended_at_us") or now - m.ended_at_us < keep_us,
        snapshot_items=200,
    )


TRADE_KEEP_US = 7 * 86_400_000_000

TRADES = Rules(
    name="trades",
    key=lambda m: (m.tenant_id, m.trade_id),
    order=lambda m: (m.traded_at_us, m.trade_id),
    revision=lambda m: 0,
    encode=frames.trade,
    may_subscribe=lambda caller: read_scope(caller.roles, "trade") is not None,
    may_see=lambda caller, m: _sees("trade", caller, m),
    is_kept=lambda m, now: now - m.traded_at_us < TRADE_KEEP_US,
    snapshot_items=100,
)

NOTIFICATIONS = Rules(
    name="notifications",
    key=lambda m: (m.tenant_id, f"{m.notification_id} {m.subject}"),
    order=lambda m: (m.at_us, m.notification_id),
    revision=lambda m: int(m.read),  # what was read stays read
    encode=frames.notification,
    may_subscribe=lambda caller: may(caller.roles, Permission.NOTIFICATION_READ),
    may_see=lambda caller, m: _concerns(caller, m),
    is_kept=lambda m, now: now - m.at_us < TRADE_KEEP_US,
    snapshot_items=100,
)
